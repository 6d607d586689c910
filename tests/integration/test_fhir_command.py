"""``zhibao fhir``: front sheets and FHIR in, FHIR R4 bundles out, a file for each stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from adapters.fhir import wire
from adapters.fhir.structure import faults
from conformance.sample.files import write_sample
from gateway.commands.fhir import fhir
from tests.fhir_profiles import findings_of

TUMOURS = ("C50.900", "C73.x00")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight front sheets of one month."""
    (path,) = write_sample(tmp_path_factory.mktemp("sheets"), stays=8, months=("2026-10",), spoiled=False)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A patient with two primary tumours, as mCODE shapes them."""
    subject = {"reference": "Patient/p"}
    confirmed = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]}
    listed: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": "p",
            "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": "R-77"}],
            "name": [{"text": "欧阳试"}],
        },
        {
            "resourceType": "Encounter",
            "id": "e",
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "extension": [{"url": "urn:zhibao:admission-number", "valueInteger": 1}],
            "subject": subject,
            "period": {"start": "2026-10-01T08:00:00+08:00", "end": "2026-10-09T10:00:00+08:00"},
        },
        *(
            {
                "resourceType": "Condition",
                "id": f"c{number}",
                "meta": {"profile": ["http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-primary-cancer-condition"]},
                "verificationStatus": confirmed,
                "code": {"coding": [{"system": "urn:zhibao:ICD10-GB-CLIN-2.0", "code": code}]},
                "subject": subject,
                "encounter": {"reference": "Encounter/e"},
            }
            for number, code in enumerate(TUMOURS)
        ),
    ]
    path = tmp_path / "bundle.json"
    entries = [{"fullUrl": f"http://his.example/{one['resourceType']}/{one['id']}", "resource": one} for one in listed]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}), "utf-8")
    return path


def run(*arguments: object) -> int:
    code = fhir.main([str(argument) for argument in arguments], standalone_mode=False)
    assert isinstance(code, int)
    return code


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The files of a folder, each of them valid R4."""
    found = {}
    for path in sorted(folder.iterdir()):
        document = wire.read(path.read_bytes())
        assert faults(document.body, "R4") == []
        found[path.name] = json.loads(path.read_text("utf-8"))
    return found


def kinds(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in bundle["entry"]]


def test_front_sheets_become_bundles(sheet: Path, tmp_path: Path) -> None:
    assert run(sheet, "--out", tmp_path / "out") == 0
    files = read(tmp_path / "out")
    assert len(files) == 8
    for name, bundle in files.items():
        assert name.startswith("zb-")
        assert bundle["type"] == "collection"
        assert kinds(bundle)[:2] == ["Patient", "Encounter"]
        (provenance,) = (entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Provenance")
        assert provenance["entity"][0]["role"] == "source"


def test_a_second_run_names_the_same_files(sheet: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        run(sheet, "--out", tmp_path / folder, "--bundle", "mcode")
    assert list(read(tmp_path / "one")) == list(read(tmp_path / "two"))


def test_messages_become_an_mcode_bundle(bundle: Path, tmp_path: Path) -> None:
    assert (
        run(bundle, "--organisation", "99ORG", "--out", tmp_path / "out", "--bundle", "mcode", "--base", "https://a.example/r4/")
        == 0
    )
    (made,) = read(tmp_path / "out").values()
    assert made["meta"]["profile"] == ["http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-patient-bundle"]
    assert all(entry["fullUrl"].startswith("https://a.example/r4/") for entry in made["entry"])
    conditions = [entry["resource"] for entry in made["entry"] if entry["resource"]["resourceType"] == "Condition"]
    assert {condition["code"]["coding"][0]["code"] for condition in conditions} == set(TUMOURS)


def test_each_primary_tumour_has_its_report(bundle: Path, tmp_path: Path) -> None:
    assert run(bundle, "--organisation", "99ORG", "--out", tmp_path / "out", "--bundle", "ccrr") == 0
    reports = read(tmp_path / "out").values()
    assert [kinds(report)[0] for report in reports] == ["Composition", "Composition"]
    primaries = [
        section["entry"][0]["reference"]
        for report in reports
        for section in report["entry"][0]["resource"]["section"]
        if section["code"]["coding"][0]["code"] == "363346000"
    ]
    assert len(set(primaries)) == 2


def test_reports_as_messages(bundle: Path, tmp_path: Path) -> None:
    event, endpoint = "http://registry.example/events|report", "https://hospital.example/fhir"
    where = (bundle, "--organisation", "99ORG", "--out", tmp_path / "out")
    assert run(*where, "--bundle", "ccrr-message", "--event", event, "--endpoint", endpoint) == 0
    messages = read(tmp_path / "out").values()
    assert len(messages) == 2
    for message in messages:
        assert message["type"] == "message"
        assert kinds(message) == ["MessageHeader", "Bundle"]
        header, content = (entry["resource"] for entry in message["entry"])
        assert header["eventCoding"] == {"system": "http://registry.example/events", "code": "report"}
        assert header["source"]["endpoint"] == endpoint
        assert header["focus"] == [{"reference": f"Bundle/{content['id']}"}]
        assert kinds(content)[0] == "Composition"
        errors = [finding for finding in findings_of(message, "ccrr-reporting-bundle") if finding.severity == "error"]
        assert errors == []


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("ccrr-message", ()),
        ("ccrr-message", ("--event", "urn:x|report")),
        ("ccrr-message", ("--event", "report", "--endpoint", "https://hospital.example")),
        ("ccrr-message", ("--event", "urn:x|", "--endpoint", "https://hospital.example")),
        ("ccrr", ("--event", "urn:x|report")),
        ("plain", ("--endpoint", "https://hospital.example")),
    ],
)
def test_what_was_agreed_with_the_registry_is_told_for_messages_only(
    bundle: Path, tmp_path: Path, kind: str, more: tuple[str, ...]
) -> None:
    with pytest.raises(click.UsageError, match="--event"):
        run(bundle, "--organisation", "99ORG", "--out", tmp_path / "out", "--bundle", kind, *more)
    assert not (tmp_path / "out").exists()


def test_nothing_usable_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("", "utf-8")
    assert run(tmp_path / "empty.csv", "--out", tmp_path / "out") == 2
