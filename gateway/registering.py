"""From stays, handed-in cards and deaths to persons, primary tumours, their report cards and submissions.

`Registrar` follows what is new in the ledger behind a cursor, a batch in one transaction: sightings are linked to persons, their evidence falls
into tumours, every tumour of whom something changed gets its card made anew, and a card that differs becomes a new version with its
submissions. Everything is worked out from what is known now, so neither the order of arrival nor a crash changes what comes out.

`Registration` is that within one transaction; what a person decides is worked out by the same (`gateway.deciding`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from gateway.audit.log import Event, record
from gateway.cases.primaries import acts, sources
from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.people import relink
from gateway.cases.primaries.tumours import Standing, regroup
from gateway.intake.resources import pieces
from gateway.model.card import Card
from gateway.model.times import CHINA
from gateway.reporting import submissions
from gateway.reporting.card_drafts import CardDrafter
from gateway.reporting.cards import MadeCard, build
from gateway.reporting.confirming import asked, open_questions
from gateway.reporting.preparing import PreparedDraft, sealed
from gateway.reporting.unit import Unit
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Cursor, TumourRow, TumourVersion
from gateway.store.vault import Vault

TOGETHER = 300
"""Versions of stays, or rows, in one transaction."""

CARD_PLACE = "tumour_version.body"

_Find = Callable[[Session, int, int], tuple[list[str], int]]
_STREAMS: tuple[tuple[str, _Find], ...] = (
    ("registry:stays", sources.changed_stays),
    ("registry:handed-in", sources.handed_in),
)
"""What is followed: the name of the cursor, and how to find what is behind it."""


@dataclass
class Registrar:
    """Registers under a hospital's choices. ``drafters`` are those of the platforms whose unit is the tumour; ``reviewed`` tells by platform
    whether a person reviews each card before it goes out. Not thread-safe."""

    ledger: Ledger
    choices: RegistryChoices
    drafters: Sequence[CardDrafter]
    reviewed: Mapping[str, bool]
    today: Callable[[], date] = lambda: datetime.now(CHINA).date()

    def run(self) -> int:
        """Work through all that is new; how many sightings."""
        total = 0
        while count := self.step():
            total += count
        return total

    def step(self, limit: int = TOGETHER) -> int:
        """Work through up to ``limit`` versions and as many rows; how many sightings, at least 1 where anything was behind the cursors."""
        return sum(self._follow(name, find, limit) for name, find in _STREAMS)

    def registration(self, session: Session, *, actor: str = "zhibao") -> Registration:
        """What the registrar knows, for one writing transaction."""
        return Registration(session, self, actor)

    def _follow(self, name: str, find: _Find, limit: int) -> int:
        with self.ledger.read() as session:
            cursor = session.get(Cursor, name)
            before = int(cursor.position) if cursor is not None else 0
            keys, position = find(session, before, limit)
            stated = sources.stated(session, self.ledger.vault, keys)
        if position == before:
            return 0
        try:
            self._take(stated, name, position)
        except OperationalError:
            raise  # the ledger cannot be written now: no source's fault
        except Exception:
            # something in this batch cannot be worked through: find out what, one by one
            for key, one in stated.items():
                self._take_alone(key, one, name)
            self._take({}, name, position)
        return max(len(stated), 1)

    def _take(self, stated: Mapping[str, sources.Stated], name: str, position: int) -> None:
        """One batch, and the cursor behind it."""
        changed = {key: one.seen(key) for key, one in stated.items()}
        with self.ledger.write() as session:
            registration = self.registration(session)
            registration.settle(changed, stated)
            cursor = session.get(Cursor, name) or Cursor(name=name, position="")
            cursor.position = str(position)
            session.add(cursor)
            record(session, *registration.events)

    def _take_alone(self, key: str, one: sources.Stated, name: str) -> None:
        with self.ledger.read() as session:
            cursor = session.get(Cursor, name)
        try:
            self._take({key: one}, name, int(cursor.position) if cursor is not None else 0)
        except OperationalError:
            raise
        except Exception as error:
            with self.ledger.write() as session:
                record(session, Event("sighting.failed", key, {"error": type(error).__name__}))


class Registration:
    """One writing transaction of a registrar; see the module. ``events`` are for the audit log."""

    def __init__(self, session: Session, registrar: Registrar, actor: str) -> None:
        self._session = session
        self._registrar = registrar
        self._vault = registrar.ledger.vault
        self._actor = actor
        self.events: list[Event] = []

    def settle(
        self, changed: Mapping[str, Seen | None], stated: Mapping[str, sources.Stated], *, persons: Iterable[int] = ()
    ) -> None:
        """Work out persons and tumours anew where sightings ``changed`` (``stated`` are their sources), and those of ``persons``."""
        choices = self._registrar.choices
        linked = relink(self._session, self._vault, choices, changed, persons)
        grouped = regroup(self._session, self._vault, choices, linked)
        self.events += [*linked.events, *grouped.events]
        owed = []
        for row in grouped.ended:
            reason = "来源不再陈述该肿瘤" if row.merged_into is None else f"与肿瘤 {row.merged_into} 是同一原发肿瘤，合并上报"
            owed += submissions.nothing_owed(self._session, Unit("tumour", row.id or 0), "S-TUMOUR", reason)
        lacking = {s.sighting.key for one in grouped.standing for s in one.seen} - stated.keys()
        owed += self._cards(grouped.standing, {**stated, **sources.stated(self._session, self._vault, lacking)})
        self.events += submissions.draft(self._session, owed, self._registrar.reviewed)

    def _cards(self, standing: Sequence[Standing], stated: Mapping[str, sources.Stated]) -> list[submissions.Owed]:
        """Make the cards of tumours anew; what is owed of them."""
        ids = [one.row.id or 0 for one in standing]
        edits = acts.edits(self._session, self._vault, ids)
        known = submissions.known_versions(self._session, ids)
        former = made_cards(self._session, self._vault, ids)
        earlier = cards_of(self._session, self._vault, (version for versions in known.values() for version in versions))
        owed = []
        for one in standing:
            id = one.row.id or 0
            stays, cards = sources.split(stated, (s.sighting.key for s in one.seen))
            case = TumourCase(
                evidence=list(one.group.evidence),
                seen=list(one.seen),
                stays=stays,
                cards=cards,
                number=one.number,
                of=one.of,
                steps=list(one.group.steps),
                edits=edits.get(id, []),
                earlier=[earlier[version] for version in known.get(id, ())],
            )
            made = build(case, self._registrar.choices, today=self._registrar.today())
            version = self._record(one.row, made, former.get(id))
            drafts = [self._draft(drafter, made, case) for drafter in self._registrar.drafters]
            owed.append(submissions.Owed(Unit("tumour", id), version, one.row.window, drafts))
        return owed

    def _record(self, row: TumourRow, made: MadeCard, former: tuple[int, MadeCard] | None) -> int:
        """Record a card as the next version of its tumour, unless it is the one that is there; the version. A card of which nothing else
        changed keeps its days."""
        if former is not None and _undated(former[1].card) == _undated(made.card):
            made.card = former[1].card
        body = msgspec.json.encode(made)
        digest = hashlib.sha256(body).hexdigest()
        if former is not None and digest == row.digest:
            return former[0]
        at = now()
        row.current, row.digest, row.updated_at = row.current + 1, digest, at
        row.window = row.window or f"{self._registrar.today():%Y-%m}"
        version = TumourVersion(
            tumour_id=row.id or 0,
            number=row.current,
            digest=digest,
            made_by=self._actor,
            sealed_body=self._vault.seal(body, CARD_PLACE),
            created_at=at,
        )
        self._session.add_all((row, version))
        self._session.flush()
        self.events.append(Event("tumour.recorded", f"tumour:{row.id}.{row.current}", {"person": row.person_id}, self._actor))
        return version.id or 0

    def _draft(self, drafter: CardDrafter, made: MadeCard, case: TumourCase) -> PreparedDraft:
        draft = drafter.draft(made, case)
        asks = bool(open_questions(asked(draft.findings, made.card, draft.record), case.edits))
        return sealed(self._vault, draft, asks=asks)


def _undated(card: Card) -> Card:
    return msgspec.structs.replace(card, report_date="", created_time="")


def made_cards(session: Session, vault: Vault, tumours: Iterable[int]) -> dict[int, tuple[int, MadeCard]]:
    """The current cards of some tumours, each with its version."""
    found = {}
    statement = select(TumourVersion.tumour_id, TumourVersion.id, TumourVersion.sealed_body).join(
        TumourRow, (col(TumourRow.id) == col(TumourVersion.tumour_id)) & (col(TumourRow.current) == col(TumourVersion.number))
    )
    for piece in pieces(set(tumours)):
        for tumour, id, body in session.exec(statement.where(col(TumourVersion.tumour_id).in_(piece))):
            found[tumour] = id or 0, msgspec.json.decode(vault.open(body, CARD_PLACE), type=MadeCard)
    return found


def cards_of(session: Session, vault: Vault, versions: Iterable[int]) -> dict[int, Card]:
    """The cards of some versions of tumours."""
    found = {}
    for piece in pieces(set(versions)):
        statement = select(TumourVersion.id, TumourVersion.sealed_body).where(col(TumourVersion.id).in_(piece))
        for id, body in session.exec(statement):
            found[id or 0] = msgspec.json.decode(vault.open(body, CARD_PLACE), type=MadeCard).card
    return found
