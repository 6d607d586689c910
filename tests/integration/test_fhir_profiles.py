"""``zhibao check --profile`` on FHIR files: bundles, single resources, bulk files and XML; output lines and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Zhibao
from tests.corpora import MCODE, files_of, needs_corpora

TUMOUR_SIZE = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-tumor-size"


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "gender": "female", "name": [{"text": "测试乙"}], "birthDate": "1961-02-03", **more}


def tumour_size(**more: Any) -> dict[str, Any]:
    size, longest = ({"coding": [{"system": "http://loinc.org", "code": code}]} for code in ("21889-1", "33728-7"))
    body = {"resourceType": "Observation", "meta": {"profile": [TUMOUR_SIZE]}, "status": "final", "code": size}
    return {**body, "subject": {"reference": "Patient/1"}, "component": [{"code": longest}], **more}


def file_of(path: Path, *resources: dict[str, Any], type: str = "collection") -> Path:
    whole: Any = resources[0]
    if len(resources) > 1:
        whole = {"resourceType": "Bundle", "type": type, "entry": [{"resource": resource} for resource in resources]}
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return path


def found(lines: list[dict[str, Any]], severity: str = "error") -> list[tuple[int, str, list[str]]]:
    return [(line["row"], line["rule"], line["fields"]) for line in lines if line["severity"] == severity]


def test_base_checks_everything_in_a_bundle(zhibao: Zhibao, tmp_path: Path) -> None:
    good = file_of(tmp_path / "good.json", patient(), tumour_size())
    assert (zhibao("check", good, "--profile", "base").code, zhibao("check", good, "--profile", "base").out) == (0, "")
    bad = file_of(
        tmp_path / "bad.json", patient(gender="女", frist="x"), tumour_size(valueString="x", dataAbsentReason={"text": "x"})
    )
    ran = zhibao("check", bad, "--profile", "base")
    assert ran.code == 1
    assert found(ran.lines) == [
        (0, "ZB-FHIR-unknown-element", ["Bundle.entry[0].resource.frist"]),
        (0, "ZB-FHIR-code", ["Bundle.entry[0].resource.gender"]),
        (0, "obs-6", ["Bundle.entry[1].resource"]),
    ]
    assert found(ran.lines, "warning") == []  # the second opinion is silent about what was said already
    assert set(ran.lines[0]) == {"file", "row", "fields", "severity", "rule", "message", "english"}


def test_structure_only(zhibao: Zhibao, tmp_path: Path) -> None:
    bad = file_of(tmp_path / "bad.json", patient(gender="女", frist="x"))
    assert found(zhibao("check", bad, "--profile", "structure").lines) == [(0, "ZB-FHIR-unknown-element", ["Patient.frist"])]


def test_declared_profiles(zhibao: Zhibao, tmp_path: Path) -> None:
    older = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-no-longer"
    unknown = patient(meta={"profile": ["http://his.example/p", older]})
    ran = zhibao("check", file_of(tmp_path / "a.json", patient(), unknown, tumour_size()), "--profile", "declared")
    assert ran.code == 1
    assert found(ran.lines) == [(0, "must-have-focus-or-specimen-invariant", ["Bundle.entry[2].resource"])]
    assert found(ran.lines, "info") == [(0, "ZB-FHIR-profile-not-declared", ["Bundle"])]
    assert found(ran.lines, "not-checked") == [(0, "ZB-FHIR-profile-not-known", ["Bundle.entry[1].resource.meta.profile[0]"])]
    assert "另有 1 处" in next(line["message"] for line in ran.lines if line["rule"] == "ZB-FHIR-profile-not-known")


@pytest.mark.parametrize("name", ["mcode-tumor-size", TUMOUR_SIZE])
def test_a_profile_by_name_applies_to_the_entries_of_its_type(zhibao: Zhibao, tmp_path: Path, name: str) -> None:
    ran = zhibao("check", file_of(tmp_path / "a.json", patient(gender="x"), tumour_size()), "--profile", name)
    assert found(ran.lines) == [(0, "must-have-focus-or-specimen-invariant", ["Bundle.entry[1].resource"])]
    focus = tumour_size(focus=[{"reference": "BodyStructure/1"}])
    assert zhibao("check", file_of(tmp_path / "b.json", focus), "--profile", name).code == 0


def test_several_profiles_and_files(zhibao: Zhibao, tmp_path: Path) -> None:
    one, other = file_of(tmp_path / "1.json", patient(gender="x")), file_of(tmp_path / "2.json", tumour_size())
    ran = zhibao("check", one, other, "--profile", "base", "--profile", "declared")
    assert [(line["file"], line["rule"]) for line in ran.lines if line["severity"] == "error"] == [
        ("1.json", "ZB-FHIR-code"),
        ("2.json", "must-have-focus-or-specimen-invariant"),
    ]


def test_a_profile_that_nothing_in_the_file_is_for(zhibao: Zhibao, tmp_path: Path) -> None:
    ran = zhibao("check", file_of(tmp_path / "a.json", patient()), "--profile", "mcode-tumor-size")
    assert (ran.code, found(ran.lines, "warning")) == (0, [(0, "ZB-FHIR-profile-unused", [])])


def test_a_profile_of_another_release(zhibao: Zhibao, tmp_path: Path) -> None:
    stay = {"resourceType": "Encounter", "status": "completed", "class": [{"text": "住院"}]}  # a list: R5
    size = {name: value for name, value in tumour_size().items() if name != "meta"}
    ran = zhibao("check", file_of(tmp_path / "a.json", stay, size), "--profile", "mcode-tumor-size")
    assert (ran.code, found(ran.lines, "not-checked")) == (0, [(0, "ZB-FHIR-profile-release", ["Bundle.entry[1].resource"])])


def test_unknown_names_list_those_that_there_are(zhibao: Zhibao, tmp_path: Path) -> None:
    ran = zhibao("check", file_of(tmp_path / "a.json", patient()), "--profile", "nonsense")
    assert (ran.code, ran.out) == (2, "")
    assert "zhibao-inpatient-encounter" in ran.err
    assert "mcode-primary-cancer-condition" in ran.err


def test_files_of_the_hospitals_own(zhibao: Zhibao, tmp_path: Path) -> None:
    root = {"id": "Patient", "path": "Patient", "min": 0, "max": "*"}
    phone = {"id": "Patient.telecom", "path": "Patient.telecom", "min": 1, "max": "*", "type": [{"code": "ContactPoint"}]}
    own = {"resourceType": "StructureDefinition", "url": "http://his.example/own", "type": "Patient", "derivation": "constraint"}
    (tmp_path / "own.json").write_text(json.dumps({**own, "snapshot": {"element": [root, phone]}}), encoding="utf-8")
    file = file_of(tmp_path / "a.json", patient())
    ran = zhibao("check", file, "--profile", tmp_path / "own.json")
    assert found(ran.lines) == [(0, "ZB-FHIR-required", ["Patient.telecom"])]
    assert "own" in ran.lines[0]["message"]
    assert zhibao("check", file, "--profile", tmp_path / "none.json").code == 2
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    assert zhibao("check", file, "--profile", tmp_path / "broken.json").code == 2


def test_bulk_files_name_the_line(zhibao: Zhibao, tmp_path: Path) -> None:
    lines = [json.dumps(patient()), "", json.dumps(patient(gender="x")), "{", json.dumps(patient(frist="x"))]
    (tmp_path / "Patient.ndjson").write_text("\n".join(lines), encoding="utf-8")
    ran = zhibao("check", tmp_path / "Patient.ndjson", "--profile", "base")
    assert ran.code == 1
    assert sorted(found(ran.lines)) == [
        (2, "ZB-FHIR-code", ["Patient.gender"]),
        (3, "ZB-FHIR-json", []),
        (4, "ZB-FHIR-unknown-element", ["Patient.frist"]),
    ]


def test_lines_are_counted_over_the_whole_of_a_bulk_file(zhibao: Zhibao, tmp_path: Path) -> None:
    lines = [json.dumps(patient())] * 600 + [json.dumps(patient(gender="x"))]
    (tmp_path / "Patient.ndjson").write_text("\n".join(lines), encoding="utf-8")
    assert found(zhibao("check", tmp_path / "Patient.ndjson", "--profile", "base").lines) == [
        (600, "ZB-FHIR-code", ["Patient.gender"])
    ]


def test_xml(zhibao: Zhibao, tmp_path: Path) -> None:
    xml = '<Patient xmlns="http://hl7.org/fhir"><gender value="x"/></Patient>'
    (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
    ran = zhibao("check", tmp_path / "a.xml", "--profile", "base")
    assert (ran.code, found(ran.lines)) == (1, [(0, "ZB-FHIR-code", ["Patient.gender"])])


@pytest.mark.parametrize(
    "text", ["", "{", '{"resourceType": "Patient", "gender": ', '<Patient xmlns="http://hl7.org/fhir"', '{"resourceType": 3}']
)
def test_unusable_files(zhibao: Zhibao, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    ran = zhibao("check", tmp_path / "a.json", "--profile", "base")
    assert ran.code == 2
    assert [line["severity"] for line in ran.lines] == ["error"]


def test_front_sheets_have_no_profiles(zhibao: Zhibao, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("A48,A49\n1,1\n", encoding="utf-8")
    ran = zhibao("check", tmp_path / "sheet.csv", file_of(tmp_path / "a.json", patient()), "--profile", "structure")
    assert (ran.code, ran.out) == (1, "")  # the sheet is refused, the patient is right
    assert "sheet.csv" in ran.err


@needs_corpora
def test_examples_that_declare_older_profiles_are_answered(zhibao: Zhibao) -> None:
    examples = files_of(MCODE / "stu1-2020-07", "*.json")
    ran = zhibao("check", *examples, "--profile", "declared")
    unknown = {line["file"] for line in ran.lines if line["rule"] == "ZB-FHIR-profile-not-known"}
    assert "Procedure-mCODECancerRelatedRadiationProcedureExample01.json" in unknown  # STU 1 only
    assert "Patient-mCODEPatientExample01.json" not in unknown
    assert zhibao("check", *examples, "--profile", "base").code == 0
