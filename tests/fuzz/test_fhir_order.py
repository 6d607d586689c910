"""In which order, in what packages and how often the resources of a patient come plays no part: what stays in the end is what they say.

The resources of two patients (one whose hospital system puts R5 under its own ids, with two stays, and one that R4 bundles create under
``urn:uuid`` names) are cut at random into single puts, transactions and pieces of bulk files, repeated at random and read in between at
random moments. What comes out must be the stays of the plain bundles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from adapters.fhir import wire
from conformance.sample.faults import is_due_child
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from gateway.assembling import Assembler
from gateway.cases import stays
from gateway.cases.known import KnownInLedger
from gateway.cases.timeline import timeline
from gateway.intake.repository import Repository
from gateway.model.provenance import Provenance
from gateway.reporting.drafts import PlatformChoice
from gateway.reporting.preparing import Preparer
from gateway.settings import Source
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage, StayRow, Submission, SubmissionVersion
from gateway.store.vault import Vault

SOURCE = Source(kind="fhir", organisation="990100000000000018")
ITEMS = 8
"""Observations of a stay that are sent: a hundred say what a few do."""

Resource = dict[str, Any]
Stays = list[bytes]
RECORDS = list(islice((record for record in generate(400) if is_due_child(record)), 3))
"""Two stays of a patient who comes in R5, and between them one of a patient who comes in R4."""


@dataclass(frozen=True)
class Step:
    """One message. ``resources`` are put in a ``package``: alone, as a transaction or as lines; ``withdrawn`` names one that is deleted."""

    package: str = "single"
    resources: tuple[Resource, ...] = ()
    withdrawn: str = ""


class Hospital:
    """A ledger with what reads into it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.repository = Repository(ledger)
        preparer = Preparer(ledger.vault, (PlatformChoice("ncpcs"),))
        self.assembler = Assembler(ledger, {"emr": SOURCE}, preparer, {})

    def take(self, step: Step) -> None:
        if step.withdrawn:
            entry = wire.Entry(0, "", "", method="DELETE", url=step.withdrawn)
            self.repository.accept("emr", step.withdrawn.encode(), wire.Document(entry.url.partition("/")[0], "R4", True, (entry,)))
        elif step.package == "lines":
            raw = b"\n".join(json.dumps(resource).encode() for resource in step.resources)
            document, faults = wire.read_lines(raw)
            assert not faults
            self.repository.accept("emr", raw, document)
        elif step.package == "transaction":
            entries = [{"resource": one, "request": {"method": "PUT", "url": key_of(one)}} for one in step.resources]
            self.post(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode())
        else:
            for resource in step.resources:
                raw = json.dumps(resource).encode()
                document = wire.read(raw)
                (entry,) = document.entries
                self.repository.accept("emr", raw, document.only([replace(entry, method="PUT", url=key_of(resource))]))

    def post(self, raw: bytes) -> None:
        self.repository.accept("emr", raw, wire.read(raw))

    def read(self) -> None:
        while self.assembler.run():
            pass

    def stays(self) -> Stays:
        """What is known in the end: every stay that was not taken back, and whether it is due, without where and when it was said."""
        self.read()
        with self.ledger.read() as session:
            failed = session.exec(select(InboundMessage.note).where(col(InboundMessage.state).in_(("parked", "refused")))).all()
            assert not failed
            known = KnownInLedger(session, self.ledger.vault)
            found = []
            for id in session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None))).all():
                said = known.facts_of(id or 0)
                if not said or timeline(said).cancelled:
                    continue
                stay = stays.current(session, self.ledger.vault, id or 0)[0]
                reports = _owed(session, id)
                found.append(msgspec.json.encode((msgspec.structs.replace(stay, provenance=Provenance()), reports)))
            return sorted(found)


def differences(found: Stays, expected: Stays) -> list[str]:
    """Which values differ, stay by stay."""
    if len(found) != len(expected):
        return [f"{len(found)} stays instead of {len(expected)}"]
    pairs = [(dict(leaves(json.loads(one))), dict(leaves(json.loads(other)))) for one, other in zip(found, expected, strict=True)]
    return [
        f"stay {number}: {path}: {one.get(path)!r} instead of {other.get(path)!r}"
        for number, (one, other) in enumerate(pairs)
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    ]


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, (dict, list)):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, f"{path}/{name}")
    else:
        yield path, node


def _owed(session: Session, stay: int | None) -> list[str]:
    """The platforms that are owed a report of a stay, or have one."""
    statement = select(SubmissionVersion).join(Submission, col(Submission.id) == SubmissionVersion.submission_id)
    newest = session.exec(statement.where(Submission.stay_id == stay, SubmissionVersion.number == Submission.current)).all()
    return sorted(one.platform for one in newest if one.operation != "withdraw" and one.our_state != "superseded")


@contextmanager
def hospital() -> Iterator[Hospital]:
    with TemporaryDirectory(prefix="zhibao-") as name:
        vault = Vault.create(Path(name) / "zhibao.keys")
        with Ledger.open(f"sqlite:///{Path(name) / 'ledger.sqlite'}", vault) as ledger:
            yield Hospital(ledger)


# -- what is sent


