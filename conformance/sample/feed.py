"""The sample hospital's live feed: what its HIS would have sent about a stay, as HL7 v2.4 messages in dialect ``cn-a``.

From a front-sheet record, admission (A01), diagnoses known during the stay (A08) and discharge (A03). A feed knows less than the archived
front sheet: no fees, no certificates, no quality control. Every other patient is sent in GB18030, as hospitals do.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from adapters.hl7v2.framing import Deframer, Frame, frame
from mappings.dictionary import load_value_sets

DIALECT = "cn-a"
_OTHERS = 40


def messages_of(record: Mapping[str, str]) -> list[bytes]:
    """The messages about one stay, oldest first."""
    admitted, discharged = _time(record["B12"]), _time(record["B15"])
    known = max(admitted, discharged - timedelta(days=1))
    number = f"{record['A48']}-{record['A49']}"
    wide = int(record["A48"]) % 2 == 0
    charset, codec = ("UNICODE UTF-8", "utf-8") if wide else ("GB 18030-2000", "gb18030")

    def message(event: str, at: datetime, *segments: str) -> bytes:
        sent = _stamp(at + timedelta(minutes=5))
        header = f"MSH|^~\\&|HIS||EAI||{sent}||ADT^{event}|{number}-{event}|P|2.4|||||CHN|{charset}"
        return "\r".join((header, f"EVN|{event}|{_stamp(at)}", *segments, "")).encode(codec)

    patient = [_pid(record), _nk1(record)]
    diagnoses = list(_dg1(record))
    return [
        message("A01", admitted, *patient, _pv1(record, admitted)),
        message("A08", known, *patient, _pv1(record, admitted), *diagnoses),
        message("A03", discharged, *patient, _pv1(record, admitted, discharged), *diagnoses),
    ]


def send(address: tuple[str, int], messages: Iterable[bytes], *, patience: float = 60.0) -> Iterator[bytes]:
    """Send messages over MLLP one after the other; the acknowledgement of each. Raises ``OSError`` when the peer is gone."""
    with socket.create_connection(address, timeout=patience) as peer:
        deframer = Deframer()
        for message in messages:
            peer.sendall(frame(message))
            answer: bytes | None = None
            while answer is None:
                data = peer.recv(1 << 16)
                if not data:
                    raise ConnectionError("the listener closed the connection")
                answer = next((event.data for event in deframer.feed(data) if isinstance(event, Frame)), None)
            yield answer


def _pid(record: Mapping[str, str]) -> str:
    numbers = [f"{record['A48']}^^^^PatientNO"]
    if record.get("A20", "-") != "-":
        numbers.append(f"{record['A20']}^^^^IdentifyNO")
    sex = {"1": "M", "2": "F"}.get(record["A12C"], "U")
    address = f"{record['A26']}^^^^{record['A28C']}^^C~{record['A24']}^^^^{record['A25C']}^^L"
    fields = {
        1: "1",
        3: "~".join(numbers),
        5: record["A11"],
        7: record["A13"].replace("-", "") + "000000",
        8: sex,
        11: address,
        13: record["A27"],
        16: f"^{_name('RC002', record['A21C'])}",
        22: f"^{_name('RC035', record['A19C'])}",
        23: record["A22"],
        28: f"156^{record['A15C']}",
        35: _name("RC036", record["A23C"]),
        38: f"^{_name('RC032', record['A46C'])}",
    }
    return _segment("PID", fields)


def _nk1(record: Mapping[str, str]) -> str:
    return _segment("NK1", {1: "1", 2: record["A32"], 3: f"^{_name('RC033', record['A33C'])}", 4: record["A34"], 5: record["A35"]})


def _pv1(record: Mapping[str, str], admitted: datetime, discharged: datetime | None = None) -> str:
    department = record["B16C"] if discharged is not None else record["B13C"]
    fields = {
        1: "1",
        2: "I",
        3: f"{record.get('B17' if discharged is not None else 'B14', '')}^^1^{department}^{_name('RC023', department)}",
        7: f"1001^{record['B24']}",
        13: record["A49"],
        14: f"^{_name('RC026', record['B11C'])}",
        19: f"{record['A48']}-{record['A49']}",
        44: _stamp(admitted),
    }
    if discharged is not None:
        fields |= {36: f"^{_name('RC019', record['B34C'])}", 45: _stamp(discharged)}
    return _segment("PV1", fields)


def _dg1(record: Mapping[str, str]) -> Iterator[str]:
    pairs = [("C03C", "C04N", "C05C")] + [(f"C06x{k:02d}C", f"C07x{k:02d}N", f"C08x{k:02d}C") for k in range(1, _OTHERS + 1)]
    for rank, (code, name, present) in enumerate(pairs, start=1):
        if record.get(code, "-") == "-":
            continue
        fields = {
            1: str(rank),
            2: "ICD-10",
            3: f"{record[code]}^{record[name]}",
            6: "F",
            15: str(rank),
            26: record.get(present, ""),
        }
        yield _segment("DG1", fields)


def _segment(name: str, fields: Mapping[int, str]) -> str:
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def _name(domain: str, code: str) -> str:
    return load_value_sets()[domain].name(code)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _stamp(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S")
