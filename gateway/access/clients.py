"""Letting clients in: API keys, SMART backend services (a signed assertion for a short-lived access token), certificates of mutual TLS.

SMART App Launch 2.2.0, "Backend Services" and "Client Authentication: Asymmetric"; OAuth 2.0 (RFC 6749, RFC 7523). An access token is a
random word, stored as its digest, so that disabling a client ends its tokens at once. None of the credentials can be guessed, so a good one
is never turned away because others failed; failures are counted so that they neither fill the audit log nor cost more than a refusal.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlmodel import col, delete, select

from gateway.access.assertions import Assertion, AssertionRefused, read_assertion, verified
from gateway.access.failures import Failures, Key
from gateway.access.registry import digest
from gateway.access.scopes import Action, Scope, narrowed, parse_scopes, written
from gateway.audit.log import Event, record
from gateway.model.errors import AccessDenied, UnusableInput
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Client, ClientCredential, ClientToken, UsedAssertion

TOKEN_PREFIX: Final = "zba_"  # noqa: S105 - not a secret
LIFETIME: Final = timedelta(minutes=5)
"""How long an access token is good."""
LONGEST_WAIT: Final = 30.0
"""Seconds that an address must wait after failures of one client: short, because a client that was set right should get in."""


class GrantRefused(AccessDenied):
    """The token endpoint grants nothing. ``code`` is the error of OAuth 2.0 (RFC 6749 section 5.2)."""

    def __init__(self, code: str, message: str, *, action: str = "", english: str) -> None:
        super().__init__(message, action=action, english=english)
        self.code = code


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """A client that was let in: its name, the source it sends for (empty: none), and what it may do now."""

    name: str
    source: str
    scopes: tuple[Scope, ...]

    def allows(self, kind: str, action: Action) -> bool:
        """Whether it may do ``action`` (``c`` create, ``r`` read, ``u`` update, ``d`` delete, ``s`` search) with resources of ``kind``."""
        return any(scope.allows(kind, action) for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token, what it is good for, and for how many seconds."""

    token: str
    scopes: tuple[Scope, ...]
    seconds: int


class Clients:
    """Lets clients in. One per process: it counts failures in memory. ``address`` is where a request comes from."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failures = Failures()

    def who_key(self, key: str, *, address: str = "") -> ClientAccess:
        """The client behind an API key. Raises `AccessDenied`."""
        return self._who("key", digest(key), address)

    def who_certificate(self, fingerprint: str, *, address: str = "") -> ClientAccess:
        """The client whose certificate the connection proved to hold, by the SHA-256 of its DER in hex. Raises `AccessDenied`."""
        return self._who("certificate", fingerprint, address)

    def who_token(self, token: str) -> ClientAccess:
        """The client behind an access token. Raises `AccessDenied`."""
        with self._ledger.read() as session:
            row = session.get(ClientToken, digest(token))
            client = session.get_one(Client, row.client) if row is not None else None
            if row is None or client is None or client.disabled or row.expires_at <= now():
                raise AccessDenied("访问令牌无效或已过期", action="POST /fhir/token 重新取得", english="no valid access token")
            return ClientAccess(client.name, client.source, parse_scopes(row.scopes))

    def token(self, assertion: str, scope: str, audience: str, *, address: str = "") -> Grant:
        """An access token for a signed assertion (`gateway.access.assertions`). ``audience`` is the URL of the token endpoint. What is
        granted lies within what was asked for and what the client is registered for. Raises `GrantRefused`."""
        claimed = ""
        try:
            read = read_assertion(assertion)
            claimed = read.client
            self._wait_or_refuse(claimed, address)
            grant = self._grant(read, scope, audience)
        except AssertionRefused as refused:
            self._note("assertion", claimed, refused.reason, address)
            raise GrantRefused("invalid_client", refused.message, action=refused.action, english=refused.english) from None
        self._failures.forget([_key("assertion", claimed, address)])
        if not grant.scopes:
            raise _scope_refused("未登记所请求的权限", "none of the scopes is registered for this client")
        return grant

    def _grant(self, read: Assertion, scope: str, audience: str) -> Grant:
        with self._ledger.read() as session:
            client = session.get(Client, read.client)
            if client is None or client.disabled:
                raise AssertionRefused("disabled" if client is not None else "unknown")
            held = parse_scopes(client.scopes)
            keys = session.exec(
                select(ClientCredential).where(ClientCredential.client == client.name, ClientCredential.kind == "public-key")
            )
            public_keys = {key.kid: key.public_key for key in keys}
        id, until = verified(read, public_keys, audience, now())
        granted = narrowed(_asked(scope), held)
        grant = Grant(TOKEN_PREFIX + secrets.token_urlsafe(32), granted, int(LIFETIME.total_seconds()))
        used = digest(f"{read.client}\n{id}")
        with self._ledger.write() as session:
            at = now()
            session.execute(delete(UsedAssertion).where(col(UsedAssertion.expires_at) < at))
            session.execute(delete(ClientToken).where(col(ClientToken.expires_at) < at))
            if session.get(UsedAssertion, used) is not None:
                raise AssertionRefused("used before")
            session.add(UsedAssertion(digest=used, expires_at=until))
            if granted:
                text, name = written(granted), read.client
                session.add(ClientToken(digest=digest(grant.token), client=name, scopes=text, expires_at=at + LIFETIME))
                record(session, Event("client.admitted", f"client:{name}", {"scopes": text}, f"client:{name}"))
        return grant

    def _who(self, kind: str, shown: str, address: str) -> ClientAccess:
        with self._ledger.read() as session:
            statement = select(ClientCredential).where(ClientCredential.kind == kind, ClientCredential.digest == shown)
            credential = session.exec(statement).first()
            client = session.get_one(Client, credential.client) if credential is not None else None
        if credential is None or client is None:
            name, reason = "", "unknown"
        elif client.disabled:
            name, reason = client.name, "disabled"
        elif credential.expires_at is not None and credential.expires_at <= now():
            name, reason = client.name, "expired"
        else:
            return ClientAccess(client.name, client.source, parse_scopes(client.scopes))
        self._note(kind, name, reason, address)
        raise AccessDenied("客户端凭据无效", action="请核对接口密钥或客户端证书", english="the client's credential is not valid")

    def _wait_or_refuse(self, claimed: str, address: str) -> None:
        left = self._failures.left([_key("assertion", claimed, address)])
        if left > 0:
            action = f"请 {int(left) + 1} 秒后再试"
            raise GrantRefused("invalid_client", "失败次数过多", action=action, english="too many failures, try again later")

    def _note(self, way: str, claimed: str, reason: str, address: str) -> None:
        """Count a refusal and write it down, once the address need not wait. Clients that do not exist count as one."""
        with self._ledger.read() as session:
            name = claimed if session.get(Client, claimed) is not None else ""
        key = _key(way, name, address)
        if self._failures.left([key]) > 0:
            return
        self._failures.note({key: LONGEST_WAIT})
        with self._ledger.write() as session:
            record(session, Event("client.refused", f"client:{name or 'unknown'}", {"by": way, "reason": reason}))


def _key(way: str, name: str, address: str) -> Key:
    return digest(f"{way} {name}"), address


def _asked(scope: str) -> tuple[Scope, ...]:
    try:
        asked = parse_scopes(scope)
    except UnusableInput as error:
        raise _scope_refused(error.message, error.english) from None
    if not asked:
        raise _scope_refused("没有请求任何权限", "no scope is asked for")
    return asked


def _scope_refused(message: str, english: str) -> GrantRefused:
    return GrantRefused("invalid_scope", message, action="请核对 scope 与登记的权限", english=english)
