"""Dialects of FHIR: what a hospital's own file changes, and mistakes that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.fields import base_table
from adapters.fhir.values import CONVERTERS
from gateway.cases.leaves import place_of
from gateway.model import facts as model
from gateway.model.errors import ConfigurationError
from gateway.model.facts import PatientKey
from gateway.model.values import Coded
from mappings.code_map import base_codes, value_set
from tests.fhir_records import concept, condition, encounter, facts_of, named, patient, read, rules_of, statement, values_of

OWN = """
extends = "standard"
name = "本院集成平台"
address_kind = "present"
organisation = true
own_codes = ["route"]
[identifiers]
record_number = [{ systems = ["http://his.example/zyh"] }]
employee_number = [{ systems = ["http://his.example/gh"] }]
[extensions]
admission_number = ["http://his.example/zycs"]
[systems]
diagnosis = "ICD10-GB-CLIN-2.0"
[written_as]
diagnosis = ["http://his.example/icd"]
[codes.route]
"http://his.example/ryfs|A" = "2"
"B" = "1"
[codes.department]
"肿瘤一科" = "19"
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    file = tmp_path / "our-his.toml"
    file.write_text(OWN, encoding="utf-8")
    return str(file)


def test_what_a_hospital_says_of_its_own(own: str) -> None:
    numbers = [
        {"system": "http://his.example/zyh", "value": "Z1"},
        {"type": {"coding": [{"code": "MR"}]}, "value": "M1"},
        {"system": "http://his.example/gh", "value": "G1"},
    ]
    stay = encounter(
        extension=[{"url": "http://his.example/zycs", "valueInteger": 2}],
        hospitalization={"admitSource": concept("http://his.example/ryfs", "A")},
        serviceType={"text": "肿瘤一科"},
        serviceProvider={"reference": "Organization/h"},
        diagnosis=[named("Condition/c", "DD", 1)],
    )
    illness = condition() | {"code": concept("http://his.example/icd", "C34.100")}
    hospital = {"resourceType": "Organization", "id": "h", "name": "测试医院"}
    reading = read(patient(identifier=numbers, address=[{"text": "某处"}]), stay, illness, hospital, dialect=own)
    facts = statement(reading).facts[0]
    said = values_of(reading)
    assert facts.mapping == "our-his"
    assert facts.patient == PatientKey("Z1", "", {"employee_number": "G1"})
    assert facts.visit.admission_number == 2
    assert said["patient.address.text"] == "某处"
    assert said["admission.route"] == Coded("RC026", "2")
    assert said["discharge.department"] == Coded("RC023", "19")
    assert said["organisation.name"] == "测试医院"
    assert facts.diagnoses[0].condition.system == "ICD10-GB-CLIN-2.0"
    assert rules_of(reading) == set()


def test_own_codes_shut_out_the_packaged_ones(own: str) -> None:
    stay = encounter(hospitalization={"admitSource": {"coding": [{"code": "1"}]}})
    assert facts_of(read(patient(), stay))["admission.route"].value == Coded("RC026", "1")
    assert facts_of(read(patient(), stay, dialect=own))["admission.route"].value == Coded("our-his/route", "1")


def test_the_standard_does_not_read_the_organisation() -> None:
    stay = encounter(serviceProvider={"display": "测试医院"})
    assert "organisation.name" not in values_of(read(patient(), stay))


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ('extends = "standard"\n[codes.nothing]\n"1" = "1"', "codes.nothing"),
        ('extends = "standard"\n[codes.route]\n"1" = "77"', "codes.route.1"),
        ('extends = "standard"\nown_codes = ["nothing"]', "own_codes.nothing"),
        ('extends = "standard"\n[identifiers]\nrecord_number = [{ system = "x" }]', "identifiers"),
        ('extends = "standard"\naddress_kind = "home"', "address_kind"),
        ('extends = "standard"\nsomething = 1', "顶层"),
        ('name = "x"', "extends"),
        ("extends = 5", "extends"),
        ('extends = "x.toml"', "x.toml"),
    ],
)
def test_mistakes_name_the_key(tmp_path: Path, content: str, key: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        fhir_dialect(str(file))
    assert key in raised.value.message
    assert raised.value.action


def test_unknown_dialects() -> None:
    for name in ("cn-a", "no-such", "/no/such/file.toml"):
        with pytest.raises(ConfigurationError):
            fhir_dialect(name)
    assert fhir_dialect("standard") is fhir_dialect("standard")


class TestTables:
    """The packaged tables hold together."""

    def test_paths_exist(self) -> None:
        for row in base_table():
            head, _, member = row.path.partition(".")
            if row.path and not head[0].isupper():
                assert place_of(row.path).whole == row.path
            elif row.path:
                owner = getattr(model, head)
                assert member.partition(".")[0] in owner.__struct_fields__

    def test_types_of_flat_rows_have_a_converter_or_a_reader(self) -> None:
        read_as_a_whole = {"identifier", "address", "telecom", "location", "participant", "link", "front-sheet"}
        assert {row.type for row in base_table()} - CONVERTERS.keys() <= read_as_a_whole

    def test_codes_lead_to_members_of_their_value_sets(self) -> None:
        value_sets = {row.map: row.value_set for row in base_table() if row.map}
        for name, (codes, labels) in base_codes("fhir").items():
            if allowed := value_set(value_sets.get(name, "")):
                assert {*codes.values(), *labels.values()} - {""} <= allowed.keys(), name

    def test_every_map_is_one_of_the_dialect(self) -> None:
        assert {row.map for row in base_table()} - {""} == fhir_dialect("standard").maps.keys()

    def test_uses_of_diagnoses(self) -> None:
        codes, labels = base_codes("fhir")["diagnosis-use"]
        assert {*codes.values(), *labels.values()} <= {
            "discharge", "principal", "other", "admission", "outpatient", "external_cause", "pathology", "working",
        }  # fmt: skip
