"""Cards for the tests of edit checks, and what the columns of the reference (``tests/data/registry/edit_checks_reference.csv``) ask of them.

The columns are read here by a reader of its own: it lists codes where the product compares ranges, so that neither repeats the other's mistakes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.model.card import Card

_DATA = Path(__file__).parent / "data" / "registry"
_TOPOGRAPHY = Path(__file__).parents[1] / "mappings" / "codes" / "registry" / "icd10_icdo3_topography.csv"


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


REFERENCE = {row["check_id"]: row for row in _table(_DATA / "edit_checks_reference.csv")}
CASES = _table(_DATA / "edit_check_cases.csv")
TOPOGRAPHIES = [row["topography"] for row in _table(_TOPOGRAPHY)]

GOOD: dict[str, str] = {
    "id_type": "01", "id_no": "990101197503100015", "inpatient_no": "Z100", "birth_date": "1975-03-10", "patient_name": "测试甲",
    "sex": "1", "ethnicity": "01", "marital_status": "20", "occupation": "27", "hukou_city": "示例市", "hukou_town": "示例镇",
    "residence_city": "示例市", "residence_town": "示例镇", "multiple_primary": "0", "incidence_date": "2025-06-15",
    "age_at_incidence": "50", "basis_of_diagnosis": "7", "basis_card": "7", "basis_list": "7", "diagnosis_name": "肺癌",
    "pathology_name": "腺癌", "topography": "C34.1", "morphology": "8140", "behaviour": "3", "grade": "9", "icd10": "C34.1",
    "report_date": "2025-07-01", "last_contact_status": "1", "last_contact_date": "2025-06-20", "diagnosed_here": "1",
    "highest_diagnosing_level": "2", "report_org_code": "4101000001",
}  # fmt: skip
"""A card of which no check for cards finds anything on 2025-07-02 (the day of most tests is later: FU-04)."""


def card(**changes: str) -> Card:
    """The good card with changes."""
    return Card(**{**GOOD, **changes})


def aged(years: int) -> dict[str, str]:
    """The changes for an age at incidence; without the identity number, which has the birth date in it."""
    return {"birth_date": f"{2025 - years}-03-10", "age_at_incidence": str(years), "id_no": ""}


def generated(check_id: str) -> Iterator[tuple[bool, dict[str, str]]]:
    """(whether the check fires, changes to the good card): each condition of the columns met at its borders, and each
    missed while the others are
    met."""
    row = REFERENCE[check_id]
    site_field = "icd10" if check_id.startswith(("CN", "SX-08")) else "topography"
    met: list[list[dict[str, str]]] = []
    missed: list[list[dict[str, str]]] = []

    def ask(yes: list[dict[str, str]], no: list[dict[str, str]]) -> None:
        met.append(yes)
        missed.append(no)

    if row["age"]:
        inside, outside = _ages(row["age"])
        ask([aged(years) for years in inside], [aged(years) for years in outside])
    if row["sex"]:
        ask([{"sex": row["sex"], "id_no": ""}], [{"sex": "2" if row["sex"] == "1" else "1", "id_no": ""}])
    for field, text in (("behaviour", row["behaviour"]), *_graded(row["basis_or_grade"])):
        if text:
            yes, no = _digits(text, field)
            ask([{field: digit} for digit in yes], [{field: digit} for digit in no])
    if row["topography"] or row["morphology"]:
        ask(*_codes(row, site_field))
    first = [choices[0] for choices in met]
    for at, choices in enumerate(met):
        for choice in choices:
            yield True, _joined([*first[:at], choice, *first[at + 1 :]])
        for choice in missed[at]:
            yield False, _joined([*first[:at], choice, *first[at + 1 :]])


def _joined(changes: list[dict[str, str]]) -> dict[str, str]:
    return {field: text for change in changes for field, text in change.items()}


def _ages(text: str) -> tuple[list[int], list[int]]:
    """Ages at and beside the borders, 0 to 120, that are in the band and that are not."""
    bands: list[range] = []
    for part in text.split(" or "):
        number = int(re.findall(r"\d+", part)[0])
        if part.startswith("<="):
            bands.append(range(number + 1))
        elif part.startswith("<"):
            bands.append(range(number))
        elif part.startswith(">="):
            bands.append(range(number, 121))
        elif part.startswith(">"):
            bands.append(range(number + 1, 121))
        else:
            bands.append(range(number, int(part.partition("-")[2]) + 1))
    borders = {edge + step for band in bands for edge in (band[0], band[-1]) for step in (-1, 0, 1)} & set(range(121))
    inside = [years for years in sorted(borders) if any(years in band for band in bands)]
    return inside, [years for years in sorted(borders) if years not in inside]


def _graded(text: str) -> list[tuple[str, str]]:
    field = "basis_of_diagnosis" if text.startswith("basis") else "grade"
    return [(field, text.removeprefix("basis ").removeprefix("grade "))] if text else []


def _digits(text: str, field: str) -> tuple[list[str], list[str]]:
    every = {"behaviour": "0 1 2 3 6 9", "grade": "1 2 3 4 5 6 7 8 9", "basis_of_diagnosis": "0 1 2 4 5 6 7 9"}[field].split()
    if text == "blank":
        return [""], every
    named = [str(n) for low, high in re.findall(r"(\d)(?:-(\d))?", text) for n in range(int(low), int(high or low) + 1)]
    rest = [digit for digit in every if digit not in named]
    if text.startswith("not "):
        return rest, [*named, ""]
    return [digit for digit in every if digit in named], rest


def _codes(row: dict[str, str], site_field: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Changes of site and histology that the topography and morphology columns ask for, and such that miss one of them."""
    fits, others = _sites(row["topography"], site_field)
    if not row["morphology"]:
        return [{site_field: code} for code in fits], [{site_field: code} for code in others] + [{site_field: ""}] * bool(fits)
    yes: list[dict[str, str]] = []
    no: list[dict[str, str]] = []
    clauses = re.sub(r"\([^)]*\)", "", row["morphology"]).split(";")
    covered = set().union(*(_histologies(clause)[2] for clause in clauses))
    for clause in clauses:
        inside, outside, _ = _histologies(clause)
        at = re.search(r" at (.*)", clause)
        here, elsewhere = (TOPOGRAPHIES[:1], []) if "any site" in clause else _sites(at[1], site_field) if at else (fits, others)
        anywhere = [{site_field: site} for site in here[:1]] or [{}]
        for code in inside:
            yes += [{**_histology(code), **place} for place in anywhere + [{site_field: site} for site in here[-1:]]]
            no += [{**_histology(code), site_field: site} for site in elsewhere[:1] + elsewhere[-1:]]
        no += [{**_histology(code), **anywhere[0]} for code in outside if code not in covered]
    return yes, no


