"""What is generated and published is what the program would generate today, and what is written by hand does not drift from its tables."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from adapters.fhir import json_text
from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.dialect_file import BUILT_IN, DialectFile
from adapters.fhir.elements import Identifier
from adapters.fhir.fhir_file import records_of
from adapters.fhir.reading import RecordReader
from adapters.fhir.refusal import MOST_ISSUES
from adapters.fhir.resource import USED
from adapters.fhir.structure import faults
from adapters.fhir.tables import rows
from adapters.fhir.wire import BUNDLE_TYPES, read
from gateway.intake.bulk import PIECE_LINES
from gateway.intake.mailroom import Room
from gateway.settings import Settings
from gateway.web.bodies import AT_ONCE, COMING_IN, WORKED_ON
from gateway.web.searches import LARGEST_PAGE, PAGE, SEARCHES
from gateway.workbench import LONGEST_FHIR
from mappings.guide import guide
from mappings.profile import platform_ids, profile

DOCS = Path(__file__).parents[2] / "docs"
FHIR = (DOCS / "fhir.md").read_text("utf-8")
MAPPINGS = DOCS.parent / "mappings"
TABLES = [
    *sorted((MAPPINGS / "sources" / "fhir").glob("*.csv")),
    MAPPINGS / "code_systems.csv",
    MAPPINGS / "identifier_systems.csv",
]
SHORT = {"LOINC": "LOINC", "SNOMED-CT": "SCT", "NCIT": "NCIT"}


@pytest.mark.parametrize("id", platform_ids())
def test_platform_guides(id: str) -> None:
    assert (DOCS / "platforms" / f"{id}.md").read_text("utf-8") == guide(id), f"zhibao platform {id} > docs/platforms/{id}.md"


@pytest.mark.parametrize("id", platform_ids())
def test_a_guide_never_hides_how_sure_a_fact_is(id: str) -> None:
    shown = guide(id)
    for fact in profile(id).facts:
        line = next(line for line in shown.splitlines() if line.startswith(f"| {fact.about} |"))
        assert line.endswith({"high": "| 高 |", "medium": "| 中 |", "low": "| 低 |"}[fact.confidence])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_fact_about_fhir_says_where_it_is_from_and_how_sure_it_is(table: Path) -> None:
    with table.open(encoding="utf-8") as handle:
        listed = list(csv.DictReader(handle))
    assert listed
    for number, row in enumerate(listed, 2):
        assert row["source"], f"line {number}"
        assert row["confidence"] in ("high", "medium", "low"), f"line {number}"


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text("utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_is_listed() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text("utf-8")
    for decision in (DOCS / "decisions").glob("0*.md"):
        assert f"| [{decision.name[:4]}]({decision.name}) |" in listed


def test_every_type_that_is_used_is_named() -> None:
    assert {kind for cells in _table("What is read") for kind in cells[0].split(", ")} == USED


def test_every_element_that_the_table_has_is_named() -> None:
    said = {kind: set(re.findall(r"`([^`]+)`", cells[1])) for cells in _table("What is read") for kind in cells[0].split(", ")}
    missing = set()
    for row in rows("fields"):
        for element in (row["element"], row["element_r5"]):
            kind, _, way = element.partition(".")
            if kind not in said or not way:
                continue
            member = re.match(r"[\w\[\]]+", way.removeprefix("_"))
            assert member is not None, element
            name = "deceased[x]" if member[0].startswith("deceased") else member[0]
            if name not in said[kind]:
                missing.add(f"{kind}.{name}")
    assert not missing


def test_every_code_that_tells_an_observation_is_named() -> None:
    for row in rows("observations"):
        assert f"{SHORT[row['system']]} {row['code']}" in FHIR


def test_statuses_of_reports() -> None:
    (row,) = (cells for cells in _table("What is read", second="counts") if cells[0] == "DiagnosticReport")
    _, counts, withdrawn = row
    for map in rows("codes"):
        if map["map"] == "report-status" and map["value"] != "unknown":
            assert f"`{map['value']}`" in (withdrawn if map["target"] == "withdrawn" else counts)


def test_searches() -> None:
    told = {
        cells[0]: re.findall(r"`([a-z_][a-z-]*)`", re.sub(r"\(.*?\)", "", cells[1])) for cells in _table("What can be read back")
    }
    assert told == {kind: list(parameters) for kind, parameters in SEARCHES.items()}
    assert f"`_count`, {PAGE} unless asked, at most {LARGEST_PAGE}" in FHIR


def test_every_name_of_ours_is_listed() -> None:
    listed = {word for cells in _table("Extensions and systems of ours") for word in re.findall(r"`([a-z-]+)`", cells[1])}
    standard = files("adapters.fhir").joinpath("dialects", "standard.toml").read_text("utf-8")
    assert {row["word"] for row in rows("extensions")} | set(re.findall(r'"urn:zhibao:([a-z-]+)"', standard)) <= listed


def test_limits() -> None:
    for said in (
        f"{json_text.DEEPEST} levels",
        f"{json_text.MOST_DIGITS} digits",
        f"±{json_text.LARGEST_EXPONENT}",
        f"at most {MOST_ISSUES} faults",
        f"of one source {AT_ONCE // 2} requests",
        f"{(WORKED_ON >> 20) // 2} MiB of bodies",
        f"{(COMING_IN >> 20) // 2} MiB are coming in",
        f"{Room().waiting:,} messages",
        f"{PIECE_LINES} lines",
        f"{LONGEST_FHIR >> 20} MiB",
    ):
        assert said in FHIR


def test_every_type_of_bundle_is_named() -> None:
    (told,) = (cells[1] for cells in _table("What may be sent") if cells[0] == "`POST /fhir`")
    assert set(re.findall(r"`([a-z]+)`", told)) == BUNDLE_TYPES


def test_the_settings_shown_are_settings() -> None:
    (source,) = Settings(**tomllib.loads(_block("toml", "Connect a sender"))).sources.values()
    assert (source.kind, source.folder) == ("fhir", Path("inbox-fhir"))


def test_the_dialect_shown_means_what_it_says(tmp_path: Path) -> None:
    text = _block("toml", "Dialects")
    assert set(tomllib.loads(text)) | {"id", "organisation"} == set(DialectFile.__struct_fields__), "every key is shown or told of"
    file = tmp_path / "emr.toml"
    file.write_text(text, "utf-8")
    dialect = fhir_dialect(file)
    number = Identifier("http://emr.example.cn/identifier/record-number", (), "7")
    assert [found for _, found in dialect.identifier("record_number", [("identifier[0]", number)])] == [number]
    concept = {"coding": [{"system": "http://emr.example.cn/fhir/CodeSystem/icd10-clinical", "code": "C50.900"}]}
    coded = dialect.classified(concept, dialect.systems.diagnosis)
    assert coded is not None
    assert (coded.system, coded.code) == ("ICD10-GB-CLIN-2.0", "C50.900")
    assert dialect.maps["diagnosis-use"].find("", "出院主要诊断")[0] == "principal"
    for name in BUILT_IN:
        assert f"`{name}`" in FHIR


def test_the_item_shown_is_read() -> None:
    item = _block("json", "Items of the front sheet without an element")
    assert not faults(json_text.decode(item.encode()), "R4")
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"value": "7"}]}
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/p1"},
    }
    entries = ",".join(f'{{"resource":{resource}}}' for resource in (json.dumps(patient), json.dumps(encounter), item))
    raw = f'{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}'.encode()
    (record,) = records_of(read(raw), raw, "fhir:1")
    (statement,) = RecordReader(fhir_dialect("standard")).read(record).statements
    values = [fact.value for facts in statement.facts for fact in facts.facts if "[2]" in fact.source]
    assert values == ["12345.60"]


def _section(heading: str) -> str:
    return FHIR.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _table(heading: str, *, second: str = "") -> list[list[str]]:
    """The rows of a section's first table, or of the first one whose second column has this name."""
    for table in re.findall(r"(?:^\|.*\n)+", _section(heading) + "\n", re.MULTILINE):
        head, _, *rows = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in table.splitlines()]
        if second in ("", head[1].strip()):
            return [[cell.strip() for cell in row] for row in rows]
    raise AssertionError(f"no such table in {heading}")


def _block(language: str, heading: str) -> str:
    return _section(heading).partition(f"```{language}\n")[2].partition("```")[0]
