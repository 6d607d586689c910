"""Keys of a client and JWTs signed with them, made from RFC 7515–7518 by hand: the product verifies with a library, the tests sign without."""

from __future__ import annotations

import hmac
import json
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384()}


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int, size: int) -> str:
    return b64(value.to_bytes(size))


@dataclass
class Signer:
    """A key pair named ``kid``: EC on the curve P-384 unless another key is given."""

    kid: str = "k1"
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def rsa(cls, kid: str = "k1", bits: int = 2048) -> Signer:
        return cls(kid, rsa.generate_private_key(65537, bits))

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key (RFC 7518 section 6)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            numbers = self.key.public_key().public_numbers()
            return {"kty": "RSA", "kid": self.kid, "n": _number(numbers.n, self.key.key_size // 8), "e": _number(numbers.e, 3)}
        point, size = self.key.public_key().public_numbers(), self.key.curve.key_size // 8
        curve = {32: "P-256", 48: "P-384"}[size]
        return {"kty": "EC", "crv": curve, "kid": self.kid, "x": _number(point.x, size), "y": _number(point.y, size)}

    @property
    def pem(self) -> bytes:
        """The public key as PEM, which an attacker knows."""
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: Any, *, alg: str = "", **header: Any) -> str:
        """A JWT; ``alg`` may be one that does not fit the key or signs nothing."""
        alg = alg or ("RS384" if isinstance(self.key, rsa.RSAPrivateKey) else "ES384")
        shown = {"alg": alg, "kid": self.kid, "typ": "JWT", **header}
        signed = f"{b64(json.dumps(shown).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(self._signature(alg, signed.encode()))}"

    def _signature(self, alg: str, signed: bytes) -> bytes:
        if alg.lower() == "none":
            return b""
        if alg.startswith("HS"):
            return hmac.digest(self.pem, signed, f"sha{alg[2:]}")
        chosen = HASHES[alg[2:]]
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(signed, padding.PKCS1v15(), chosen)
        r, s = decode_dss_signature(self.key.sign(signed, ec.ECDSA(chosen)))
        size = self.key.curve.key_size // 8
        return r.to_bytes(size) + s.to_bytes(size)


def jwks(*signers: Signer) -> str:
    return json.dumps({"keys": [signer.jwk for signer in signers]})


def claims(client: str, audience: str, **other: Any) -> dict[str, Any]:
    """What a well-behaved client says, good for four minutes."""
    said = {"iss": client, "sub": client, "aud": audience, "exp": int(time.time()) + 240, "jti": str(uuid.uuid4())}
    return {name: value for name, value in {**said, **other}.items() if value is not None}
