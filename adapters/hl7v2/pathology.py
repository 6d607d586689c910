"""Pathology reports in result messages (ORU, OUL): one OBR with its OBX becomes one fact for each kind and status in it.

Rules (decisions, dialect of a widely used pathology system): OBR-24 SP or PAT, an OBR-4 that says 病理, or a pathology section in OBX-3
make it a pathology report. OBR-3 holds the 病理号, in one dialect together with kind and sequence. OBX-2 is misused for the kind of
report (常规 冰冻 补充). Final is what OBR-25 and OBX-11 both allow to be; nothing said, or a word without mapping, is preliminary.
Morphology is taken from a coded observation only, never from text.
"""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.datatypes import component, components
from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.entries import coded_element, source_of
from adapters.hl7v2.message import NULL, Segment, Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import PATHOLOGY_KINDS, PATHOLOGY_STATUSES, PathologyFact, PathologyKind, PathologyStatus, Remark
from gateway.model.morphology import morphology_code
from gateway.model.values import Coded

_WORST_FIRST: Final[tuple[PathologyStatus, ...]] = ("withdrawn", "preliminary", "corrected", "final")
_GROUP: Final = "PathologyFact"
_ATTACHMENTS: Final = frozenset(("ED", "RP"))
_CODED: Final = frozenset(("CE", "CWE", "CNE", "CF"))


def is_pathology(dialect: Dialect, order: Segments) -> bool:
    """Whether the results of one order (OBR with its OBX) are a pathology report."""
    request = order.first("OBR")
    if request is None:
        return False
    if dialect.file.pathology.always:
        return True
    types, sections = dialect.maps["report-type"], dialect.maps["pathology-section"]
    for number in (24, 4):
        parts = components(request, request.field(number) or "")
        code, label = component(request, parts, 1), component(request, parts, 2)
        if types.find(code, label)[0] or "病理" in code or "病理" in label:
            return True
    for segment in order.all("OBX"):
        code = component(segment, components(segment, segment.field(3) or ""), 1)
        if not code.isdigit() and sections.codes.get(code):
            return True
    return False


def report(dialect: Dialect, order: Segments, number: int, remarks: list[Remark]) -> list[PathologyFact]:
    """The facts of one pathology report. ``number`` counts the OBR in the message."""
    request = order.first("OBR")
    if request is None:
        return []
    specimen, stated_kind = _specimen_number(dialect, order, f"OBR[{number}]-3", remarks)
    stated = _status_of_report(dialect, order, request, number, remarks)
    reported_at = _reported_at(dialect, request, number, remarks)
    pieces: dict[tuple[PathologyKind | None, PathologyStatus], _Piece] = {}
    for segment in order.all("OBX"):
        status = _status_of_observation(dialect, segment, stated, remarks)
        if status is None:
            continue
        kind = PATHOLOGY_KINDS.get(dialect.maps["report-kind"].find(segment.value("2"))[0] or "") or stated_kind
        piece = pieces.setdefault((kind, status), _Piece())
        if status != "withdrawn":
            piece.add(dialect, segment, remarks)
    if stated == "withdrawn" and not pieces:
        pieces[(stated_kind, "withdrawn")] = _Piece()
    if any(status != "withdrawn" and piece.filled for (_, status), piece in pieces.items()):
        # a section taken back while others stand: what stands replaces the report
        pieces = {key: piece for key, piece in pieces.items() if key[1] != "withdrawn"}
    facts = [
        PathologyFact(
            specimen,
            f"OBR[{number}]-3",
            kind or piece.kind,
            status,
            {section: "\n".join(lines) for section, lines in piece.texts.items()},
            piece.morphology,
            reported_at,
        )
        for (kind, status), piece in pieces.items()
        if piece.filled or status == "withdrawn"
    ]
    if not facts:
        remarks.append(remark("report-empty", f"OBR[{number}]"))
    return facts


