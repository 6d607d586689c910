"""The register of clients: programs that may use the API, what each may do, and the credentials that prove it.

An API key is shown once and stored as its digest; of public keys and certificates only the public part is known here. A client may have
several of each, so that a new one can be in use before the old one ends. Every change is written down with names, never with a credential.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from sqlmodel import Session, col, select

from gateway.access.assertions import public_keys_of, thumbprint
from gateway.access.scopes import Scope, written
from gateway.audit.log import Event, record
from gateway.model.errors import NotFound, UnusableInput
from gateway.store.ledger import now
from gateway.store.tables import Client, ClientCredential

KEY_PREFIX = "zbk_"
"""What an API key begins with, so that a person or a scanner of leaked secrets recognises one."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def digest(secret: str) -> str:
    """What is stored of a random secret. It has 256 bits, so that a plain hash cannot be turned back by trying."""
    return hashlib.sha256(secret.encode()).hexdigest()


def register(session: Session, name: str, scopes: Sequence[Scope], *, source: str = "", actor: str) -> None:
    """Make a client. ``source`` is the source it sends for. Raises `UnusableInput` for a name that is taken or not usable as a client
    id, or without scopes."""
    if _NAME.fullmatch(name) is None:
        raise UnusableInput(
            "客户端名称不可用",
            action="请用 1–64 个字母、数字、点、横线或下划线",
            english="a name has letters, digits, '.', '-', '_'",
        )
    if not scopes:
        raise UnusableInput("客户端没有任何权限", action="请至少给出一个权限范围", english="a client needs a scope")
    if session.get(Client, name) is not None:
        raise UnusableInput(f"已有名为 {name} 的客户端", action="请换一个名称", english="the name is taken")
    session.add(Client(name=name, source=source, scopes=written(scopes), created_at=now()))
    session.flush()
    detail = {"source": source, "scopes": written(scopes)}
    record(session, Event("client.registered", f"client:{name}", detail, actor))


def issue_key(session: Session, name: str, *, good_for: timedelta | None = None, actor: str) -> str:
    """A new API key of a client; earlier ones stay good until they end or are revoked. Raises `NotFound`."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    _add(session, name, "key", digest(key), expires_at=now() + good_for if good_for is not None else None, actor=actor)
    return key


def trust_keys(session: Session, name: str, jwks: str | bytes, *, actor: str) -> list[str]:
    """Take the public keys of a JWK Set file for a client's signed assertions; their names. A key whose name is known replaces the one
    of that name. Raises `NotFound`, or `UnusableInput` for a file without a usable key or with one that a client already has."""
    keys = public_keys_of(jwks)
    client = find(session, name)
    for former in session.exec(
        select(ClientCredential).where(ClientCredential.client == client.name, col(ClientCredential.kid).in_(keys))
    ):
        session.delete(former)
    session.flush()
    for kid, key in keys.items():
        _add(session, name, "public-key", thumbprint(key), kid=kid, public_key=key, actor=actor)
    return list(keys)


def trust_certificate(session: Session, name: str, pem: bytes, *, actor: str) -> str:
    """Take a certificate as a client's for mutual TLS; the SHA-256 of its DER. Whether it is valid at all is decided by the authority
    of ``server.tls_client_ca`` at every connection. Raises `NotFound` or `UnusableInput`."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise UnusableInput("不是 PEM 格式的证书", action="请提供客户端证书（不含私钥）", english="not a PEM certificate") from None
    fingerprint = certificate.fingerprint(SHA256()).hex()
    _add(session, name, "certificate", fingerprint, expires_at=certificate.not_valid_after_utc, actor=actor)
    return fingerprint


def revoke(session: Session, name: str, number: int, *, actor: str) -> None:
    """Take a credential back, by the number that `credentials` shows. Raises `NotFound`."""
    credential = session.get(ClientCredential, number)
    if credential is None or credential.client != name:
        raise NotFound(f"客户端 {name} 没有编号为 {number} 的凭据", english=f"no credential {number} of this client")
    session.delete(credential)
    record(session, Event("client.credential.revoked", f"client:{name}", {"credential": number, "kind": credential.kind}, actor))


def enable(session: Session, name: str, *, enabled: bool, actor: str) -> None:
    """Let a client in again, or shut it out at once, access tokens included. Raises `NotFound`."""
    client = find(session, name)
    if client.disabled != enabled:
        return
    client.disabled = not enabled
    session.add(client)
    record(session, Event("client.enabled" if enabled else "client.disabled", f"client:{name}", actor=actor))


def find(session: Session, name: str) -> Client:
    """A client by its name. Raises `NotFound`."""
    client = session.get(Client, name)
    if client is None:
        raise NotFound(f"没有名为 {name} 的客户端", action="zhibao client list 列出全部客户端", english="no such client")
    return client


def clients(session: Session) -> list[tuple[Client, list[ClientCredential]]]:
    """All clients by name, each with its credentials."""
    found = session.exec(select(ClientCredential).order_by(col(ClientCredential.id))).all()
    return [
        (client, [credential for credential in found if credential.client == client.name])
        for client in session.exec(select(Client).order_by(Client.name))
    ]


def _add(
    session: Session,
    name: str,
    kind: str,
    digest: str,
    *,
    kid: str = "",
    public_key: str = "",
    expires_at: datetime | None = None,
    actor: str,
) -> None:
    client = find(session, name)
    known = select(ClientCredential).where(ClientCredential.kind == kind, ClientCredential.digest == digest)
    if session.exec(known).first() is not None:
        raise UnusableInput(
            "这个公钥或证书已经登记",
            action="每个公钥或证书只能属于一个客户端",
            english="this public key or certificate is registered already",
        )
    credential = ClientCredential(
        client=client.name,
        kind=kind,
        digest=digest,
        kid=kid,
        public_key=public_key,
        created_at=now(),
        expires_at=expires_at,
    )
    session.add(credential)
    session.flush()
    detail = {"credential": credential.id, "kind": kind, **({"kid": kid} if kid else {})}
    record(session, Event("client.credential.added", f"client:{name}", detail, actor))
