"""The lazy reader, its paths and escapes, and its splitting held equal to two other libraries."""

from __future__ import annotations

from time import process_time

import hl7
import pytest
from hl7apy.parser import parse_message

from adapters.hl7v2.delimiters import STANDARD, Delimiters, escape, unescape
from adapters.hl7v2.message import LONGEST, NULL, Message, path
from adapters.hl7v2.refusal import REASONS, MessageRefused
from gateway.model.errors import ConfigurationError, UnusableInput

HEAD = "MSH|^~\\&|PIS|甲院|ESB|乙|20260102030405||ORU^R01^ORU_R01|M1|P|2.5.1"


def read(*segments: str, head: str = HEAD, end: str = "\r", charset: str = "") -> Message:
    return Message.read(end.join((head, *segments)).encode(), charset=charset)


def reason(raw: bytes, longest: int = LONGEST) -> str:
    with pytest.raises(MessageRefused) as caught:
        Message.read(raw, longest=longest)
    error = caught.value
    assert isinstance(error, UnusableInput)
    assert error.message
    assert error.action
    assert error.english.isascii()
    assert error.reason in REASONS
    return error.reason


def test_paths() -> None:
    message = read("PID|1||A1^^^H&1.2&ISO^MR~B2^^^H^PI||张^三~李^四|" + NULL + "|^" + NULL, "OBX|1", "OBX|2||c^名")
    found = {
        place: message.raw(place)
        for place in (
            "MSH-1",
            "MSH-2",
            "MSH-2.1",
            "MSH-3",
            "MSH-9.3",
            "MSH-12",
            "PID-3",
            "PID-3.1",
            "PID-3[2].1",
            "PID-3[3].1",
            "PID-3.4.2",
            "PID-3[2].4.1",
            "PID-3[2].4.2",
            "PID-3.9",
            "PID-5[2].2",
            "PID-1.1.1",
            "PID-1[2]",
            "OBX[2]-3.2",
            "OBX[3]-3",
            "ZZZ-1",
            "PID-99",
        )
    }
    assert found == {
        "MSH-1": "|",
        "MSH-2": "^~\\&",
        "MSH-2.1": "^~\\&",
        "MSH-3": "PIS",
        "MSH-9.3": "ORU_R01",
        "MSH-12": "2.5.1",
        "PID-3": "A1^^^H&1.2&ISO^MR",
        "PID-3.1": "A1",
        "PID-3[2].1": "B2",
        "PID-3[3].1": None,
        "PID-3.4.2": "1.2",
        "PID-3[2].4.1": "H",
        "PID-3[2].4.2": None,
        "PID-3.9": None,
        "PID-5[2].2": "四",
        "PID-1.1.1": "1",
        "PID-1[2]": None,
        "OBX[2]-3.2": "名",
        "OBX[3]-3": None,
        "ZZZ-1": None,
        "PID-99": None,
    }
    assert message.values("PID-3.1") == ["A1", "B2"]
    assert message.values("PID-3.4.2") == ["1.2", ""]
    assert message.values("PID-2") == message.values("ZZZ-1") == []
    assert message[1].repeats(3) == 2
    assert message[1].repeats(2) == message[1].repeats(40) == 0
    assert message[1].value("5[2].1") == "李"
    assert (message.control_id, message.kind, message.event, message.version) == ("M1", "ORU", "R01", "2.5.1")


def test_absent_empty_and_null_are_three_things() -> None:
    message = read('PID|1||""^x|""||^""^')
    assert [message.raw(place) for place in ("PID-99", "PID-5", "PID-4")] == [None, "", NULL]
    assert [message.value(place) for place in ("PID-99", "PID-5", "PID-4")] == ["", "", ""]
    # below an explicit null everything is null; beside one nothing is
    assert [message.raw(place) for place in ("PID-4.1", "PID-4.3.2", "PID-3.1", "PID-3.2", "PID-6.2", "PID-6.3")] == [
        NULL,
        NULL,
        NULL,
        "x",
        NULL,
        "",
    ]


@pytest.mark.parametrize(
    "text", ["", "PID", "PID-0", "PID-3[0]", "PID-3.1.1.1", "PID3", "pid-3", "PID[1]", "PID-3.", "-3", "PID-3[1", "PID-３"]
)
def test_a_wrong_path_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        path(text)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\n\r\n\r"])
def test_line_ends(end: str) -> None:
    assert [s.text for s in read("PID|1", "Z01|自", "OBX|1", end=end)] == [HEAD, "PID|1", "Z01|自", "OBX|1"]


def test_line_ends_mixed_and_blank_lines() -> None:
    raw = f"\r\n {HEAD}\nPID|1\r\rPV1\r\nZZ9\n\r\n".encode()
    assert [s.name for s in Message.read(raw)] == ["MSH", "PID", "PV1", "ZZ9"]


