"""Test accounts of the platform (接口对接测试环境账号), each with a registry of its own: hospitals do not see each other."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from threading import Lock

from conformance.simulators.behaviour import Conduct
from conformance.simulators.registry import Registry
from mappings.profile import Profile


@dataclass(frozen=True, slots=True)
class Account:
    """An account of one organisation."""

    name: str
    secret: str
    organisation_code: str
    organisation_name: str
    registry: Registry


class Accounts:
    """All accounts. Thread-safe."""

    def __init__(self, profile: Profile, conduct: Conduct) -> None:
        self._profile = profile
        self._conduct = conduct
        self._lock = Lock()
        self._accounts: dict[str, Account] = {}

    def open(self, organisation_code: str, organisation_name: str, *, name: str = "", secret: str = "") -> Account:
        """Open an account; name and secret are made up where they are not given. Raises ``ValueError`` when the name is taken."""
        registry = Registry(self._profile, self._conduct)
        name = name or f"test-{secrets.token_hex(4)}"
        made = Account(name, secret or secrets.token_urlsafe(18), organisation_code, organisation_name, registry)
        with self._lock:
            if self._accounts.setdefault(name, made) is not made:
                raise ValueError(f"account {name} exists")
        return made

    def find(self, name: str, secret: str) -> Account | None:
        """The account that a name and secret open."""
        account = self._accounts.get(name)
        known = account.secret if account is not None else ""
        return account if compare_digest(known.encode(), secret.encode()) and known else None

    def all(self) -> list[Account]:
        """All accounts in the order of opening."""
        with self._lock:
            return list(self._accounts.values())