def key_of(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


@cache
def bundles() -> tuple[bytes, ...]:
    """The bundles of the stays as their systems send them, with a few items each."""
    made = []
    for record in RECORDS:
        bundle = json.loads(bundle_of(record))
        items = [entry for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Observation"]
        bundle["entry"] = [entry for entry in bundle["entry"] if entry not in items[ITEMS:]]
        made.append(json.dumps(bundle).encode())
    return tuple(made)


@cache
def groups() -> tuple[tuple[Resource, ...], ...]:
    """The same resources by themselves, with the ids and references that they have when they are put one by one; those of one release in
    a group, because a bulk file is of one release."""
    r4: dict[str, Resource] = {}
    r5: dict[str, Resource] = {}
    for raw in bundles():
        bundle = json.loads(raw)
        names = {entry["fullUrl"]: entry["fullUrl"].removeprefix("urn:uuid:") for entry in bundle["entry"] if "fullUrl" in entry}
        keys = {
            url: f"{entry['resource']['resourceType']}/{names[url]}" for entry in bundle["entry"] if (url := entry.get("fullUrl"))
        }
        for entry in bundle["entry"]:
            text = json.dumps(entry["resource"])
            for url, key in keys.items():
                text = text.replace(f'"{url}"', f'"{key}"')
            resource = json.loads(text)
            if "fullUrl" in entry:
                resource["id"] = names[entry["fullUrl"]]
            (r4 if names else r5)[key_of(resource)] = resource
    return tuple(r5.values()), tuple(r4.values())


@cache
def plain() -> Stays:
    """The stays of the bundles, sent whole and read one after the other."""
    with hospital() as whole:
        for raw in bundles():
            whole.post(raw)
            whole.read()
        return whole.stays()


def pieces(random: Random, resources: Sequence[Resource]) -> Iterator[Step]:
    """Resources cut into messages at random."""
    left = random.sample(resources, len(resources))
    while left:
        package = random.choice(("single", "single", "transaction", "lines"))
        size = 1 if package == "single" else random.randint(1, 12)
        yield Step(package, tuple(left[:size]))
        left = left[size:]


def in_any_order(random: Random) -> list[Step]:
    """Every resource at least once, some again, in any order."""
    steps = [step for group in groups() for step in pieces(random, group)]
    for group in groups():
        steps += pieces(random, random.sample(group, random.randint(0, 8)))
    random.shuffle(steps)
    return steps


def with_withdrawals(random: Random, steps: list[Step]) -> list[Step]:
    """The same, and some conditions and encounters are taken back at random places: deleted or declared wrong. What is put again later
    counts again."""
    takable = [one for group in groups() for one in group if one["resourceType"] in ("Condition", "Encounter")]
    for resource in random.sample(takable, random.randint(1, 3)):
        wrong = Step("single", (taken_back(resource),))
        steps.insert(random.randint(0, len(steps)), random.choice((Step(withdrawn=key_of(resource)), wrong)))
    return steps


def taken_back(resource: Resource) -> Resource:
    """A resource that its author says should never have been."""
    if resource["resourceType"] == "Encounter":
        return resource | {"status": "entered-in-error"}
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    wrong = {"verificationStatus": {"coding": [{"system": system, "code": "entered-in-error"}]}}
    return {name: value for name, value in resource.items() if name != "clinicalStatus"} | wrong


def play(at: Hospital, random: Random, steps: Iterable[Step]) -> None:
    often = random.choice((0.0, 0.1, 0.5))
    for step in steps:
        at.take(step)
        if random.random() < often:
            at.read()


def left_over(steps: Iterable[Step]) -> list[Step]:
    """The shortest way to where these steps lead: what was withdrawn in the end, then everything else as it was stated last."""
    left: dict[str, Resource] = {}
    known: dict[str, Resource] = {}
    for step in steps:
        left.pop(step.withdrawn, None)
        left.update((key_of(resource), resource) for resource in step.resources)
        known |= left
    gone = [resource for key, resource in known.items() if key not in left]
    withdrawn = [step for one in gone for step in (Step(resources=(one,)), Step(withdrawn=key_of(one)))]
    whole = [tuple(left[key] for one in group if (key := key_of(one)) in left) for group in groups()]
    return [*withdrawn, *(Step("transaction", resources) for resources in whole)]


checked = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
randoms = st.integers(0, 2**32).map(Random)


def test_the_plain_bundles_are_three_stays() -> None:
    assert len(plain()) == len(RECORDS)
    assert all(json.loads(stay)[1] == ["ncpcs"] for stay in plain())


def test_what_spoke_of_a_deleted_encounter_moves_to_no_other_stay() -> None:
    """The patient has another stay, which would be the only one left for them."""
    first = next(one for one in groups()[0] if one["resourceType"] == "Encounter")
    number = int(first["id"].split("-")[1])
    with hospital() as at:
        for raw in bundles():
            at.post(raw)
        at.read()
        at.take(Step(withdrawn=key_of(first)))
        others = [stay for stay in plain() if json.loads(stay)[0]["admission_number"] != number or b"10000043" not in stay]
        assert len(others) == len(RECORDS) - 1
        assert differences(at.stays(), others) == []


@checked
@given(randoms)
def test_order_packages_and_repetitions_play_no_part(random: Random) -> None:
    with hospital() as at:
        play(at, random, in_any_order(random))
        assert differences(at.stays(), plain()) == []


@checked
@given(randoms)
def test_the_end_depends_on_what_is_left_only(random: Random) -> None:
    steps = with_withdrawals(random, in_any_order(random))
    with hospital() as at, hospital() as fresh:
        play(at, random, steps)
        for step in left_over(steps):
            fresh.take(step)
        assert differences(at.stays(), fresh.stays()) == []
