"""Public keys of clients, and assertions under random input. What a real one must say is tested against the served gateway."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.access.assertions import AssertionRefused, public_keys_of, read_assertion, verified
from gateway.model.errors import UnusableInput
from tests.signing import Signer, b64, jwks

AUDIENCE = "https://zhibao.example/fhir/token"
SIGNER = Signer()
KEYS = public_keys_of(jwks(SIGNER))
AT = datetime(2026, 10, 1, 8, tzinfo=UTC)
GOOD = {"iss": "his", "sub": "his", "aud": AUDIENCE, "exp": AT.timestamp() + 300, "jti": "1"}


def refusal(text: str) -> str:
    with pytest.raises(AssertionRefused) as refused:
        verified(read_assertion(text), KEYS, AUDIENCE, AT)
    return refused.value.reason


def test_exactly_five_minutes_are_good() -> None:
    id, until = verified(read_assertion(SIGNER.sign(GOOD)), KEYS, AUDIENCE, AT)
    assert (id, (until - AT).total_seconds()) == ("1", 300)
    assert refusal(SIGNER.sign({**GOOD, "exp": AT.timestamp() + 300.5})) == "too long"
    assert refusal(SIGNER.sign({**GOOD, "exp": AT.timestamp()})) == "expired"


@pytest.mark.parametrize("exp", [float("nan"), float("inf"), "soon", None, True, [1], 10**400])
def test_an_end_that_is_no_time(exp: Any) -> None:
    assert refusal(SIGNER.sign({**GOOD, "exp": exp})) in ("times", "expired", "too long")


@pytest.mark.parametrize("jti", [None, 5, "", "x" * 256, ["1"]])
def test_an_id_that_is_none(jti: Any) -> None:
    assert refusal(SIGNER.sign({**GOOD, "jti": jti})) == "jti"


def test_an_audience_may_be_one_of_several() -> None:
    assert verified(read_assertion(SIGNER.sign({**GOOD, "aud": ["https://other.example", AUDIENCE]})), KEYS, AUDIENCE, AT)
    assert refusal(SIGNER.sign({**GOOD, "aud": AUDIENCE + "/"})) == "audience"
    assert refusal(SIGNER.sign({**GOOD, "aud": [[AUDIENCE]]})) == "audience"


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": True}, {"jku": "https://evil.example/jwks"}, {"typ": "logout+jwt"}])
def test_headers_that_change_the_meaning(header: dict[str, Any]) -> None:
    assert refusal(SIGNER.sign(GOOD, **header)) == "header"


def test_headers_that_are_not_understood_are_ignored() -> None:
    assert verified(read_assertion(SIGNER.sign(GOOD, hint="x", typ="jwt")), KEYS, AUDIENCE, AT)


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, signature = SIGNER.sign({**GOOD, "iss": "other", "sub": "other"}).split(".")
    assert refusal(f"{head}.{b64(json.dumps(GOOD).encode())}.{signature}") == "signature"


def compact(header: bytes, payload: bytes, signature: str = "AA") -> str:
    return f"{b64(header)}.{b64(payload)}.{signature}"


@given(st.one_of(st.text(max_size=200), st.builds(compact, st.binary(max_size=60), st.binary(max_size=60))))
@example(compact(b"[" * 300, b"{}"))
@example(compact(b'{"alg":"ES384"}', b"[" * 40000))
@example(compact(b'["alg"]', b"{}"))
@example(compact(b'{"alg":["ES384"]}', b'{"iss":"his"}'))
@example(compact(b'{"alg":"ES384","kid":["k1"]}', b'{"iss":"his"}'))
@example(compact(b'{"alg":"ES384","kid":"k1"}', b'{"iss":"his"}', "!!"))
@example("a.b.c.d")
@example("\ud800")
def test_anything_else_is_refused_and_nothing_breaks(text: str) -> None:
    assert refusal(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)


@given(
    st.dictionaries(st.sampled_from(["kid", "typ", "x5c", "cty", "crit", "jwk"]), json_values),
    st.sampled_from(sorted(GOOD)),
    json_values,
)
def test_well_signed_nonsense_is_refused_or_good(header: dict[str, Any], claim: str, value: Any) -> None:
    with suppress(AssertionRefused):
        verified(read_assertion(SIGNER.sign({**GOOD, claim: value}, **header)), KEYS, AUDIENCE, AT)


def test_only_keys_that_fit_are_taken() -> None:
    small, p256 = Signer.rsa("small", 1024), Signer("p256", ec.generate_private_key(ec.SECP256R1()))
    unnamed = {name: value for name, value in SIGNER.jwk.items() if name != "kid"}
    encrypting, other = {**SIGNER.jwk, "kid": "enc", "use": "enc"}, {**SIGNER.jwk, "kid": "es256", "alg": "ES256"}
    unknown, broken = {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "AA"}, {**SIGNER.jwk, "kid": "broken", "x": "AA"}
    bad = [small.jwk, p256.jwk, unnamed, encrypting, other, unknown, broken]
    good = Signer.rsa("r")
    assert set(public_keys_of(json.dumps({"keys": [*bad, SIGNER.jwk, good.jwk]}))) == {"k1", "r"}
    with pytest.raises(UnusableInput, match="没有可用的公钥"):
        public_keys_of(json.dumps({"keys": bad}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 5}', '{"keys": []}', '{"keys": ["k"]}', "[" * 100000, b"\xff"])
def test_what_is_no_key_set(text: str | bytes) -> None:
    with pytest.raises(UnusableInput):
        public_keys_of(text)


def test_a_private_key_is_refused_and_not_repeated() -> None:
    leaked = {**SIGNER.jwk, "d": "c2VjcmV0"}
    with pytest.raises(UnusableInput, match="私钥") as refused:
        public_keys_of(json.dumps({"keys": [leaked]}))
    assert "c2VjcmV0" not in f"{refused.value}{refused.value.english}"
    with pytest.raises(UnusableInput, match="私钥"):
        public_keys_of(json.dumps({"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}]}))


def test_a_name_must_stand_for_one_key() -> None:
    with pytest.raises(UnusableInput, match="重复的 kid"):
        public_keys_of(jwks(SIGNER, Signer()))
