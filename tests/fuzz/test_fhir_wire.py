"""Any bytes given to the FHIR reader: a refusal or a message, soon, and never anything else. What is right is read without a fault and
survives XML; what fhir.resources refuses of a spoiled resource is refused here too."""

from __future__ import annotations

import importlib
import re
import time
import tracemalloc
import warnings
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.fhir import json_text, wire
from adapters.fhir.refusal import FhirRefused
from adapters.fhir.resource import Release
from adapters.fhir.structure import document_faults, faults
from adapters.fhir.xml import to_xml
from tests.fuzz.fhir_bodies import resources, spoiled

LONGEST_SECONDS = 2.0
CONTENT_TYPES = st.sampled_from(("", "application/fhir+json", "application/fhir+xml", "application/fhir+json; fhirVersion=5.0"))
RELEASES: tuple[Release, ...] = ("R4", "R5")


def read(raw: bytes, content_type: str = "") -> wire.Document | None:
    """What is read, or None for what is refused; checks that either is done soon and as promised."""
    begun = time.monotonic()
    try:
        document = wire.read(raw, content_type=content_type)
        for entry in document.entries:
            assert not entry.kind or msgspec.json.decode(entry.raw)["resourceType"] == entry.kind
        document_faults(document)
    except FhirRefused as refusal:
        document, refused = None, refusal
    assert time.monotonic() - begun < LONGEST_SECONDS
    assert document is not None or (refused.issues and refused.status in (400, 415, 422))
    return document


@given(st.binary(max_size=300), CONTENT_TYPES)
def test_any_bytes(raw: bytes, content_type: str) -> None:
    read(raw, content_type)
    wire.read_lines(raw)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(
            st.sampled_from(("resourceType", "type", "entry", "resource", "request", "meta", "_id", "x")), inside, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(("Bundle", "Patient", "Parameters")), st.sampled_from(("batch", "message", "history", "x")), _anything)
def test_any_json(kind: str, bundle_type: str, inside: Any) -> None:
    read(msgspec.json.encode({"resourceType": kind, "type": bundle_type, "entry": inside, "contained": [inside], "name": inside}))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(RELEASES))
def test_damaged_messages(data: st.DataObject, release: Release) -> None:
    body = data.draw(resources(release))
    raw = to_xml(body, release) if data.draw(st.booleans()) else json_text.encode(body)
    at, cut = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 20))
    read(raw[:at] + data.draw(st.binary(max_size=5)) + raw[at + cut :])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(RELEASES))
def test_right_resources(data: st.DataObject, release: Release) -> None:
    body = data.draw(resources(release))
    assert faults(body, release) == []
    assert wire.read(json_text.encode(body), release=release).body == body
    assert wire.read(to_xml(body, release), release=release).body == body


def accepts(body: dict[str, Any], release: Release) -> bool:
    """Does fhir.resources take it? A resource type that it does not know it refuses."""
    package = "fhir.resources.R4B" if release == "R4" else "fhir.resources"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind = body["resourceType"]
            model = getattr(importlib.import_module(f"{package}.{kind.lower()}"), kind)
            model.model_validate(body)
        except Exception:
            return False
    return True


TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d(?:\.\d+)?)?", re.ASCII)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data(), st.sampled_from(RELEASES))
def test_what_fhir_resources_refuses_is_refused(data: st.DataObject, release: Release) -> None:
    """But for times without seconds or zone, which are read as China time (decision 0015)."""
    body = data.draw(spoiled(data.draw(resources(release))))
    if not accepts(completed(body), release):
        assert faults(body, release) != []


def completed(value: Any) -> Any:
    """The same with seconds and a zone in every time that lacks them."""
    if isinstance(value, dict):
        return {name: completed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [completed(item) for item in value]
    match = TIME.fullmatch(value) if isinstance(value, str) else None
    return f"{match[1]}{match[2] or ':00'}Z" if match is not None else value


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"resourceType":"Patient","x":' + b"[" * 3_000_000, id="open arrays"),
        pytest.param(b'{"resourceType":"Patient","x":"' + b'\\"' * 3_000_000, id="open text"),
        pytest.param(b'{"resourceType":"Patient","x":"' + b'\\":' * 1_000_000 + b'"}', id="looks like members"),
        pytest.param(b'{"resourceType":"Patient","x":' + b"1" * 5_000_000 + b"}", id="digits"),
        pytest.param(b'{"resourceType":"Patient","x":1e' + b"1" * 1_000_000 + b"}", id="exponent"),
        pytest.param(b'{"resourceType":"Patient","birthDate":"' + b"2" * 5_000_000 + b'"}', id="long date"),
        pytest.param(b'{"resourceType":"Patient","gender":"' + b"a " * 2_000_000 + b'"}', id="long code"),
        pytest.param(b'{"resourceType":"Patient","photo":[{"data":"' + b" " * 4_000_000 + b'"}]}', id="blank base64"),
        pytest.param(b'{"resourceType":"Patient",' + b",".join(b'"x%d":1' % n for n in range(200_000)) + b"}", id="many members"),
        pytest.param(b"<!--" * 1_000_000, id="open comments"),
        pytest.param(b"<?a " + b"?" * 3_000_000, id="open instruction"),
        pytest.param(b'<Patient xmlns="http://hl7.org/fhir">' + b"<x>" * 1_000_000, id="open elements"),
        pytest.param(b'<Patient xmlns="http://hl7.org/fhir">' + b"<active/>" * 200_000 + b"</Patient>", id="many elements"),
        pytest.param(b" " * 5_000_000 + b"<", id="blanks"),
    ],
)
def test_hostile_sizes(raw: bytes) -> None:
    document = read(raw)
    assert document is None or document_faults(document) != []


def test_a_long_bundle_needs_little_memory() -> None:
    """6 MB of entries: the reader holds slices of the bytes, not all of them decoded (which is ten times as much)."""
    names = b",".join([b'{"text":"' + b"a" * 20 + b'"}'] * 8)
    entry = b'{"resource":{"resourceType":"Patient","name":[' + names + b'],"gender":"male","birthDate":"1950-01-01"}},'
    raw = b'{"resourceType":"Bundle","type":"collection","entry":[' + (entry * (6_000_000 // len(entry)))[:-1] + b"]}"
    tracemalloc.start()
    try:
        document = wire.read(raw)
        assert document_faults(document) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(document.entries) > 15_000
    assert peak < 6 * len(raw)
