"""Edit checks of cancer registration: report cards, deaths, visits."""

from conformance.checks.registry.checker import CardChecker
from conformance.checks.registry.deaths import DeathChecker, VisitChecker

__all__ = ["CardChecker", "DeathChecker", "VisitChecker"]