def test_free_text_keeps_its_line_ends() -> None:
    message = read("OBX|1|FT|2||第一行\r\n第二行\n\nPID 不是段\r末行|||F", "OBX|2")
    assert message.value("OBX-5") == "第一行\n第二行\n\nPID 不是段\n末行"
    assert message.value("OBX-8") == "F"
    assert len(message) == 3


def test_other_delimiters() -> None:
    message = Message.read(b"MSH$%*!@$A$\rPID$1$$x%y@z*p!F!q|^~\\&")
    assert [message.value(p) for p in ("MSH-1", "MSH-2", "MSH-3", "PID-3.2.2", "PID-3[2]")] == ["$", "%*!@", "A", "z", "p$q|^~\\&"]


@pytest.mark.parametrize(
    ("msh2", "expected"),
    [
        ("^", Delimiters(component="^", repetition="", escape="", subcomponent="")),
        ("^~", Delimiters(escape="", subcomponent="")),
        ("^~\\&#", Delimiters(truncation="#")),
        ("^~\\\\&", STANDARD),
    ],
)
def test_short_long_and_doubled_msh_2(msh2: str, expected: Delimiters) -> None:
    message = read("PID|1||a^b~c&d\\F\\", head=f"MSH|{msh2}|A")
    assert message.delimiters == expected
    assert message.value("MSH-2") == msh2
    assert message.value("PID-3.2").startswith("b")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "no-msh"),
        (b"\r\n", "no-msh"),
        (b"MSH", "no-msh"),
        (b"MSH|", "no-msh"),
        (b"PID|1", "no-msh"),
        (b"msh|^~\\&|", "no-msh"),
        (b"BHS|^~\\&|\rMSH|^~\\&|", "no-msh"),
        (b"MSH\rPID|1", "no-msh"),
        ("MSH|^~\\&|".encode("utf-16"), "no-msh"),
        (b"MSH||||||", "delimiters"),
        (b"MSH|LIS|A", "delimiters"),
        (b"MSH|^^\\&|", "delimiters"),
        (b"MSH|^~^&|", "delimiters"),
        (b"MSH|^~\\&#*|", "delimiters"),
        (b"MSHA^~\\&A", "delimiters"),
        (b"MSH ^~\\& A", "delimiters"),
        (b"MSH|^~\x81|&|x", "delimiters"),
        (b"MSH|^~\\&|\xff\xff", "undecodable"),
        ("MSH|^~\\&|A\rPID|1||||张三".encode()[:-1], "truncated"),
    ],
)
def test_refusals(raw: bytes, expected: str) -> None:
    assert reason(raw) == expected


def test_over_the_limit() -> None:
    assert reason(HEAD.encode(), longest=20) == "too-long"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("一\\.br\\二\\@\\三\\X0D\\四\\X0D0A\\五\\X0A\\六", "一\n二\n三\n四\n五\n六"),
        ("\\H\\重\\N\\轻", "重轻"),
        ("\\XE5BCA0\\", "张"),
        ("\\XE5\\\\XBC\\\\XA0\\三", "张三"),
        ("\\.sp\\\\.sp2\\\\.ce\\x", "\n\n\n\nx"),
        # kept as they are
        ("\\Z1F\\ \\C2842\\ \\M1\\ \\.in+4\\ \\.fi\\", "\\Z1F\\ \\C2842\\ \\M1\\ \\.in+4\\ \\.fi\\"),
        ("\\XE5\\", "\\XE5\\"),
        ("\\XABC\\", "\\XABC\\"),
        ("\\X\\", "\\X\\"),
        ("C:\\dir\\甲", "C:\\dir\\甲"),
        ("\\Za\\F\\E\\", "\\Za\\F\\"),
        ("5\\dl", "5\\dl"),
        ("\\", "\\"),
        ("\\\\", "\\\\"),
        ("\\P\\", "\\P\\"),
    ],
)
def test_escapes(sent: str, text: str) -> None:
    assert unescape(sent, STANDARD, "utf-8") == text
    assert read(f"OBX|1|FT|2||{sent}").value("OBX-5") == text
    assert read(f"OBX|1|FT|2||{sent}").raw("OBX-5") == sent


def test_hexadecimal_is_in_the_character_set_of_the_message() -> None:
    raw = "MSH|^~\\&|甲|||||||||||||||GBK\rPID|\\XD5C5\\".encode("gb18030")
    assert Message.read(raw).value("PID-1") == "张"


def test_escaping_and_back() -> None:
    text = "a|b^c~d\\e&f\ng"
    assert unescape(escape(text, STANDARD), STANDARD, "utf-8") == text
    assert escape("a\r\nb^c", Delimiters(escape="", subcomponent="")) == "a b c"


