"""The form of a record: which columns it may have and which it cannot do without."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from conformance.checks.functions import filled
from conformance.simulators.records import Reason, Refused
from gateway.model.errors import RowRefused
from gateway.model.stay import Stay
from gateway.model.values import day_of
from mappings.layout import Layout

REQUIRED = ("A48", "A49", "A13", "B15", "C03C")
"""病案号, 住院次数, 出生日期, 出院时间, 出院主要诊断编码: without these a record cannot even be reviewed."""


class Form:
    """Reads records of one layout. Not thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._reader = RowReader(recognise(layout.columns))

    def read(self, fields: Mapping[str, str]) -> Stay:
        """The stay that a record describes. Raises `Refused` (422) with everything that makes it unusable."""
        faults = [Reason(code, "平台没有这个数据项") for code in fields if code not in self._layout.by_code]
        faults += [self._fault(code, "必须填写") for code in REQUIRED if not filled(fields.get(code, "").strip())]
        if faults:
            raise Refused(422, *faults)
        try:
            stay = self._reader.read(self._layout.row(fields), "record").stay
        except RowRefused as refusal:
            raise Refused(422, Reason(refusal.field, refusal.message)) from None
        days = {"A13": stay.patient.birth_date, "B15": stay.discharge.time}
        faults = [self._fault(code, "不是有效的日期") for code, value in days.items() if day_of(value) is None]
        if faults:
            raise Refused(422, *faults)
        return stay

    def _fault(self, code: str, complaint: str) -> Reason:
        return Reason(code, f"{self._layout.by_code[code].name_zh}{complaint}")
