"""Corrections and withdrawals of FHIR stays, through the repository and the assembler: expected states by docs/fhir.md ("What takes back",
"Sending again") and the product decision "merge"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlmodel import col, select

from adapters.fhir import wire
from gateway.cases import stays
from gateway.model.stay import Stay
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import AuditEntry, InboundMessage, StayRow, SubmissionVersion
from tests.fhir_records import V2_0203, Body, bare_patient, condition, encounter, named, patient
from tests.installation import install

ORGANISATION = "990100000000000018"
SOURCES = "".join(f'\n[sources.{name}]\nkind = "fhir"\norganisation = "{ORGANISATION}"\n' for name in ("emr", "pis"))
MAIN = [named("Condition/c", "DD", 1)]


@dataclass
class Hospital:
    """A gateway that reads what it is given at once."""

    gateway: Gateway

    def take(self, *bodies: Body, source: str = "emr", fresh: bool = False) -> InboundMessage:
        """Hand in a bundle of these resources, ``fresh`` under new names, and read it; the message as it stands then."""
        raw = json.dumps(_posted(bodies) if fresh else _put(bodies))
        return self.read(raw, source)

    def delete(self, *places: str) -> InboundMessage:
        entries = [{"request": {"method": "DELETE", "url": place}} for place in places]
        return self.read(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}), "emr")

    def read(self, raw: str, source: str) -> InboundMessage:
        document = wire.read(raw.encode())
        accepted = self.gateway.repository.accept(source, raw.encode(), document)
        while self.gateway.assembler.run():
            pass
        with self.gateway.ledger.read() as session:
            return session.get_one(InboundMessage, accepted.message)

    def stays(self) -> list[Stay]:
        with self.gateway.ledger.read() as session:
            ids = session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None)).order_by(col(StayRow.id)))
            return [stays.current(session, self.gateway.vault, id or 0)[0] for id in ids]

    def states(self) -> list[str]:
        """How each stay that was ever recorded stands, oldest first."""
        with self.gateway.ledger.read() as session:
            entries = session.exec(select(AuditEntry).where(AuditEntry.action == "stay.recorded").order_by(col(AuditEntry.seq)))
            return [*{entry.subject.partition(".")[0]: json.loads(entry.detail)["state"] for entry in entries}.values()]

    def findings(self) -> list[list[str]]:
        """The findings of the newest version of each submission."""
        with self.gateway.ledger.read() as session:
            versions = session.exec(select(SubmissionVersion).order_by(col(SubmissionVersion.number)))
            newest = {version.submission_id: version for version in versions}
            return [[finding["rule"] for finding in json.loads(version.findings)] for version in newest.values()]


def _put(bodies: tuple[Body, ...]) -> Body:
    entries = [{"resource": body, "request": {"method": "PUT", "url": f"{body['resourceType']}/{body['id']}"}} for body in bodies]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _posted(bodies: tuple[Body, ...]) -> Body:
    """The same under fresh urn:uuid names, with references between them."""
    written = json.dumps(bodies)
    names = {f"{body['resourceType']}/{body['id']}": f"urn:uuid:{uuid4()}" for body in bodies}
    for name, urn in names.items():
        written = written.replace(json.dumps({"reference": name}), json.dumps({"reference": urn}))
    entries = []
    for body, urn in zip(json.loads(written), names.values(), strict=True):
        del body["id"]
        entries.append({"fullUrl": urn, "resource": body, "request": {"method": "POST", "url": body["resourceType"]}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def times(number: int) -> Body:
    """住院次数 of an encounter."""
    return {"extension": [{"url": "urn:zhibao:admission-number", "valuePositiveInt": number}]}


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    config, _ = install(tmp_path / "hospital", url="http://127.0.0.1:9", account="a", secret="s", more=SOURCES)
    gateway = Gateway(load(config))
    yield Hospital(gateway)
    gateway.close()


class TestWithdrawnUnderAnotherName:
    @pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
    @pytest.mark.parametrize("numbers", [times(1) | {"identifier": []}, {}], ids=["admission", "visit"])
    def test_an_encounter_that_names_the_stay_by_its_numbers_withdraws_it(
        self, hospital: Hospital, status: str, numbers: Body
    ) -> None:
        stay = encounter(diagnosis=MAIN, **numbers)
        stay = {name: value for name, value in stay.items() if value != []}
        hospital.take(patient(), stay, condition(), fresh=True)
        assert hospital.states() == ["closed"]
        message = hospital.take(patient(), stay | {"status": status}, condition(), fresh=True)
        assert (hospital.states(), message.state, message.note) == (["cancelled"], "assembled", "来源撤回了这次就诊")

    def test_it_needs_a_number_of_the_stay_itself(self, hospital: Hospital) -> None:
        """A cancelled encounter of the same patient, even one open at that time, may be any other one."""
        stay = encounter(status="in-progress", period={"start": "2024-03-08T09:30:00+08:00"}, **times(1))
        hospital.take(patient(), stay, fresh=True)
        other = encounter(
            status="cancelled", identifier=[{"type": {"coding": [{"system": V2_0203, "code": "VN"}]}, "value": "V778"}]
        )
        message = hospital.take(patient(), other, fresh=True)
        assert (hospital.states(), message.state) == (["open"], "ignored")

    def test_what_names_no_stay_is_ignored_and_never_waits(self, hospital: Hospital) -> None:
        message = hospital.take(patient(), encounter(status="entered-in-error", diagnosis=MAIN), condition(), fresh=True)
        assert (hospital.states(), message.state, message.note) == ([], "ignored", "来源撤回的就诊没有对应的病例，无需处理")

    def test_another_source_takes_nothing_back_of_which_it_never_spoke(self, hospital: Hospital) -> None:
        hospital.take(patient(), encounter(**times(1)))
        message = hospital.take(patient(), encounter(status="entered-in-error", **times(1)), source="pis")
        assert (hospital.states(), message.state) == (["closed"], "ignored")

    def test_the_right_one_under_a_third_name_counts_again(self, hospital: Hospital) -> None:
        hospital.take(patient(), encounter(**times(1)), fresh=True)
        hospital.take(patient(), encounter(status="entered-in-error", **times(1)), fresh=True)
        hospital.take(patient(), encounter(**times(1)), fresh=True)
        assert hospital.states() == ["closed"]

    def test_wrong_and_right_one_in_one_bundle(self, hospital: Hospital) -> None:
        hospital.take(patient(), encounter(**times(1)))
        wrong, right = encounter(status="entered-in-error", **times(1)), encounter(id="right", **times(1))
        hospital.take(patient(), wrong, right)
        assert hospital.states() == ["closed"]


class TestStatedTwice:
    CHILD = patient(birthDate="2016-03-08", identifier=patient()["identifier"][:1])
    LEUKAEMIA = condition("c", "C91.000", "急性淋巴细胞白血病")

    def test_two_encounters_of_one_source_are_told_of(self, hospital: Hospital) -> None:
        stay = encounter(diagnosis=MAIN, **times(1))
        hospital.take(self.CHILD, stay, self.LEUKAEMIA, fresh=True)
        assert not any("ZB-FHIR-TWICE" in rules for rules in hospital.findings())
        hospital.take(self.CHILD, stay, self.LEUKAEMIA, fresh=True)
        (only,) = hospital.stays()
        assert len(only.tumours) == 1
        assert hospital.findings()
        assert all("ZB-FHIR-TWICE" in rules for rules in hospital.findings())

    def test_two_sources_may_both_speak_of_it(self, hospital: Hospital) -> None:
        stay = encounter(diagnosis=MAIN, **times(1))
        hospital.take(self.CHILD, stay, self.LEUKAEMIA)
        hospital.take(self.CHILD, stay, self.LEUKAEMIA, source="pis")
        assert hospital.findings()
        assert not any("ZB-FHIR-TWICE" in rules for rules in hospital.findings())


def known_as(number: str) -> Body:
    """A 病案号."""
    return {"identifier": [{"type": {"coding": [{"system": V2_0203, "code": "MR"}]}, "value": number}]}


def replaces(reference: str) -> Body:
    return {"link": [{"other": {"reference": reference}, "type": "replaces"}]}


class TestMerge:
    """Patient pb (NB) and its duplicate pa (NA), each with a stay whose 住院次数 is 1; the periods are a year apart."""

    OLD = bare_patient(id="pa", **known_as("NA"), birthDate="2016-03-08")
    NEW = bare_patient(id="pb", **known_as("NB"), birthDate="2016-03-08")

    def _stay(self, id: str, patient: str, year: int, number: int = 1) -> Body:
        period = {"start": f"{year}-03-08T09:30:00+08:00", "end": f"{year}-03-20T10:15:00+08:00"}
        visit = {"identifier": [{"type": {"coding": [{"system": V2_0203, "code": "VN"}]}, "value": f"V-{id}"}]}
        return encounter(
            id=id, subject={"reference": f"Patient/{patient}"}, period=period, diagnosis=MAIN, **visit, **times(number)
        )

    def _identities(self, hospital: Hospital) -> set[tuple[str, int | None, str]]:
        return {(one.record_number or "", one.admission_number, (one.admission.time or "")[:4]) for one in hospital.stays()}

    def _leukaemia(self, patient: str) -> Body:
        return condition("c", "C91.000", "急性淋巴细胞白血病") | {"subject": {"reference": f"Patient/{patient}"}}

    def test_a_number_of_admissions_that_is_taken_stays_open_and_is_told_of(self, hospital: Hospital) -> None:
        hospital.take(self.OLD, self._stay("ea", "pa", 2025), self._leukaemia("pa"))
        hospital.take(self.NEW, self._stay("eb", "pb", 2026))
        hospital.take(self.NEW | replaces("Patient/pa"))
        wanted = {("NB", None, "2025"), ("NB", 1, "2026")}
        assert self._identities(hospital) == wanted
        assert sum("ZB-MERGE-NUMBER" in rules for rules in hospital.findings()) > 0
        # each is sent again: nothing is put back, and none goes to the other
        hospital.take(self._stay("ea", "pa", 2025) | {"hospitalization": {}}, self._leukaemia("pa"))
        hospital.take(self.OLD | {"gender": "female"})
        hospital.take(self.NEW | replaces("Patient/pa") | {"gender": "female"})
        assert self._identities(hospital) == wanted

    def test_a_number_that_is_free_is_kept(self, hospital: Hospital) -> None:
        hospital.take(self.OLD, self._stay("ea", "pa", 2025))
        hospital.take(self.NEW, self._stay("eb", "pb", 2026, 2))
        hospital.take(self.NEW | replaces("Patient/pa"))
        assert self._identities(hospital) == {("NB", 1, "2025"), ("NB", 2, "2026")}
        assert not any("ZB-MERGE-NUMBER" in rules for rules in hospital.findings())

    def test_a_stay_under_the_old_number_that_comes_after_the_merge(self, hospital: Hospital) -> None:
        hospital.take(self.NEW | replaces("Patient/pa"), self._stay("eb", "pb", 2026), self.OLD)
        hospital.take(self._stay("ea", "pa", 2025))
        assert self._identities(hospital) == {("NB", None, "2025"), ("NB", 1, "2026")}

    @pytest.mark.parametrize("order", [("new", "stay", "old"), ("old", "new", "stay"), ("stay", "old", "new")])
    def test_the_old_patient_says_by_whom_it_was_replaced(self, hospital: Hospital, order: tuple[str, ...]) -> None:
        replaced = self.OLD | {"active": False, "link": [{"other": {"reference": "Patient/pb"}, "type": "replaced-by"}]}
        hospital.take(self.OLD)
        parts = {"new": (self.NEW,), "stay": (self._stay("ea", "pa", 2025),), "old": (replaced,)}
        for part in order:
            hospital.take(*parts[part])
        assert self._identities(hospital) == {("NB", 1, "2025")}

    def test_a_replaced_patient_says_nothing_of_the_surviving_one(self, hospital: Hospital) -> None:
        hospital.take(self.NEW | {"gender": "female"}, self._stay("eb", "pb", 2026) | {"status": "in-progress"})
        reference = {"identifier": known_as("NB")["identifier"][0], "type": "Patient"}
        hospital.take(self.OLD | {"gender": "male", "link": [{"other": reference, "type": "replaced-by"}]})
        (stay,) = hospital.stays()
        assert stay.patient.sex is not None
        assert (stay.record_number, stay.patient.sex.code) == ("NB", "2")


def test_who_deletes_an_encounter_waits_for_nothing(hospital: Hospital) -> None:
    """A condition that names no encounter is left with the patient: it may wait, the message that withdrew the stay does not."""
    loose = condition("loose", "C50.900", "乳腺恶性肿瘤")
    hospital.take(patient(), encounter(diagnosis=MAIN, **times(1)), condition(), loose)
    message = hospital.delete("Encounter/e")
    assert hospital.states() == ["cancelled"]
    assert (message.state, message.note) == ("assembled", "来源撤回了它对该病例的陈述")
    assert hospital.delete("Condition/c", "Condition/loose", "Patient/p").state in ("assembled", "ignored")
    hospital.take(patient(), encounter(**times(1)))
    assert hospital.states() == ["closed"]