def _histology(code: str) -> dict[str, str]:
    morphology, _, behaviour = code.partition("/")
    return {"morphology": morphology, "behaviour": behaviour} if behaviour else {"morphology": morphology}


def _histologies(clause: str) -> tuple[list[str], list[str], set[str]]:
    """Histologies at the borders of a clause, those beside them, and all that it covers (but for pairs with a behaviour)."""
    text = re.sub(r"\([^)]*\)| at .*", "", clause).strip()
    if text.startswith(("<", "below")):
        spans = [("8000", str(int(text[-4:]) - 1))]
    elif text.endswith("and above"):
        spans = [(text[:4], "9999")]
    else:
        spans = [(low, high or low) for low, high in re.findall(r"(\d{4}(?:/\d)?)(?:-(\d{4}))?", text)] or [("8010", "8576")]
    inside = list(dict.fromkeys(code for span in spans for code in span))
    covered = {str(n) for low, high in spans if "/" not in low for n in range(int(low), int(high) + 1)}
    beside = [str(int(low[:4]) - 1) for low, _ in spans] + [str(int(high[:4]) + 1) for _, high in spans]
    beside += [f"{low[:-1]}{(int(low[-1]) + 2) % 4}" for low, _ in spans if "/" in low]
    outside = [code for code in beside if code not in covered and "8000" <= code[:4] <= "9999"]
    return (outside, inside, set(outside)) if text.startswith("not ") else (inside, outside, covered)


def _sites(text: str, site_field: str) -> tuple[list[str], list[str]]:
    """Sites that a topography column asks for, and others."""
    if not text:
        return [], []
    prefixes: list[str] = []
    for low, high in re.findall(r"(C\d\d(?:\.\d)?)(?:-(C\d\d(?:\.\d)?))?", text):
        if "." in low and high:
            prefixes += [f"{low[:4]}{digit}" for digit in range(int(low[4]), int(high[4]) + 1)]
        else:
            prefixes += [f"C{n:02d}" for n in range(int(low[1:3]), int(high[1:3]) + 1)] if high else [low]
    every = (
        TOPOGRAPHIES if site_field == "topography" else [*TOPOGRAPHIES, "C43.5", "C45.0", "C81.9", "C61", "C73", "C22.2", "C91.0"]
    )
    named = [code for code in every if code.startswith(tuple(prefixes))]
    rest = [code for code in every if code not in named]
    return (rest, named) if text.startswith(("allowed:", "all except")) else (named, rest)
