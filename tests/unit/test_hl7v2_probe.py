"""Sample messages examined: the dialect that fits best, what was recognised where, what is asked, and a dialect file that loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.hl7v2.dialect import BUILT_IN, dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.probe import examine, masked, probe, shown
from adapters.hl7v2.proposal import proposed
from adapters.hl7v2.reading import FactsReader
from tests.hl7v2_messages import BOY, DATA, header, message, segment


@pytest.mark.parametrize("name", BUILT_IN[1:])
def test_each_case_is_recognised_and_its_proposal_reads_the_same(tmp_path: Path, name: str) -> None:
    files = sorted((DATA / name).glob("*.hl7"))
    result = probe(files)
    assert result.best == name
    assert result.fits[0].score == 100
    assert result.messages == len(files)
    own = tmp_path / "ours.toml"
    own.write_text(proposed(result, "ours"), encoding="utf-8")
    for file in files:
        read = Message.read(file.read_bytes())
        ours, built_in = FactsReader(dialect(own)).read(read, "1"), FactsReader(dialect(name)).read(read, "1")
        assert ours.patient == built_in.patient
        assert ours.visit == built_in.visit
        assert ours.mapping == "ours"


def test_nothing_of_a_person_is_shown() -> None:
    for name in BUILT_IN[1:]:
        result = probe(sorted((DATA / name).glob("*.hl7")))
        text = result.report() + proposed(result, "ours")
        for secret in ("林小禾", "小禾", BOY, "ZY240506", "D556677", "P0009001", "MR778899"):
            assert secret not in text


def test_a_hospital_that_differs() -> None:
    sample = [
        message(
            header(),
            segment("PID", f2=f"ZY{n}00100", f3=f"K{n}00200^^^^HOSP", f4=BOY, f5="^林小禾", f7="9岁", f8="7"),
            segment("PV1", f2="住院", f3="小儿血液科^^^^血液一病区", f13=str(n)),
        )
        for n in (1, 2, 3)
    ]
    result = examine(sample)
    assert [(one.place, one.count) for one in result.seen("身份证号")] == [("PID-4", 3)]
    assert [(one.place, one.word) for one in result.seen("号码")] == [("PID-2", ""), ("PID-3", "HOSP")]
    assert [one.place for one in result.seen("姓名")] == ["PID-5.2"]
    assert result.unmapped["sex", "PID-8", "7"] == 3
    assert result.unmapped["department", "PV1-3", "小儿血液科"] == 3
    assert any("年龄" in question for question in result.questions)
    text = proposed(result, "ours")
    assert '"小儿血液科" = ""' in text


def test_two_resident_ids_are_asked_about() -> None:
    result = examine([message(header(), segment("PID", f3=BOY, f4=BOY, f19=BOY))])
    assert any("3 处" in question and "身份证号" in question for question in result.questions)


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    bad = tmp_path / "bad.hl7"
    bad.write_bytes(b"hello")
    result = probe([bad])
    assert result.refused.total() == 1
    assert "无法读取 1 条" in result.report()
    assert 'extends = "standard"' in proposed(result, "ours")


def test_masking() -> None:
    assert masked("张三丰") == "张*"
    assert masked(BOY) == "99****95"
    assert masked("12") == "**"
    assert shown("HOSP") == "HOSP"
    assert shown(BOY) == "99****95"
