"""Checking a resource against a profile as ``check --profile`` does: its structure first, then what the profile demands beyond it."""

from __future__ import annotations

from adapters.fhir.resource import Body, Release
from adapters.fhir.structure import faults
from conformance.checks.finding import Finding
from conformance.fhir.elements import Profile
from conformance.fhir.findings import structural
from conformance.fhir.library import library
from conformance.fhir.surroundings import Surroundings
from conformance.fhir.validator import Validation, merged, validate


def findings_of(
    body: Body,
    profile: Profile | str,
    *,
    release: Release = "R4",
    place: str = "",
    message: Body | None = None,
) -> list[Finding]:
    """Findings about a resource by a profile or the name of one. ``message`` is what it stands in, by itself if left out."""
    known = library(release)
    wanted = known.profile(profile) if isinstance(profile, str) else profile
    assert wanted is not None, profile
    whole = Validation(known, Surroundings(body if message is None else message))
    structure = [structural(issue) for issue in faults(body, release, place)]
    return merged(structure, validate(body, wanted, whole, place))
