"""The ledger's tables: the truth that console, audit and recovery read.

The workflow engine holds only execution (ids); everything that happened is here. Columns named ``sealed_*`` are encrypted
(`gateway.store.vault`) and hold everything that can identify a person. Times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Index, LargeBinary, MetaData, TypeDecorator, UniqueConstraint
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(TypeDecorator[datetime]):
    """An aware time, stored as UTC. SQLite drops zones, so the zone is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the library's signature
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the library's signature
        return None if value is None else (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class Base(SQLModel):
    """All tables of the ledger share one metadata with stable constraint names."""

    metadata = MetaData(naming_convention=NAMING)


def _time(**options: bool) -> datetime:
    time: datetime = Field(sa_type=UtcTime, **options)  # type: ignore[call-overload]
    return time


class SourceFile(Base, table=True):
    """One file taken in, kept byte for byte in the raw store under its digest. ``state``: received, reading, done, refused."""

    __tablename__ = "source_file"

    id: str = Field(primary_key=True)
    digest: str = Field(unique=True)
    name: str
    size: int
    source: str = ""
    state: str = Field(index=True)
    layout: str = ""
    encoding: str = ""
    received_at: datetime = _time()
    finished_at: datetime | None = Field(default=None, sa_type=UtcTime)
    rows_done: int = 0
    rows_read: int = 0
    rows_unchanged: int = 0
    rows_refused: int = 0
    reason: str = ""
    message: str = ""


class Message(Base, table=True):
    """One raw input: a row of a front-sheet file. ``outcome``: read, unchanged, refused. The bytes are ``length`` bytes from
    ``offset`` in the file, or the row itself where the container has no such range."""

    __tablename__ = "message"
    __table_args__ = (UniqueConstraint("file_id", "row"),)

    id: int | None = Field(default=None, primary_key=True)
    file_id: str = Field(foreign_key="source_file.id")
    row: int
    offset: int = -1
    length: int = 0
    outcome: str
    reason: str = ""
    field: str = ""
    note: str = ""
    stay_id: int | None = Field(default=None, index=True)


def message_name(standard: str, id: int) -> str:
    """How provenance and the audit log name a message: ``v2:9``, ``fhir:12``."""
    return f"{standard}:{id}"


class InboundMessage(Base, table=True):
    """One message as it came, sealed, with the answer that was given (HL7 v2). ``standard`` is ``v2`` or ``fhir``, ``id`` the order of arrival.

    ``state``: ``received`` (durable, not looked at yet), ``assembled`` (its facts belong to a stay), ``waiting`` (for a stay that is not
    known yet), ``ignored`` (nothing for us, or a test message), ``refused`` (cannot be read; kept for a person), ``parked`` (its
    processing failed; its patient waits). ``lane`` is the blind index of its patient: order is kept within a lane. ``again`` marks a
    control id that came before with other bytes.
    """

    __tablename__ = "inbound_message"
    __table_args__ = (
        Index("ix_inbound_message_source_control_id", "source", "control_id"),
        Index("ix_inbound_message_state", "state", "id"),
        Index("ix_inbound_message_arrival", "source", "received_at", "state"),
        Index("ix_inbound_message_lane", "lane", "state", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    standard: str = "v2"
    source: str
    control_id: str
    digest: str
    peer: str = ""
    received_at: datetime = _time()
    state: str
    again: bool = False
    event: str = ""
    lane: str = ""
    reason: str = ""
    note: str = ""
    stay_id: int | None = Field(default=None, index=True)
    answer: bytes = Field(sa_type=LargeBinary)
    sealed_raw: bytes = Field(sa_type=LargeBinary)

    @property
    def name(self) -> str:
        """See `message_name`."""
        return message_name(self.standard, self.id or 0)


class StayRow(Base, table=True):
    """One stay; ``identity`` is the blind index of organisation, 病案号 and 住院次数, ``window`` the month of discharge. ``digest``
    is that of the current version, ``source_digest`` that of the last version made by a message rather than a person. A stay that
    turned out to be the same as another one is ``absorbed_into`` it and has no keys any more."""

    __tablename__ = "stay"

    id: int | None = Field(default=None, primary_key=True)
    identity: str = Field(unique=True)
    window: str = Field(default="", index=True)
    current: int = 1
    digest: str
    source_digest: str
    absorbed_into: int | None = None
    created_at: datetime = _time()
    updated_at: datetime = _time()


class StayKey(Base, table=True):
    """A key under which a stay is found (`gateway.cases.joining.Key`), as a blind index."""

    __tablename__ = "stay_key"

    index: str = Field(primary_key=True)
    stay_id: int = Field(primary_key=True, index=True)


class StayFacts(Base, table=True):
    """What one message says (`gateway.model.facts.Facts`), and of which stay; none while it waits for one. ``part`` tells apart the stays
    that one message speaks of: for FHIR the number of the resource that stands for the stay, for HL7 v2 always 0."""

    __tablename__ = "stay_facts"

    message_id: int = Field(primary_key=True, foreign_key="inbound_message.id")
    part: int = Field(default=0, primary_key=True, index=True)
    stay_id: int | None = Field(default=None, index=True)
    sealed_facts: bytes = Field(sa_type=LargeBinary)


class WaitingKey(Base, table=True):
    """What a waiting message waits for: a stay with this key."""

    __tablename__ = "waiting_key"

    index: str = Field(primary_key=True)
    message_id: int = Field(primary_key=True, index=True)
    part: int = Field(default=0, primary_key=True)


class FhirResource(Base, table=True):
    """A FHIR resource as its source states it now, sealed with what it needs to be understood (`gateway.intake.repository`).

    ``index`` is the blind index of source and key, ``record`` that of the patient's record it belongs to (empty for organisations and the
    like). ``version`` counts its changes, ``message_id`` is the message that made the last one. A deleted one keeps its row.
    """

    __tablename__ = "fhir_resource"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    index: str = Field(unique=True)
    record: str = Field(default="", index=True)
    kind: str
    version: int = 1
    message_id: int = Field(foreign_key="inbound_message.id", index=True)
    deleted: bool = False
    digest: str
    updated_at: datetime = _time()
    sealed_body: bytes = Field(sa_type=LargeBinary)


class FhirIdentifier(Base, table=True):
    """An identifier of a FHIR resource (blind index of source, type, system and value): what conditional requests and logical references
    find it by."""

    __tablename__ = "fhir_identifier"

    index: str = Field(primary_key=True)
    resource_id: int = Field(primary_key=True, index=True)


class FhirAwaited(Base, table=True):
    """A resource that a record refers to and that is not its own (blind index of source and key): one that it shares with others, or that
    has not come yet. When it comes, changes or is deleted, the record must be read again."""

    __tablename__ = "fhir_awaited"

    index: str = Field(primary_key=True)
    record: str = Field(primary_key=True, index=True)


class FhirDue(Base, table=True):
    """A patient's record (blind index) that must be read again because of a message."""

    __tablename__ = "fhir_due"

    message_id: int = Field(primary_key=True, foreign_key="inbound_message.id")
    record: str = Field(primary_key=True)


class MergedNumber(Base, table=True):
    """A 病案号 that no longer counts (blind index), and the one that does (HL7 A40)."""

    __tablename__ = "merged_number"

    index: str = Field(primary_key=True)
    sealed_number: bytes = Field(sa_type=LargeBinary)


class FiledStay(Base, table=True):
    """The archived front sheet of a stay that messages or persons have a say in, too: as the file states it, untouched."""

    __tablename__ = "filed_stay"

    stay_id: int = Field(primary_key=True)
    message: str
    filed_at: datetime = _time()
    sealed_body: bytes = Field(sa_type=LargeBinary)


class StayCorrection(Base, table=True):
    """One act of a person on a stay (`gateway.cases.corrections.Correction`). It holds until a person changes it again."""

    __tablename__ = "stay_correction"

    id: int | None = Field(default=None, primary_key=True)
    stay_id: int = Field(index=True)
    at: datetime = _time()
    sealed_body: bytes = Field(sa_type=LargeBinary)


class StayVersion(Base, table=True):
    """One version of a stay: made by a message or a person's correction, never changed afterwards."""

    __tablename__ = "stay_version"
    __table_args__ = (UniqueConstraint("stay_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    stay_id: int = Field(foreign_key="stay.id")
    number: int
    digest: str
    made_by: str
    cancelled: bool = False
    """whether the admission was cancelled: due to nobody"""
    sealed_body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = _time()


class Person(Base, table=True):
    """A person, as linked from sightings (`gateway.cases.primaries.persons`). ``founding`` is the key of the sighting by which the person is
    known again when links change."""

    __tablename__ = "person"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    founding: str = Field(unique=True)
    created_at: datetime = _time()


class SightingRow(Base, table=True):
    """A sighting with its evidence (`gateway.cases.primaries.evidence.Seen`), as its source states it now, and the person it shows."""

    __tablename__ = "sighting"

    key: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True)
    digest: str
    sealed_body: bytes = Field(sa_type=LargeBinary)
    updated_at: datetime = _time()


class SightingKey(Base, table=True):
    """A blocking key (blind index) under which a sighting is found as a candidate for the same person."""

    __tablename__ = "sighting_key"

    index: str = Field(primary_key=True)
    sighting: str = Field(primary_key=True, index=True)


class TumourRow(Base, table=True):
    """One primary tumour of one person, across stays. ``founding`` is the key of the evidence by which it is known again when evidence is
    grouped anew. ``state``: ``standing``, ``merged`` (its evidence now belongs to ``merged_into``) or ``gone`` (its evidence was taken back).
    ``window`` is the month in which it was first drafted."""

    __tablename__ = "tumour"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    founding: str = Field(unique=True)
    person_id: int = Field(foreign_key="person.id", index=True)
    state: str = "standing"
    merged_into: int | None = None
    window: str = ""
    current: int = 0
    digest: str = ""
    created_at: datetime = _time()
    updated_at: datetime = _time()


class TumourVersion(Base, table=True):
    """One version of a tumour's card with where every field comes from (`gateway.reporting.cards.MadeCard`), never changed afterwards."""

    __tablename__ = "tumour_version"
    __table_args__ = (UniqueConstraint("tumour_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    tumour_id: int = Field(foreign_key="tumour.id")
    number: int
    digest: str
    made_by: str
    sealed_body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = _time()


class TumourEvidence(Base, table=True):
    """Which tumour a piece of evidence belongs to; none where it calls for a primary that is not known, or for a person."""

    __tablename__ = "tumour_evidence"

    key: str = Field(primary_key=True)
    sighting: str = Field(index=True)
    tumour_id: int | None = Field(default=None, index=True)
    note: str = ""
    """why it belongs to none: ``no-primary``, ``look``, ``review``"""


class RegistryDecision(Base, table=True):
    """A person's decision that two sightings (``subject`` ``person``) or two pieces of evidence (``tumour``) are the ``same`` or ``apart``.
    It holds until it is revoked."""

    __tablename__ = "registry_decision"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    verdict: str
    left: str = Field(index=True)
    right: str = Field(index=True)
    reason: str
    actor: str
    at: datetime = _time()
    revoked_at: datetime | None = Field(default=None, sa_type=UtcTime)
    revoked_by: str = ""
    revoked_because: str = ""


class RegistryQuestion(Base, table=True):
    """Something about persons or tumours that only a person can tell: ``subject`` ``person`` (are these two the same?), ``tumour`` (the same
    tumour? an unknown primary?), ``history`` (is there a tumour that nobody reported?). ``state``: ``open``, ``answered``, ``moot``."""

    __tablename__ = "registry_question"
    __table_args__ = (UniqueConstraint("subject", "left", "right"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    left: str = Field(index=True)
    right: str = Field(default="", index=True)
    rule: str
    state: str = Field(index=True)
    score: int = 0
    sealed_detail: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = _time()
    updated_at: datetime = _time()


class CardEdit(Base, table=True):
    """One act of a person on a tumour's card (`gateway.cases.primaries.case.Edit`): fields filled in, findings confirmed."""

    __tablename__ = "card_edit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    tumour_id: int = Field(foreign_key="tumour.id", index=True)
    at: datetime = _time()
    actor: str
    sealed_body: bytes = Field(sa_type=LargeBinary)


class HandedIn(Base, table=True):
    """One row of a spreadsheet of report cards (``kind`` ``card``), of deaths (``death``) or of visits (``first_visit``, ``follow_up``), as it
    was read (`gateway.model.card.Card` or a dict of the visit's fields)."""

    __tablename__ = "handed_in"
    __table_args__ = (UniqueConstraint("file_id", "row"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    file_id: str = Field(foreign_key="source_file.id")
    row: int
    digest: str = Field(index=True)
    sealed_body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = _time()


class ExchangeFile(Base, table=True):
    """One file of the monthly exchange between two registry platforms (``side`` ``chronic`` or ``registry``). ``purpose``: ``export`` (what the
    platform has, handed in), ``outgoing`` (piece ``piece`` of ``pieces`` of what is sent to it) or ``result`` (what its import page answered to
    the outgoing file ``answers_to``). The bytes are in the raw store under ``digest``. ``rows`` were read or written, ``refused`` could not be
    read."""

    __tablename__ = "exchange_file"

    id: str = Field(primary_key=True)
    month: str = Field(index=True)
    side: str
    purpose: str
    digest: str
    name: str
    rows: int = 0
    refused: int = 0
    piece: int = 1
    pieces: int = 1
    answers_to: str = ""
    source_file: str = ""
    actor: str
    at: datetime = _time()


class ExchangeRow(Base, table=True):
    """One card of a platform's export, sealed (`gateway.exchange.book.Exported`). ``key`` names the card for as long as the platform has it."""

    __tablename__ = "exchange_row"
    __table_args__ = (UniqueConstraint("file_id", "row"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    file_id: str = Field(foreign_key="exchange_file.id")
    row: int
    key: str
    sealed_body: bytes = Field(sa_type=LargeBinary)


class ExchangeLine(Base, table=True):
    """One row of an outgoing file and what the platform said of it. ``operation``: ``add`` the card ``record`` of the other platform, or
    ``correct`` its own card ``record`` in ``fields``. ``outcome``: empty until answered, ``imported``, ``exists`` (imported: the person was
    known), ``refused``, ``unclear`` (an unexplained error: it may be stored), ``lost`` (a person looked: it is not stored)."""

    __tablename__ = "exchange_line"
    __table_args__ = (UniqueConstraint("file_id", "row"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    file_id: str = Field(foreign_key="exchange_file.id")
    row: int
    entry: str
    record: str = Field(index=True)
    operation: str
    fields: str = ""
    outcome: str = ""
    sealed_reason: bytes | None = Field(default=None, sa_type=LargeBinary)
    answered_at: datetime | None = Field(default=None, sa_type=UtcTime)
    answered_by: str = ""


class ExchangeDecision(Base, table=True):
    """A person's decision about the exchange. ``subject`` ``entry``: the proposal for the tumour ``left`` is to be carried out (``accept``, with
    ``choices`` whose value is taken, by field) or not (``decline``), for as long as what is compared has this ``digest``. ``subject``
    ``record``: two cards are the ``same`` or stay ``apart``."""

    __tablename__ = "exchange_decision"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    verdict: str
    left: str = Field(index=True)
    right: str = ""
    digest: str = ""
    choices: str = "{}"
    reason: str
    actor: str
    at: datetime = _time()


class ExchangeMonth(Base, table=True):
    """A month whose exchange is done: when both platforms first had the same tumours."""

    __tablename__ = "exchange_month"

    month: str = Field(primary_key=True)
    finished_at: datetime = _time()
    tumours: int


class Submission(Base, table=True):
    """One stay or one tumour due to one platform. ``current`` is the number of its latest version. ``part`` is empty for the main report;
    others of the same tumour (``first_visit/3``) have a ``parent``, the submission that the platform must have first."""

    __tablename__ = "submission"
    __table_args__ = (UniqueConstraint("platform", "stay_id"), UniqueConstraint("platform", "tumour_id", "part"))

    id: str = Field(primary_key=True)
    platform: str
    stay_id: int | None = Field(default=None, index=True, foreign_key="stay.id")
    tumour_id: int | None = Field(default=None, index=True, foreign_key="tumour.id")
    part: str = ""
    parent: str = ""
    window: str = Field(default="", index=True)
    current: int = 1
    created_at: datetime = _time()


class SubmissionVersion(Base, table=True):
    """One version of a submission with its two independent states (`gateway.reporting.states`).

    ``id`` is ``<submission>.<number>`` and serves as idempotency key at the platform. ``replaces`` is the version that the
    platform already knows and that this one amends or withdraws. ``run`` counts the workflows that delivered it.
    """

    __tablename__ = "submission_version"
    __table_args__ = (
        UniqueConstraint("submission_id", "number"),
        Index("ix_submission_version_queue", "platform", "our_state", "id"),
        Index("ix_submission_version_platform_state", "platform", "platform_state", "id"),
    )

    id: str = Field(primary_key=True)
    submission_id: str = Field(foreign_key="submission.id")
    platform: str
    number: int
    stay_version_id: int | None = Field(default=None, foreign_key="stay_version.id")
    tumour_version_id: int | None = Field(default=None, foreign_key="tumour_version.id")
    operation: str
    replaces: str = ""
    our_state: str
    platform_state: str
    due_from: datetime = _time()
    late: bool = False
    rules: str = ""
    reason: str = ""
    findings: str = "[]"
    digest: str
    sealed_record: bytes = Field(sa_type=LargeBinary)
    platform_record: str = ""
    batch_id: str = Field(default="", index=True)
    run: int = 0
    created_at: datetime = _time()
    updated_at: datetime = _time()


class Attempt(Base, table=True):
    """One try to send a version. ``outcome``: sending, answered, refused, transient, uncertain, found."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("version_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    version_id: str = Field(index=True)
    number: int
    started_at: datetime = _time()
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)
    outcome: str
    status: int = 0
    note: str = ""
    sealed_answer: bytes | None = Field(default=None, sa_type=LargeBinary)


class Receipt(Base, table=True):
    """What a platform answered about one version, kept raw and parsed. ``receipt_key`` is the platform's own number: a receipt
    that comes twice counts once. ``version_id`` is empty when no version of ours matches."""

    __tablename__ = "receipt"
    __table_args__ = (UniqueConstraint("platform", "receipt_key"),)

    id: int | None = Field(default=None, primary_key=True)
    platform: str
    receipt_key: str
    version_id: str = Field(default="", index=True)
    status: str
    applied: bool = True
    sealed_body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = _time()


class Batch(Base, table=True):
    """A closed set of submissions sent as one file. ``state``: closed, written, confirmed."""

    __tablename__ = "batch"

    id: str = Field(primary_key=True)
    platform: str = Field(index=True)
    window: str
    state: str
    members: int
    digest: str = ""
    file_name: str = ""
    closed_at: datetime = _time()
    confirmed_at: datetime | None = Field(default=None, sa_type=UtcTime)
    confirmed_by: str = ""


class AuditEntry(Base, table=True):
    """One entry of the append-only, hash-chained audit log (`gateway.audit`)."""

    __tablename__ = "audit_entry"

    seq: int = Field(primary_key=True)
    at: datetime = _time()
    actor: str
    action: str
    subject: str
    detail: str = "{}"
    previous: str
    hash: str


class Cursor(Base, table=True):
    """How far a reader of an outside stream has come (a platform's receipts)."""

    __tablename__ = "cursor"

    name: str = Field(primary_key=True)
    position: str


class Account(Base, table=True):
    """A person who may sign in. The first password is good for one thing only: setting another."""

    __tablename__ = "account"

    name: str = Field(primary_key=True)
    password: str
    one_time: bool = True
    created_at: datetime = _time()


class Token(Base, table=True):
    """A bearer token, stored as its digest."""

    __tablename__ = "token"

    digest: str = Field(primary_key=True)
    account: str = Field(foreign_key="account.name")
    expires_at: datetime = _time()


class Client(Base, table=True):
    """A program that may use the API (`gateway.access.clients`). ``source`` is the source it sends for, empty for one that sends nothing;
    ``scopes`` is what it may do at most, in SMART's words, separated by spaces."""

    __tablename__ = "client"

    name: str = Field(primary_key=True)
    source: str = ""
    scopes: str
    disabled: bool = False
    created_at: datetime = _time()


class ClientCredential(Base, table=True):
    """What a client shows to be let in; one that is revoked is gone. ``kind``: ``key`` (``digest`` of the API key), ``public-key``
    (``digest`` is the thumbprint of the JWK in ``public_key``, ``kid`` its name in signed assertions), ``certificate`` (``digest`` is the
    SHA-256 of its DER)."""

    __tablename__ = "client_credential"
    __table_args__ = (UniqueConstraint("kind", "digest"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    client: str = Field(foreign_key="client.name", index=True)
    kind: str
    digest: str
    kid: str = ""
    public_key: str = ""
    created_at: datetime = _time()
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)


class ClientToken(Base, table=True):
    """An access token of a client, stored as its digest, and what it is good for."""

    __tablename__ = "client_token"

    digest: str = Field(primary_key=True)
    client: str = Field(foreign_key="client.name")
    scopes: str
    expires_at: datetime = _time()


class UsedAssertion(Base, table=True):
    """A signed assertion (digest of its issuer and ``jti``) that has been used, kept for as long as it would be good."""

    __tablename__ = "used_assertion"

    digest: str = Field(primary_key=True)
    expires_at: datetime = _time()
