"""Signed assertions: how a client of SMART backend services proves who it is (RFC 7523, private_key_jwt).

SMART App Launch 2.2.0, "Client Authentication: Asymmetric": the header names algorithm, key and type; ``iss`` and ``sub`` are the client's
id, ``aud`` the URL of the token endpoint, ``exp`` at most five minutes ahead, ``jti`` good for one use. The algorithms are exactly the two
that SMART demands of every server; the key decides which of them it is, never the header alone.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from gateway.model.errors import AccessDenied, UnusableInput

ALGORITHMS: Final = ("ES384", "RS384")
LONGEST: Final = timedelta(minutes=5)
LONGEST_ID: Final = 255
"""Characters of a ``jti``."""

_registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # RFC 7515: what is not understood is ignored


class AssertionRefused(AccessDenied):
    """An assertion proves nothing. ``reason`` is a stable word for the audit log; the sender does not learn it."""

    def __init__(self, reason: str) -> None:
        super().__init__("客户端身份未能确认", action="请核对客户端编号、密钥和签名断言", english="client authentication failed")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says, before (`read_assertion`) and after (`verified`) its signature was checked."""

    client: str
    claims: Mapping[str, Any]
    header: Mapping[str, Any]
    signed: jws.CompactSignature


def read_assertion(text: str) -> Assertion:
    """An assertion and whom it claims to come from, nothing verified. Raises `AssertionRefused`."""
    try:
        signed = jws.extract_compact(text.encode(), registry=_registry)
        claims = json.loads(signed.payload or b"")
    except (JoseError, TypeError, ValueError, RecursionError):
        raise AssertionRefused("malformed") from None
    header: object = signed.protected  # whatever JSON the sender wrote
    if not isinstance(header, dict) or not isinstance(claims, dict) or not isinstance(claims.get("iss"), str):
        raise AssertionRefused("malformed")
    return Assertion(claims["iss"], claims, header, signed)


def verified(assertion: Assertion, public_keys: Mapping[str, str], audience: str, at: datetime) -> tuple[str, datetime]:
    """The id of an assertion that proves what it says, and until when it is good. ``public_keys`` are the client's JWKs (JSON) by ``kid``.
    Raises `AssertionRefused`."""
    header, claims = assertion.header, assertion.claims
    if header.get("alg") not in ALGORITHMS:
        raise AssertionRefused("algorithm")
    if not {"crit", "b64", "jku"}.isdisjoint(header) or str(header.get("typ", "JWT")).upper() != "JWT":
        raise AssertionRefused("header")  # a key set is registered, never fetched from where the sender says
    public_key = public_keys.get(kid) if isinstance(kid := header.get("kid"), str) else None
    if public_key is None:
        raise AssertionRefused("key")
    try:
        genuine = jws.validate_compact(assertion.signed, import_key(json.loads(public_key)), registry=_registry)
    except (JoseError, TypeError, ValueError):
        raise AssertionRefused("signature") from None
    if not genuine:
        raise AssertionRefused("signature")
    if claims.get("sub") != assertion.client:
        raise AssertionRefused("subject")
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        raise AssertionRefused("audience")
    id = claims.get("jti")
    if not isinstance(id, str) or not 0 < len(id) <= LONGEST_ID:
        raise AssertionRefused("jti")
    return id, _end(claims, at)


def _end(claims: Mapping[str, Any], at: datetime) -> datetime:
    """When the assertion ends. Comparisons that must hold refuse what JSON in Python lets through as a number (NaN), too."""
    end, begin, seconds = _seconds(claims.get("exp")), _seconds(claims.get("nbf", 0)), at.timestamp()
    if not end > seconds:
        raise AssertionRefused("expired")
    if not end <= seconds + LONGEST.total_seconds():
        raise AssertionRefused("too long")
    if not begin <= seconds:
        raise AssertionRefused("not yet")
    return datetime.fromtimestamp(end, UTC)


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise AssertionRefused("times")


def public_keys_of(text: str | bytes) -> dict[str, str]:
    """The keys of a JWK Set file that can verify assertions, as JSON by ``kid``: RSA of at least 2048 bits, or EC P-384, with a ``kid`` and
    without a private part. Keys for other purposes are left out (RFC 7517 section 5). Raises `UnusableInput`."""
    try:
        content = json.loads(text)
        keys = [key for key in content["keys"] if isinstance(key, dict)]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UnusableInput("不是 JWK Set 文件", action='文件内容应为 {"keys": […]}', english="not a JWK Set") from None
    if any({"d", "p", "q", "k"} & key.keys() for key in keys):
        raise UnusableInput(
            "JWK Set 中有私钥", action="请只提供公钥，并把已外泄的私钥作废", english="the JWK Set holds a private or shared key"
        )
    found: dict[str, str] = {}
    for key in keys:
        kid = key.get("kid")
        if not isinstance(kid, str) or not kid or not _verifies(key):
            continue
        if kid in found:
            raise UnusableInput("JWK Set 中有重复的 kid", english="a kid occurs twice in the JWK Set")
        found[kid] = json.dumps(key, sort_keys=True)
    if not found:
        raise UnusableInput(
            "JWK Set 中没有可用的公钥",
            action="需要带 kid 的 RSA（至少 2048 位）或 EC P-384 公钥，用于 RS384 或 ES384 签名",
            english="no usable public key: RSA of 2048 bits or EC P-384, with a kid",
        )
    return found


def thumbprint(public_key: str) -> str:
    """The digest by which a key is known however it is written (RFC 7638)."""
    return import_key(json.loads(public_key)).thumbprint()


def _verifies(key: dict[str, Any]) -> bool:
    if key.get("kty") not in ("RSA", "EC") or key.get("use", "sig") != "sig" or key.get("alg", ALGORITHMS[0]) not in ALGORITHMS:
        return False
    if "verify" not in key.get("key_ops", ["verify"]):
        return False
    try:
        if key["kty"] == "RSA":
            return _bits(key["n"]) >= 2048 and key.get("alg", "RS384") == "RS384" and isinstance(import_key(key), RSAKey)
        return key["crv"] == "P-384" and key.get("alg", "ES384") == "ES384" and isinstance(import_key(key), ECKey)
    except (JoseError, LookupError, TypeError, ValueError):
        return False


def _bits(modulus: str) -> int:
    """The length of an RSA key, looked at before the library is given one that it warns of."""
    return int.from_bytes(urlsafe_b64decode(modulus + "==")).bit_length()
