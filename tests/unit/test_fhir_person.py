"""Who a patient is and what is said of the person: numbers, addresses, telephones, extensions, coverage; the stay's places and staff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.model.facts import MovementFact, PatientKey
from gateway.model.values import Coded
from tests.fhir_records import (
    RESIDENT_ID,
    RESIDENT_ID_OID,
    V2_0203,
    Body,
    concept,
    encounter,
    facts_of,
    patient,
    read,
    remarks_of,
    rules_of,
    statement,
    values_of,
)

V3_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
WRONG_ID = RESIDENT_ID[:-1] + ("0" if RESIDENT_ID[-1] != "0" else "1")


def _number(value: str, *, type: str = "", system: str = "", **more: Any) -> Body:
    body: Body = {"value": value} | more
    if type:
        body["type"] = {"coding": [{"system": V2_0203, "code": type}]}
    if system:
        body["system"] = system
    return body


def _key(*numbers: Body) -> PatientKey:
    return statement(read(patient(identifier=list(numbers)), encounter())).facts[0].patient


class TestNumbers:
    def test_record_number_by_type_mr_before_pi(self) -> None:
        assert _key(_number("P9", type="PI"), _number("M1", type="MR")).record_number == "M1"
        assert _key(_number("P9", type="PI")).record_number == "P9"

    def test_record_number_by_the_national_oid_first(self) -> None:
        numbers = (_number("Z1", system="urn:oid:2.16.156.10011.1.12"), _number("B1", system="urn:oid:2.16.156.10011.1.13"))
        assert _key(*numbers).record_number == "B1"

    def test_a_number_that_nothing_tells_apart_is_the_record_number_unless_it_is_another_kind(self) -> None:
        assert _key(_number("L5", system="http://his.example/identifier/patient-id")).record_number == "L5"
        assert _key(_number("H7", system="urn:oid:2.16.156.10011.1.19")).record_number == ""
        assert _key(_number(RESIDENT_ID)).record_number == ""

    @pytest.mark.parametrize("system", [RESIDENT_ID_OID, "urn:oid:2.16.840.1.113883.2.23.1.19.1"])
    def test_resident_id_by_both_oids(self, system: str) -> None:
        assert _key(_number(RESIDENT_ID, system=system)).resident_id == RESIDENT_ID

    @pytest.mark.parametrize("type", ["NI", "NNCHN", "CIN"])
    def test_resident_id_by_type(self, type: str) -> None:
        assert _key(_number(RESIDENT_ID, type=type)).resident_id == RESIDENT_ID

    def test_resident_id_by_its_shape_is_remarked(self) -> None:
        reading = read(
            patient(identifier=[_number("B1", type="MR"), _number(RESIDENT_ID, system="http://his.example/id")]), encounter()
        )
        assert statement(reading).facts[0].patient.resident_id == RESIDENT_ID
        assert [(one.rule, one.source) for one in remarks_of(reading)] == [("resident-id-by-shape", "Patient.identifier[1]")]

    def test_a_wrong_check_digit_is_kept_and_never_a_key(self) -> None:
        reading = read(patient(identifier=[_number("B1", type="MR"), _number(WRONG_ID, type="NI")]), encounter())
        assert statement(reading).facts[0].patient == PatientKey("B1", "")
        assert values_of(reading)["patient.identity.number"] == WRONG_ID
        assert rules_of(reading) == {"resident-id-check-digit"}

    def test_a_sex_under_the_senders_own_code_is_not_compared(self, tmp_path: Path) -> None:
        """``female`` of FHIR disagrees with a man's number; the sender's own ``2`` says nothing that could."""
        file = tmp_path / "our-his.toml"
        file.write_text('extends = "standard"\nown_codes = ["sex"]', encoding="utf-8")
        extension = [{"url": "http://hl7.org.cn/fhir/StructureDefinition/gender", "valueCoding": {"code": "2"}}]
        told = patient(identifier=[_number(RESIDENT_ID, type="NI")], birthDate="1955-03-08", extension=extension)
        assert [(one.rule, one.source) for one in remarks_of(read(told, encounter()))] == [
            ("sex-disagrees", "Patient.extension[0]")
        ]
        assert rules_of(read(told, encounter(), dialect=str(file))) == {"unmapped-code"}

    def test_a_number_out_of_use_is_none(self) -> None:
        assert _key(_number("B0", type="MR", use="old"), _number("B1", type="MR")).record_number == "B1"

    def test_another_document_with_its_kind(self) -> None:
        passport = {
            "system": "urn:zhibao:identity-number",
            "type": {"coding": [{"system": "urn:zhibao:RC038", "code": "6"}]},
            "value": "E00000000",
        }
        said = values_of(read(patient(identifier=[_number("B1", type="MR"), passport]), encounter()))
        assert said["patient.identity.number"] == "E00000000"
        assert said["patient.identity.kind"] == Coded("RC038", "6")

    def test_health_card(self) -> None:
        said = values_of(read(patient(identifier=[_number("HC1", type="HC"), _number("B1", type="MR")]), encounter()))
        assert said["patient.health_card"] == "HC1"

    def test_visit_number_by_type_else_the_first(self) -> None:
        for numbers in ([_number("X"), _number("V1", type="VN")], [_number("V1"), _number("X")]):
            assert statement(read(patient(), encounter(identifier=numbers))).facts[0].visit.number == "V1"

    @pytest.mark.parametrize(
        ("extension", "number"),
        [
            ({"valueInteger": 3}, 3),
            ({"valuePositiveInt": 3}, 3),
            ({"valueString": "3"}, 3),
            ({"valueString": "三"}, None),
            ({"valueInteger": 0}, None),
        ],
    )
    def test_admission_number(self, extension: Body, number: int | None) -> None:
        reading = read(patient(), encounter(extension=[{"url": "urn:zhibao:admission-number"} | extension]))
        assert statement(reading).facts[0].visit.admission_number == number
        assert (rules_of(reading) == {"not-a-number"}) == (number is None)


class TestPerson:
    def _said(self, **more: Any) -> dict[str, object]:
        return values_of(read(patient(**more), encounter()))

    @pytest.mark.parametrize(
        ("name", "read_as"),
        [
            ([{"text": "欧阳试验"}], "欧阳试验"),
            ([{"family": "欧阳", "given": ["试验"]}], "欧阳试验"),
            ([{"given": ["欧阳试验"]}], "欧阳试验"),
            ([{"family": "Ouyang", "given": ["Shiyan"]}], "Ouyang Shiyan"),
            ([{"use": "official", "text": "Ouyang Shiyan"}, {"use": "usual", "text": "欧阳试验"}], "欧阳试验"),
            ([{"use": "old", "text": "欧阳旧名"}, {"text": "欧阳试验"}], "欧阳试验"),
        ],
    )
    def test_name(self, name: list[Body], read_as: str) -> None:
        assert self._said(name=name)["patient.name"] == read_as

    def test_gender_extension_with_the_national_code_counts_first(self) -> None:
        extension = [
            {"url": "http://hl7.org.cn/fhir/StructureDefinition/gender", "valueCoding": {"code": "9", "display": "未说明的性别"}}
        ]
        assert self._said(gender="unknown", extension=extension)["patient.sex"] == Coded("RC001", "9")
        assert self._said(gender="unknown", _gender={"extension": extension})["patient.sex"] == Coded("RC001", "9")

    @pytest.mark.parametrize(("code", "target"), [("S", "1"), ("M", "2"), ("W", "3"), ("D", "4"), ("A", "4"), ("T", "9")])
    def test_marital_status_of_fhir(self, code: str, target: str) -> None:
        status = concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", code)
        assert self._said(maritalStatus=status)["patient.marital_status"] == Coded("RC002", target)

    def test_national_numbers_and_words(self) -> None:
        assert self._said(maritalStatus=concept("urn:oid:2.16.156.10011.2.3.3.5", "20"))["patient.marital_status"] == Coded(
            "RC002", "2"
        )
        assert self._said(maritalStatus={"text": "离婚"})["patient.marital_status"] == Coded("RC002", "4")

    def test_words_count_where_code_and_words_disagree(self) -> None:
        status = concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", text="离婚")
        reading = read(patient(maritalStatus=status), encounter())
        assert values_of(reading)["patient.marital_status"] == Coded("RC002", "4")
        assert rules_of(reading) == {"code-label-disagree"}

    def test_an_international_code_is_never_taken_for_a_national_number(self) -> None:
        """``1`` of an HL7 system that has no map is not the hospital's own 1 (未婚)."""
        system = "http://terminology.hl7.org/CodeSystem/other"
        reading = read(patient(maritalStatus=concept(system, "1")), encounter())
        assert values_of(reading)["patient.marital_status"] == Coded(system, "1")
        assert rules_of(reading) == {"unmapped-code"}

    def test_extensions(self) -> None:
        nation = {
            "url": "http://hl7.org.cn/fhir/StructureDefinition/ethnic-group",
            "valueCoding": {"code": "HA", "display": "汉族"},
        }
        born = {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"state": "广东省", "city": "深圳市"},
        }
        nationality = {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-nationality",
            "extension": [{"url": "code", "valueCodeableConcept": concept("urn:iso:std:iso:3166", "CN", text="中国")}],
        }
        native = {"url": "urn:zhibao:native-place", "valueString": "广东省深圳市"}
        work = {"url": "urn:zhibao:occupation", "valueCoding": {"system": "urn:zhibao:RC003", "code": "27"}}
        said = self._said(extension=[nation, born, nationality, native, work])
        assert said["patient.ethnicity"] == Coded("RC035", "1")
        assert said["patient.birthplace"] == "广东省深圳市"
        assert said["patient.nationality"] == "中国"
        assert said["patient.native_province"] == Coded("RC036", "19")
        assert said["patient.occupation"] == Coded("RC003", "27")

    def test_us_ethnicity_is_not_a_nation(self) -> None:
        us = {
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity",
            "extension": [{"url": "text", "valueString": "Not Hispanic or Latino"}],
        }
        assert "patient.ethnicity" not in self._said(extension=[us])

    def test_addresses_by_kind(self) -> None:
        registered = {
            "extension": [{"url": "http://his.example/kind", "valueString": "户籍地址"}],
            "text": "乙省丙市某村",
            "postalCode": "100002",
        }
        said = self._said(
            address=[
                {"use": "home", "state": "甲省", "city": "乙市", "line": ["乙市测试路1号"], "postalCode": "100001"},
                registered,
                {"use": "work", "text": "测试厂"},
                {"use": "home", "text": "另一个"},
            ]
        )
        assert said["patient.address.text"] == "甲省乙市测试路1号"
        assert said["patient.address.postcode"] == "100001"
        assert said["patient.registered_address.text"] == "乙省丙市某村"
        assert said["patient.registered_address.postcode"] == "100002"
        assert said["patient.employer.text"] == "测试厂"

    def test_an_address_without_a_kind_is_remarked(self) -> None:
        reading = read(patient(address=[{"text": "某处"}]), encounter())
        assert "patient.address.text" not in values_of(reading)
        assert [(one.rule, one.source) for one in remarks_of(reading)] == [("address-kind", "Patient.address[0]")]

    def test_telephones(self) -> None:
        said = self._said(
            telecom=[
                {"system": "email", "value": "x@y.example"},
                {"system": "phone", "use": "work", "value": "010-0000"},
                {"system": "phone", "use": "mobile", "value": "13000000000"},
                {"system": "phone", "use": "home", "value": "020-0000"},
                {"system": "phone", "use": "old", "value": "000"},
            ]
        )
        assert (said["patient.address.phone"], said["patient.employer.phone"]) == ("020-0000", "010-0000")

    def test_contact(self) -> None:
        person = {
            "relationship": [
                concept("http://terminology.hl7.org/CodeSystem/v2-0131", "N"),
                concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "WIFE"),
            ],
            "name": {"text": "诸葛试验"},
            "telecom": [{"system": "phone", "value": "13900000000"}],
            "address": {"text": "某处"},
        }
        said = self._said(contact=[person, {"name": {"text": "第二人"}}])
        assert said["patient.contact.name"] == "诸葛试验"
        assert said["patient.contact.relationship"] == Coded("RC033", "1")
        assert said["patient.contact.phone"] == "13900000000"
        assert said["patient.contact.address"] == "某处"

    def test_a_role_is_no_relationship(self) -> None:
        person = {"relationship": [concept("http://terminology.hl7.org/CodeSystem/v2-0131", "C")], "name": {"text": "诸葛试验"}}
        reading = read(patient(contact=[person]), encounter())
        assert "patient.contact.relationship" not in values_of(reading)
        assert rules_of(reading) == set()

    def test_coverage(self) -> None:
        coverage: Body = {"resourceType": "Coverage", "id": "k", "status": "active", "beneficiary": {"reference": "Patient/p"}}
        named = coverage | {"type": {"text": "商业保险"}}
        assert values_of(read(patient(), encounter(), named))["payment_method"] == Coded("RC032", "5")
        self_pay = coverage | {"kind": "self-pay"}
        assert values_of(read(patient(), encounter(), self_pay, release="R5"))["payment_method"] == Coded("RC032", "7")
        over = named | {"status": "cancelled"}
        assert "payment_method" not in values_of(read(patient(), encounter(), over))