def test_groups() -> None:
    message = read("PID|1", "ORC|1", "OBR|1", "NTE|a", "OBX|1", "NTE|b", "OBX|2", "ORC|2", "OBR|2", "OBX|3", "OBR|3", "ZAA|1")
    orders = list(message.groups("ORC", "OBR"))
    assert [[s.name for s in order] for order in orders] == [
        ["ORC", "OBR", "NTE", "OBX", "NTE", "OBX"],
        ["ORC", "OBR", "OBX"],
        ["OBR", "ZAA"],
    ]
    assert [[s.value("1") for s in group] for group in orders[0].groups("OBX")] == [["1", "b"], ["2"]]
    assert orders[1].value("OBX-1") == "3"
    assert orders[2].raw("ORC-1") is None
    assert orders[2].first("ZAA") is not None
    assert [s.value("1") for s in message.all("OBX")] == ["1", "2", "3"]
    assert message.first("PV1") is None
    assert list(message.groups("ZZZ")) == []


def test_what_is_shown_holds_no_value() -> None:
    message = read("PID|1||||张三")
    assert repr(message) == "<Message MSH PID>"
    assert repr(message[1]) == "<Segment PID>"


def test_raw_bytes_and_text_are_kept() -> None:
    raw = f"\n{HEAD}\r\n\r\nPID|1  \n".encode()
    message = Message.read(raw)
    assert message.raw_bytes == raw
    assert message.text == raw.decode()
    assert message.value("PID-1") == "1  "


WELL_FORMED = (
    HEAD,
    "PID|1||A1^^^H&1.2.3&ISO^MR~B2^^^H^PI||张^三丰^^^先生||19690102|M|||北京路1号^^杭州^浙江^310000^CHN~^^宁波||13900000000|||M",
    "PV1|1|I|肿瘤科^201^3^甲院||||D1^王医生|||ONC||||1||||||||||||||||||||||||||||||20260101",
    "ORC|RE|P1|F1",
    "OBR|1|P1|F1|1487^病理^L|||20260102|||||||||D2^李",
    "NTE|1||注：\\T\\ 已核对",
    "OBX|1|TX|2^病理诊断^L||（左乳）浸润性导管癌~II级||||||F",
    "OBX|2|NM|K^Ki-67^L||30|%|||||F",
)


def test_python_hl7_splits_the_same() -> None:
    ours, theirs = read(*WELL_FORMED[1:]), hl7.parse("\r".join(WELL_FORMED))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        for number in range(1, len(other)):
            assert mine.field(number) == str(other[number]), (mine.name, number)
            for repetition in range(1, mine.repeats(number) + 1):
                if mine.name == "MSH" and number < 3:
                    continue
                for component in range(1, 7):
                    for subcomponent in range(1, 4):
                        try:
                            expected = theirs.unescape(_pick(other, number, repetition, component, subcomponent))
                        except IndexError:
                            expected = ""
                        assert mine.value(f"{number}[{repetition}].{component}.{subcomponent}") == expected


def _pick(segment: hl7.Segment, number: int, repetition: int, component: int, subcomponent: int) -> str:
    """Python-hl7 keeps a field as deep as it was sent; a leaf where more depth is asked counts as its first part."""
    part: object = segment[number]
    for index in (repetition, component, subcomponent):
        if isinstance(part, str):
            if index > 1:
                raise IndexError
        else:
            part = part[index - 1]  # type: ignore[index]
    return str(part)


def test_hl7apy_splits_the_same() -> None:
    ours, theirs = read(*WELL_FORMED[1:]), parse_message("\r".join(WELL_FORMED), find_groups=False)
    assert [s.name for s in ours] == [s.name for s in theirs.children]
    for mine, other in zip(ours, theirs.children, strict=True):
        if mine.name == "MSH":
            continue
        for number in range(1, 60):
            repetitions = [field.to_er7() for field in other.children if field.name == f"{mine.name}_{number}"]
            assert [part for part in (mine.field(number) or "").split("~") if part] == [part for part in repetitions if part]


@pytest.mark.parametrize(
    "content", ["\n" * 50_000 + "x", "A\n" * 25_000, "\r\n" * 25_000 + "PID", "PID|\n" * 10_000, "\\" * 50_000, "\\.br" * 9_000]
)
def test_linear_time(content: str) -> None:
    """Twice as much takes about twice as long, not four times; generous, because other work shares the machine."""

    def seconds(text: str) -> float:
        raw = f"{HEAD}\rOBX|1||||{text}|F\r".encode()
        best = 9.0
        for _ in range(3):
            begin = process_time()
            message = Message.read(raw)
            message.value("OBX-5")
            best = min(best, process_time() - begin)
        return best

    assert seconds(content * 4) < 10 * seconds(content) + 0.02
