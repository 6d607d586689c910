"""Words of oncology in FHIR: which observation is which datum of a tumour, and what codes, profiles and labels mean in words of ours.

Both are data: ``mappings/sources/fhir/observations.csv`` and the maps of ``codes.csv`` (source of each row: mCODE, the card of the Chinese
cancer registry T/CHIA 18-2021, or our judgement), which a dialect extends; its map ``observation`` names codes of its own for a datum
(``marker``, ``grade`` …). What no map knows stays as the sender coded it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple, cast

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, codings, label
from adapters.fhir.tables import rows
from adapters.fhir.values import target_of
from gateway.model.facts import StageKind
from gateway.model.values import Coded
from mappings.code_map import CodeMap

USED: Final = frozenset(("final", "amended", "corrected"))
"""Observation.status of results that count; preliminary ones wait, cancelled and wrong ones are withdrawn (the value set's own definitions)."""

_BESIDE_EDITION: Final = re.compile(
    r"AJCC|UICC|TNM|CANCER|STAGING|MANUAL|SYSTEM|EDITION|ED|VERSION|V|TH|分期|系统|标准|第|版|[\s\-_,./+&、()（）]"
)
"""What may stand beside the number of an edition."""
_CHINESE_DIGITS: Final = str.maketrans("六七八九", "6789")
_EDITIONS: Final = frozenset("6789")


class Datum(NamedTuple):
    """What an observation is about: ``t``, ``n``, ``m``, ``group`` (of a ``kind``, by a ``scheme`` where it is not TNM), ``grade``,
    ``morphology``, ``size``, ``longest``, ``laterality``, ``marker``."""

    name: str
    kind: StageKind = "other"
    scheme: str = ""


_MARKER: Final = Datum("marker")


def datum_of(concept: object, dialect: FhirDialect, profiles: object = None) -> Datum | None:
    """The datum that Observation.code (or a component's) stands for, by its code and never by its display; a tumour marker is told by
    its profile, or by the dialect."""
    known = _observations()
    for coding in codings(concept):
        found = known.get((coding.system, coding.code or ""))
        if found is not None:
            return found
    if name := target_of(dialect.maps["observation"], concept)[0]:
        return Datum(name)
    return _MARKER if profiles and "marker" in profile_words(profiles, dialect) else None


def profile_words(profiles: object, dialect: FhirDialect) -> set[str]:
    """What meta.profile says of a resource: ``primary``, ``secondary``, ``marker``, ``surgical``; told by the last segment of the profile's
    address."""
    if not isinstance(profiles, list):
        return set()
    known = dialect.maps["profile"].codes
    names = (profile.partition("|")[0].rpartition("/")[2] for profile in profiles if isinstance(profile, str))
    return {known[name] for name in names if name in known}


def stated(concept: object) -> Coded | None:
    """A concept as it was sent: its first code, else its text; None where it says nothing."""
    found = codings(concept)
    coding = next((coding for coding in found if coding.code), None)
    words = label(concept)
    if coding is not None:
        return coding if coding.display or not words else Coded(coding.system, coding.code, words)
    return Coded(display=words) if words else None


def worded(codes: CodeMap, concept: object) -> Coded | None:
    """A concept as a word of a map, with the name that was sent; as it was sent where the map does not know it."""
    word = target_of(codes, concept)[0]
    return Coded(codes.name, word, label(concept) or None) if word else stated(concept)


def highest(codes: CodeMap, concepts: Iterable[object]) -> Coded | None:
    """Of several concepts the word that stands first in a map; where the map knows none, the first as it was sent."""
    order = list(dict.fromkeys((*codes.codes.values(), *codes.labels.values())))
    found = [coded for concept in concepts if (coded := worded(codes, concept)) is not None]
    known = [coded for coded in found if coded.system == codes.name]
    return min(known, key=lambda coded: order.index(coded.code or "")) if known else next(iter(found), None)


def staging_system(concept: object, dialect: FhirDialect) -> Coded | None:
    """Observation.method as edition: ``AJCC-8``. An edition written without its body (第八版) is AJCC's, which is UICC's, too."""
    found = worded(dialect.maps["staging-system"], concept)
    if found is None or found.system == "staging-system":
        return found
    written = (found.display or found.code or "").upper()
    edition = _BESIDE_EDITION.sub("", written).translate(_CHINESE_DIGITS)
    if edition not in _EDITIONS or edition == written:
        return found
    body = "UICC" if "UICC" in written and "AJCC" not in written else "AJCC"
    return Coded("staging-system", f"{body}-{edition}", found.display or found.code)


def scheme_system(scheme: str) -> Coded:
    """The staging system of an observation whose code names it (FIGO)."""
    return Coded("staging-system", scheme)


@cache
def _observations() -> Mapping[tuple[str, str], Datum]:
    return {
        (row["system"], row["code"]): Datum(row["datum"], cast(StageKind, row["kind"] or "other"), row["scheme"])
        for row in rows("observations")
    }


def profiles_of(body: Element) -> object:
    """meta.profile."""
    meta = body.get("meta")
    return meta.get("profile") if isinstance(meta, Mapping) else None