class _Piece:
    """What OBX of one kind and status say together."""

    __slots__ = ("morphology", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.morphology: Coded | None = None

    @property
    def filled(self) -> bool:
        return bool(self.texts) or self.morphology is not None

    @property
    def kind(self) -> PathologyKind:
        """The kind where nobody says it, by the sections that are there."""
        sections = set(self.texts)
        if sections == {"frozen"}:
            return "frozen"
        return "supplement" if sections == {"supplement"} else "routine"

    def add(self, dialect: Dialect, segment: Segment, remarks: list[Remark]) -> None:
        parts = components(segment, segment.field(3) or "")
        section, _ = dialect.maps["pathology-section"].find(component(segment, parts, 1), component(segment, parts, 2))
        if section is None:
            remarks.append(remark("report-section", "OBX-3"))
        if not section:
            return
        type = segment.value("2")
        if type in _ATTACHMENTS:
            remarks.append(remark("attachment", "OBX-5"))
            return
        if section == "morphology":
            self._code(dialect, segment, remarks)
            return
        lines = [line.strip() for line in _lines(segment, coded=type in _CODED)]
        if any(lines):
            self.texts.setdefault(section, []).extend(line for line in lines if line)

    def _code(self, dialect: Dialect, segment: Segment, remarks: list[Remark]) -> None:
        parts = components(segment, segment.field(5) or "")
        code, name = component(segment, parts, 1), component(segment, parts, 2)
        morphology = morphology_code(code)
        if morphology:
            self.morphology = Coded(dialect.systems.morphology, morphology, name or None)
        elif code:
            remarks.append(remark("unmapped-code", "OBX-5"))
            self.morphology = Coded(f"{dialect.id}/morphology", code, name or None)


def _lines(segment: Segment, *, coded: bool) -> list[str]:
    """OBX-5 as text, one line or more for each repetition."""
    if not coded:
        return segment.values("5")
    return [label or code for code, label in zip(segment.values("5.1"), segment.values("5.2"), strict=True)]


def _specimen_number(dialect: Dialect, order: Segments, place: str, remarks: list[Remark]) -> tuple[str, PathologyKind | None]:
    """(病理号, kind of report where OBR-3 tells it)."""
    text = ""
    for name in ("OBR", "SPM", "ORC"):
        segment = order.first(name)
        if segment is None or text:
            continue
        for rule in dialect.members.get((_GROUP, name), ()):
            if rule.path == "specimen_number":
                text = next((found for source in rule.sources if (found := segment.plain(segment.at(source.spot)).strip())), "")
                mark = segment.delimiters.component
                text = text.partition(mark)[0].strip() if mark else text
    if not text:
        remarks.append(remark("no-specimen-number", place))
        return "", None
    match = dialect.pathology_number.fullmatch(text) if dialect.pathology_number is not None else None
    if match is None:
        return text, None
    kind = PATHOLOGY_KINDS.get(dialect.maps["report-kind"].find(match.groupdict().get("kind") or "")[0] or "")
    return match["number"], kind


def _status_of_report(
    dialect: Dialect, order: Segments, request: Segment, number: int, remarks: list[Remark]
) -> PathologyStatus | None:
    """OBR-25, or a cancelling ORC-1; None where nothing is said."""
    common = order.first("ORC")
    if common is not None and dialect.maps["order-state"].codes.get(common.value("1").strip()) == "cancelled":
        return "withdrawn"
    source = source_of(dialect, _GROUP, request, "status")
    parts = coded_element(request, source)
    if source is None or source.codes is None or not any(parts[:2]):
        return None
    target, _ = source.codes.find(parts[0], parts[1] if len(parts) > 1 else "")
    if target not in PATHOLOGY_STATUSES:
        remarks.append(remark("report-status", f"OBR[{number}]{source.place[3:]}"))
    return PATHOLOGY_STATUSES.get(target or "", "preliminary")


def _status_of_observation(
    dialect: Dialect, segment: Segment, stated: PathologyStatus | None, remarks: list[Remark]
) -> PathologyStatus | None:
    """The lower of what OBR-25 and OBX-11 allow; None for an observation without a result."""
    code = segment.value("11").strip()
    target = dialect.maps["observation-status"].find(code)[0] if code else None
    if target == "nothing":
        return None
    if code and target is None:
        remarks.append(remark("report-status", "OBX-11"))
        target = "preliminary"
    own = PATHOLOGY_STATUSES.get(target or "")
    if stated is None and own is None:
        remarks.append(remark("report-status", "OBR-25"))
        return "preliminary"
    return min((status for status in (stated, own) if status is not None), key=_WORST_FIRST.index)


def _reported_at(dialect: Dialect, request: Segment, number: int, remarks: list[Remark]) -> str | None:
    for rule in dialect.members.get((_GROUP, "OBR"), ()):
        if rule.path == "reported_at":
            for source in rule.sources:
                raw = request.at(source.spot)
                if raw and raw != NULL:
                    value = source.read(request, remarks, f"OBR[{number}]{source.place[3:]}")
                    if isinstance(value, str):
                        return value
    return None
