"""What a visit costs: the fee items of the front sheet, which add up to the total exactly because they are counted in fen."""

from __future__ import annotations

from random import Random

from conformance.sample.people import between
from conformance.sample.visits import Visit

_ITEMS = tuple(f"D{number}" for number in range(11, 35))
_PATHOLOGY, _SURGERY, _DRUGS, _BLOOD = (_ITEMS.index(code) for code in ("D15", "D20", "D23", "D26"))
_ALBUMIN, _GLOBULIN, _CLOTTING, _PHYSICAL = (_ITEMS.index(code) for code in ("D27", "D28", "D29", "D19"))

# shares in D11..D34; blood comes on top
_MEDICAL = (8, 7, 5, 1, 1, 18, 13, 6, 4, 0, 0.5, 1.5, 30, 3, 0.5, 0, 0, 0, 0, 0.5, 1, 6, 0, 0.5)
_SURGICAL = (5, 4, 3, 0.8, 2, 10, 8, 3, 2, 22, 0.6, 0.4, 18, 1, 0.2, 0, 0, 0, 0, 0.3, 1, 4, 17, 0.4)
_CHEMOTHERAPY = (6, 6, 4, 1, 1, 15, 9, 3, 5, 0, 0.2, 0.8, 38, 3, 0.3, 0, 0, 0, 0, 4, 1, 6, 0, 0.4)
_RADIOTHERAPY = (5, 4, 3, 1, 1, 8, 9, 2, 48, 0, 0.2, 0.8, 14, 2, 0.3, 0, 0, 0, 0, 0.5, 0.5, 3, 0, 0.4)


def fees(rng: Random, visit: Visit, red_cells: int, platelets: int) -> dict[str, str]:
    """Columns D01 to D34. ``red_cells`` in units and ``platelets`` in therapeutic doses set the fee for blood."""
    budget = visit.story.daily * 100 * visit.days * (0.8 + 0.45 * rng.random())
    shares = [share * (0.7 + 0.6 * rng.random()) for share in _shares(rng, visit)]
    scale = budget / sum(shares)
    amounts = [int(scale * share) for share in shares]
    amounts[_BLOOD] = red_cells * between(rng, 210_00, 260_00) + platelets * between(rng, 1400_00, 1650_00)
    total = sum(amounts)
    cells = dict(zip(_ITEMS, map(_yuan, amounts), strict=True))
    cells["D01"] = _yuan(total)
    paid_alone = 1.0 if visit.chart.patient.cells["A46C"] == "7" else 0.15 + 0.3 * rng.random()
    cells["D09"] = _yuan(int(total * paid_alone))
    cells["D19x01"] = _yuan(int(amounts[_PHYSICAL] * 0.7) if visit.main.startswith("Z51.0") else 0)
    surgery = amounts[_SURGERY]
    anaesthesia = int(surgery * 0.2) if _anaesthetised(visit) else 0
    cells["D20x01"] = _yuan(anaesthesia)
    cells["D20x02"] = _yuan(int((surgery - anaesthesia) * 0.9))
    cells["D23x01"] = _yuan(int(amounts[_DRUGS] * 0.3 * rng.random()))
    return cells


def _shares(rng: Random, visit: Visit) -> list[float]:
    group = visit.story.group
    if visit.main.startswith("Z51.0"):
        shares = list(_RADIOTHERAPY)
    elif any(done.operation.surgical or _wants_anaesthetist(done.operation.anaesthesia) for done in visit.procedures):
        shares = list(_SURGICAL)
    elif group.endswith("-chemo") or group == "child-tumour":
        shares = list(_CHEMOTHERAPY)
    else:
        shares = list(_MEDICAL)
    if not visit.morphology:
        shares[_PATHOLOGY] = 0
    if visit.main[:3] in ("D66", "D67"):
        shares[_CLOTTING] = 60
    if visit.main.startswith(("D69.3", "D76")):
        shares[_GLOBULIN] = 25
    if rng.random() < 0.08:
        shares[_ALBUMIN] = 4
    return shares


def _wants_anaesthetist(method: str) -> bool:
    return method != "-" and not method.startswith("03")


def _anaesthetised(visit: Visit) -> bool:
    return any(_wants_anaesthetist(done.operation.anaesthesia) for done in visit.procedures)


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