class TestPlacesAndStaff:
    def _read(self, stay: Body, *others: Body) -> Any:
        return read(patient(), stay, *others)

    def test_service_type_is_the_department_where_no_place_tells_it(self) -> None:
        said = values_of(self._read(encounter(serviceType={"text": "肿瘤科"})))
        assert said["admission.department"] == said["discharge.department"] == Coded("RC023", "19")

    def test_a_department_that_no_map_knows_is_kept_and_remarked(self) -> None:
        reading = self._read(encounter(serviceType={"text": "肿瘤一科"}))
        assert values_of(reading)["discharge.department"] == Coded("fhir/department", None, "肿瘤一科")
        assert rules_of(reading) == {"unmapped-code"}

    def test_one_place_is_where_the_patient_came_and_went(self) -> None:
        ward = {"resourceType": "Location", "id": "w", "name": "一病区"}
        stay = encounter(location=[{"location": {"reference": "Location/w"}}])
        said = values_of(self._read(stay, ward))
        assert (said["admission.ward"], said["discharge.ward"]) == ("一病区", "一病区")
        open_one = stay | {"status": "in-progress"}
        assert "discharge.ward" not in values_of(self._read(open_one, ward))

    def test_places_without_periods_have_no_order(self) -> None:
        entries = [{"location": {"display": "一病区"}}, {"location": {"display": "二病区"}}]
        said = values_of(self._read(encounter(location=entries, serviceType={"text": "肿瘤科"})))
        assert not {"admission.ward", "admission.department", "discharge.ward"} & said.keys()
        assert said["discharge.department"] == Coded("RC023", "19")

    def test_a_move_within_the_department_is_no_transfer(self) -> None:
        owner = {"resourceType": "Organization", "id": "o", "name": "肿瘤科"}
        wards = [
            {"resourceType": "Location", "id": id, "name": name, "managingOrganization": {"reference": "Organization/o"}}
            for id, name in (("a", "一病区"), ("b", "二病区"))
        ]
        entries = [
            {"location": {"reference": "Location/a"}, "period": {"start": "2024-03-08"}},
            {"location": {"reference": "Location/b"}, "period": {"start": "2024-03-10"}},
        ]
        reading = self._read(encounter(location=entries), owner, *wards)
        assert statement(reading).facts[0].movements == []
        assert values_of(reading)["discharge.ward"] == "二病区"

    def test_places_with_roles_of_ours(self) -> None:
        entries = [
            {
                "location": {"display": name},
                "extension": [
                    {"url": "urn:zhibao:location-role", "valueCode": role},
                    {"url": "urn:zhibao:department", "valueCoding": {"system": "urn:zhibao:RC023", "code": code}},
                ],
            }
            for role, code, name in (("admission", "0405", "一病区"), ("transfer", "19", "二病区"), ("discharge", "19", "二病区"))
        ]
        reading = self._read(encounter(location=entries))
        said = values_of(reading)
        assert (said["admission.department"], said["discharge.department"]) == (Coded("RC023", "0405"), Coded("RC023", "19"))
        assert [move.department for move in statement(reading).facts[0].movements] == [Coded("RC023", "19")]

    def test_staff_by_roles_that_tell_the_grade(self) -> None:
        doctors = [
            {
                "resourceType": "Practitioner",
                "id": id,
                "name": [{"text": name}],
                "identifier": [{"system": "urn:zhibao:certificate", "value": f"ZS{id}"}],
            }
            for id, name in (("1", "主治甲"), ("2", "收治乙"), ("3", "住院丙"))
        ]
        roles = (
            concept(V3_PARTICIPATION, "ATND"),
            concept(V3_PARTICIPATION, "ADM"),
            concept("urn:zhibao:staff-role", "resident_physician"),
        )
        entries = [{"type": [role], "individual": {"reference": f"Practitioner/{id}"}} for id, role in enumerate(roles, 1)]
        said = values_of(self._read(encounter(participant=entries), *doctors))
        assert {path: value for path, value in said.items() if path.startswith("staff.")} == {
            "staff.attending_physician.name": "主治甲",
            "staff.attending_physician.certificate": "ZS1",
            "staff.resident_physician.name": "住院丙",
            "staff.resident_physician.certificate": "ZS3",
        }

    def test_through_a_practitioner_role(self) -> None:
        role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/d"}}
        doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"text": "主治甲"}]}
        entry = {"type": [concept(V3_PARTICIPATION, "ATND")], "individual": {"reference": "PractitionerRole/r"}}
        assert values_of(self._read(encounter(participant=[entry]), role, doctor))["staff.attending_physician.name"] == "主治甲"

    def test_receiving_institution(self) -> None:
        other = {"resourceType": "Organization", "id": "o", "name": "测试康复医院"}
        stay = encounter(
            hospitalization={
                "destination": {"reference": "Organization/o"},
                "dischargeDisposition": concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", "other-hcf"),
            }
        )
        said = facts_of(self._read(stay, other))
        assert said["discharge.receiving_institution"].value == "测试康复医院"
        assert said["discharge.receiving_institution"].source == "Encounter.hospitalization.destination"
        assert said["discharge.disposition"].value == Coded("RC019", "2")

    @pytest.mark.parametrize(("code", "target"), [("exp", "5"), ("aadvice", "4"), ("home", "1"), ("oth", "9")])
    def test_dispositions(self, code: str, target: str) -> None:
        disposition = concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", code)
        said = values_of(self._read(encounter(hospitalization={"dischargeDisposition": disposition})))
        assert said["discharge.disposition"] == Coded("RC019", target)


def test_movement_has_the_time_of_the_place() -> None:
    departments = [{"resourceType": "Organization", "id": id, "name": name} for id, name in (("a", "胸外科专业"), ("b", "肿瘤科"))]
    wards = [
        {"resourceType": "Location", "id": id, "name": f"{id}区", "managingOrganization": {"reference": f"Organization/{id}"}}
        for id in ("a", "b")
    ]
    entries = [
        {"location": {"reference": f"Location/{id}"}, "period": {"start": day}}
        for id, day in (("b", "2024-03-12"), ("a", "2024-03-08"))
    ]
    reading = read(patient(), encounter(location=entries), *departments, *wards)
    assert statement(reading).facts[0].movements == [
        MovementFact(Coded("RC023", "19"), "Encounter.location[0].location", "b区", "2024-03-12")
    ]
