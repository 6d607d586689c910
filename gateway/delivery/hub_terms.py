"""What is agreed with the Zhejiang hub: its profile (``[soap]``) and a hospital's options (``platforms.zhejiang-hub.options``).

The rule of ``Sign``, dispatch codes, hours and limits are not public; a hospital gets them from the hub. What each option means stands with it
in ``mappings/platforms/zhejiang-hub/profile.toml``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.delivery.hub_answers import Hours
from gateway.delivery.hub_envelope import Caller, datatypes
from gateway.model.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class HubTerms:
    """See the module. ``dispatch`` holds the dispatch codes by the part that they carry, and of ``query``; ``window`` the names of the elements
    between which a reconciliation is asked for."""

    caller: Caller
    dispatch: Mapping[str, str]
    area: str
    operation: str
    withdrawn_status: str
    hours: Hours
    largest_bytes: int
    certain_after: timedelta
    unlisted_after: timedelta
    look_back: timedelta
    window: tuple[str, str]

    @classmethod
    def of(cls, soap: Mapping[str, Any], options: Mapping[str, str], *, user: str, secret: str) -> HubTerms:
        """``options`` are all of the platform's, defaults included. Raises `ConfigurationError` that names what is missing or cannot be."""
        wanted = {kind.part: kind.dispatch for kind in datatypes().values()} | {"query": "dispatch_query"}
        if missing := [name for name in ("system_code", "local_area_code", *wanted.values()) if not options[name]]:
            raise _unusable("、".join(missing), "没有填写")
        for name in ("system_code", *wanted.values()):
            if "_" in options[name]:
                raise _unusable(name, "不能含有下划线")
        if not re.fullmatch(r"[0-9]{8}", options["local_area_code"]):
            raise _unusable("local_area_code", "应为八位区划代码")
        return cls(
            caller=_caller(options, user, secret),
            dispatch={part: options[name] for part, name in wanted.items()},
            area=options["local_area_code"],
            operation=str(soap["operation"]),
            withdrawn_status=str(soap["withdrawn_status"]),
            hours=_hours(options),
            largest_bytes=int(_number(options, "largest_bytes")),
            certain_after=timedelta(seconds=_number(options, "certain_after_seconds")),
            unlisted_after=timedelta(hours=_number(options, "unlisted_after_hours")),
            look_back=timedelta(hours=_number(options, "reconcile_hours")),
            window=(options["reconcile_from"], options["reconcile_to"]),
        )


def _caller(options: Mapping[str, str], user: str, secret: str) -> Caller:
    made = Caller(options["system_code"], user, secret, options["sign"], options["sign_of"])
    if made.algorithm != "none" and made.algorithm not in hashlib.algorithms_available:
        raise _unusable("sign", "不是可用的摘要算法")
    try:
        made.sign("", "", "")
    except (KeyError, IndexError, ValueError, TypeError):
        raise _unusable("sign_of", "写法不正确") from None
    return made


def _hours(options: Mapping[str, str]) -> Hours:
    try:
        return Hours.of(options["hours"], _number(options, "closed_wait_seconds"))
    except ValueError:
        raise _unusable("hours", "应形如 20:00-06:00") from None


def _number(options: Mapping[str, str], name: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}([.][0-9]+)?", options[name]):
        raise _unusable(name, "应为数字")
    return float(options[name])


def _unusable(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"浙江平台的接口配置 {name} {what}", action="请在 platforms.zhejiang-hub.options 中改正", english=f"zhejiang-hub: {name}"
    )
