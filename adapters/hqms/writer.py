"""Front-sheet files as the platform wants them: official column order, chosen encoding, CSV.

Cells are written as they are. A cell that a spreadsheet would take for a formula is *not* altered in an upload, because the platform
would get another value; `neutralised` is for copies that a person opens.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from gateway.model.errors import ConfigurationError
from mappings.layout import Layout

DEFAULT_ENCODING = "gb18030"
ENCODINGS = ("gb18030", "utf-8", "utf-8-sig")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(
    layout: Layout,
    records: Iterable[Mapping[str, str]],
    *,
    encoding: str = DEFAULT_ENCODING,
    header: bool = True,
    for_people: bool = False,
) -> bytes:
    """Records of a layout as CSV bytes with CRLF line ends. ``for_people`` neutralises formula cells. Raises `ConfigurationError`
    for an encoding that cannot hold every name (GBK, for one, lacks characters that stand in real names)."""
    if encoding.lower() not in ENCODINGS:
        raise ConfigurationError(
            f"不支持的编码：{encoding}",
            action=f"可用：{'、'.join(ENCODINGS)}",
            english=f"unsupported encoding {encoding}",
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if header:
        writer.writerow(layout.columns)
    rows = (layout.row(record) for record in records)
    writer.writerows(map(neutralised, rows) if for_people else rows)
    return text.getvalue().encode(encoding)


def neutralised(cells: Sequence[str]) -> list[str]:
    """Cells that a spreadsheet will show instead of calculate: an apostrophe before what starts like a formula. The null
    placeholder ``-`` and plain numbers stay."""
    return [f"'{cell}" if cell.startswith(_FORMULA) and not _harmless(cell) else cell for cell in cells]


def _harmless(cell: str) -> bool:
    return cell == "-" or cell.lstrip("+-").replace(".", "", 1).isdigit()
