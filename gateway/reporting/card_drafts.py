"""From the report card of a tumour to what each registry platform would get: the decision, the rendered record and its findings.

Pure functions like those of stays (`gateway.reporting.drafts`). A platform's card is the neutral one with what the platform's profile adds
(``[card]``); it is checked by the rules of cancer registration and those of the platform, and rendered by the platform's layout. What keeps it
back is always a finding that says what to do: a rule, a mandatory column without a value, a code without a counterpart, or something that
the hospital has not yet said about itself (an option of the platform).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from conformance.checks.finding import Finding, Severity
from conformance.checks.registry import CardChecker
from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.model.card import Card
from gateway.reporting.cards import MadeCard
from gateway.reporting.drafts import Draft, PlatformChoice, record_digest
from mappings.card_layout import CardField, Misfit, card_context, own_layout
from mappings.profile import profile

OPTION = "ZB-OPTION"
"""The rule of findings about what a hospital has to say about itself: they are the same for every card of a platform."""

_PITUITARY = ("R-D35", "R-D44")
_SAID: dict[Misfit, tuple[str, str, str]] = {
    "missing": ("ZB-CARD-REQUIRED", "为平台必填项，没有值，请补填", "is mandatory on the platform and has no value"),
    "code": ("ZB-CARD-CODE", "的代码在平台的代码表中没有对应，请核对", "has a code without a counterpart on the platform"),
    "day": ("ZB-CARD-DAY", "须精确到日，请补全日期", "needs a date with its day"),
    "rule": ("ZB-CARD-RULE", "的取值规则无法计算，请核对卡片内容和模板", "has a rule that cannot be evaluated for this card"),
    "length": ("ZB-CARD-LENGTH", "超过平台规定的长度，请缩短", "is longer than the platform allows"),
}


class CardDrafter:
    """Drafts of tumours for one platform. Not thread-safe: one per process or thread. Raises `ConfigurationError` when the hospital's own
    table of columns is wrong."""

    def __init__(self, choice: PlatformChoice, choices: RegistryChoices) -> None:
        self.profile = profile(choice.id)
        self.layout = own_layout(choice.id, choice.template) if choice.template is not None else self.profile.card_layout
        self.options = self.profile.chosen(choice.options)
        switches = dict.fromkeys(_PITUITARY, choices.pituitary) | choice.switches
        self._scope = self.profile.scope(switches=switches)
        self._checker = CardChecker(choice.id, icd10_edition=choices.icd10_edition)
        self._missing = tuple(self._missing_options())

    def draft(self, made: MadeCard, case: TumourCase) -> Draft:
        """The draft of one tumour."""
        decision = self._scope.decide_card(made.card)
        if not decision.due:
            return Draft(self.profile.id, decision)
        card = self.completed(made.card)
        record = self.layout.record(card, self.options)
        findings = [*made.findings, *self._checker.check(card, context=self._context(case)), *self._missing, *self._misfits(card)]
        return Draft(self.profile.id, decision, record, record_digest(record), tuple(dict.fromkeys(findings)))

    def completed(self, card: Card) -> Card:
        """The card with what the platform's profile adds where the card itself says nothing."""
        known = card.record()
        for field, expression in self.profile.completions.items():
            if not known.get(field):
                known[field] = str(expression.evaluate(card_context(known, self.options)))
        return replace(card, **known)

    def _context(self, case: TumourCase) -> Mapping[str, str]:
        """What the checks want to know besides the card."""
        in_hospital = any(one.sighting.startswith("stay:") for one in case.evidence)
        context = {"hospital_evidence": "1" if in_hospital else ""}
        if code := self.options.get("institution_code"):
            context["diagnosing_unit"] = code
        return context

    def _missing_options(self) -> Iterator[Finding]:
        for name, option in self.profile.options.items():
            if option.required and not self.options[name]:
                yield Finding(
                    OPTION,
                    (name,),
                    "error",
                    f"还没有说明{option.label}，请在配置 platforms.{self.profile.id}.options 中填写 {name}",
                    f"set {name} in platforms.{self.profile.id}.options: {option.label_en}",
                )

    def _misfits(self, card: Card) -> Iterator[Finding]:
        for field, misfit in self.layout.misfits(card, self.options):
            rule, message, english = _SAID[misfit]
            severity = _severity(field, misfit)
            note = "" if severity == "error" else "；该项没有写入"
            yield Finding(rule, (field.code,), severity, f"{field.label}{message}{note}", f"{field.code} {english}")


def _severity(field: CardField, misfit: Misfit) -> Severity:
    """A mandatory column holds the card; a text is never cut and a date never rounded, so that these hold it wherever a column may be wanted."""
    if field.required == "M" or (misfit in ("length", "day") and field.required == "C"):
        return "error"
    return "info" if misfit == "length" else "warning"
