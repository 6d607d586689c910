"""Cards for the Zhejiang hub, and a gateway's ledger with submissions of them that are ready to leave. Nobody in them is real."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlmodel import Session, col, select

from gateway import setup
from gateway.delivery.hub_terms import HubTerms
from gateway.reporting.preparing import RECORD_PLACE
from gateway.settings import CONFIG_NAME
from gateway.store.ledger import Ledger, new_id, now
from gateway.store.tables import Attempt, Person, Submission, SubmissionVersion, TumourRow, TumourVersion
from mappings.profile import profile

AREA = "33990101"
PLATFORM = "zhejiang-hub"

_VISIT = {"DT_SFRQ": "2026-11-20 00:00:00", "VC_YSQM": "王测试", "VC_CJYH": "zhibao", "DT_CJSJ": "2026-11-20 00:00:00"}


def card(number: int = 1, **changes: str) -> dict[str, str]:
    """The card of a person with lung cancer, as the hub's layout prints it. Persons differ by ``number`` (no identity number: its check digit
    does not matter to the hub)."""
    record = {
        "VC_ZYH": f"ZY{number:06d}", "DT_HZCSRQ": "1960-02-03 00:00:00", "VC_HZXM": f"张测试{number}", "VC_HZXB": "1", "VC_HZMZ": "1",
        "VC_ZYDM": "5", "VC_JTGZ": "5", "VC_JTDH": "0", "VC_HKSFDM": "0", "VC_HKXXDZ": "浙江省云屏市竹汀县明光街道望舒路1号",
        "VC_SJSFDM": "0", "VC_SJXXDZ": "浙江省云屏市竹汀县明光街道望舒路1号", "DT_ZDRQ": "2026-10-08 00:00:00", "VC_ZDYH": "4,7",
        "VC_ZDBMMS": "肺上叶恶性肿瘤", "VC_BLXLX": "腺癌", "VC_ICDO": "C34.1", "VC_ICDM": "8140/3", "VC_ZDBW": "C34.1", "VC_BQYGZBR": "3",
        "VC_ZGZDDW": "2", "VC_SFBYZD": "1", "VC_BGDW": "99DEMO", "VC_BGYS": "李测试", "DT_BGRQ": "2026-11-02 00:00:00", "VC_BGKZT": "0",
        "VC_BGKLX": "1", "VC_SHBZ": "3", "VC_GLDW": "99DEMO", "DT_CJSJ": "2026-11-02 00:00:00",
    }  # fmt: skip
    return record | changes


def first_visit(**changes: str) -> dict[str, str]:
    """A first visit as the hub's layout prints it."""
    return {"VC_HJHS": "1", "VC_JZDHS": "1", "VC_QCD": "0"} | _VISIT | changes


def follow_up(**changes: str) -> dict[str, str]:
    """A follow-up as the hub's layout prints it."""
    return {"VC_SFCX": "2"} | _VISIT | changes


def install(folder: Path, *, url: str, account: str, secret: str, options: dict[str, str], port: int = 0, more: str = "") -> Path:
    """Set up a hospital that reports to the hub; its configuration file. ``more`` is TOML for the platform."""
    setup.create(folder)
    config = folder / CONFIG_NAME
    secret_file = folder / "hub.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, "utf-8")
    all_options = {"local_area_code": AREA, "unit_code": "99DEMO", "certain_after_seconds": "0.5"} | options
    said = "".join(f'{name} = "{text}"\n' for name, text in all_options.items())
    platform = f'\n[platforms.{PLATFORM}]\nurl = "{url}"\naccount = "{account}"\nsecret_file = "hub.secret"\n'
    quick = "retry_first_seconds = 0.05\nretry_longest_seconds = 1\nreceipts_seconds = 0.1\n"
    text = config.read_text("utf-8").replace("port = 8750", f"port = {port}")
    config.write_text(f"{text}{platform}{quick}{more}\n[platforms.{PLATFORM}.options]\n{said}", "utf-8")
    return config


def put(ledger: Ledger, record: dict[str, str], *, part: str = "", parent: str = "") -> str:
    """A submission of a card (or of a visit to a card that was put before) that is ready to leave; its id."""
    with ledger.write() as session:
        if parent:
            tumour_id = session.get_one(Submission, parent).tumour_id
        else:
            person = Person(founding=new_id(), created_at=now())
            session.add(person)
            session.flush()
            tumour = TumourRow(founding=new_id(), person_id=person.id or 0, created_at=now(), updated_at=now())
            session.add(tumour)
            session.flush()
            tumour_id = tumour.id
        submission = Submission(id=new_id(), platform=PLATFORM, tumour_id=tumour_id, part=part, parent=parent, created_at=now())
        session.add(submission)
        session.flush()
        _version(ledger, session, submission, record, "submit", "")
        return submission.id


def follow(ledger: Ledger, submission_id: str, record: dict[str, str], operation: str) -> str:
    """The next version of a submission; its id."""
    with ledger.write() as session:
        submission = session.get_one(Submission, submission_id)
        replaced = f"{submission.id}.{submission.current}"
        submission.current += 1
        session.add(submission)
        return _version(ledger, session, submission, record, operation, replaced)


def _version(
    ledger: Ledger, session: Session, submission: Submission, record: dict[str, str], operation: str, replaces: str
) -> str:
    number = len(session.exec(select(TumourVersion.id).where(TumourVersion.tumour_id == submission.tumour_id)).all()) + 1
    made = TumourVersion(
        tumour_id=submission.tumour_id or 0, number=number, digest="", made_by="test", sealed_body=b"", created_at=now()
    )
    session.add(made)
    session.flush()
    version = SubmissionVersion(
        id=f"{submission.id}.{submission.current}",
        submission_id=submission.id,
        platform=PLATFORM,
        number=submission.current,
        tumour_version_id=made.id,
        operation=operation,
        replaces=replaces,
        our_state="ready",
        platform_state="unknown",
        due_from=now(),
        digest="",
        sealed_record=ledger.vault.seal(msgspec.json.encode(record), RECORD_PLACE),
        created_at=now(),
        updated_at=now(),
    )
    session.add(version)
    return version.id


def versions(ledger: Ledger) -> list[SubmissionVersion]:
    """All versions, oldest first."""
    with ledger.read() as session:
        return list(session.exec(select(SubmissionVersion).order_by(col(SubmissionVersion.id))))


def states(ledger: Ledger) -> list[tuple[str, str, str]]:
    """(operation, our side, platform side) of all versions."""
    return [(row.operation, row.our_state, row.platform_state) for row in versions(ledger)]


def attempts(ledger: Ledger, version_id: str) -> list[Attempt]:
    """All tries to send a version, or to ask about it."""
    with ledger.read() as session:
        return list(session.exec(select(Attempt).where(Attempt.version_id == version_id).order_by(col(Attempt.number))))


def terms(options: dict[str, str], *, user: str, secret: str = "", **changes: str) -> HubTerms:
    """What a hospital agreed with the hub: its ``options``, and changes of others."""
    chosen = profile(PLATFORM)
    said = chosen.chosen(options | {"local_area_code": AREA} | changes)
    return HubTerms.of(chosen.settings["soap"], said, user=user, secret=secret)
