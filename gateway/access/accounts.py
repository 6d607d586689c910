"""Accounts and their sessions: who may use the API.

Passwords are hashed with Argon2id. The first password of an account opens nothing: it is good only for setting another one. A session is
a random bearer token, stored as its digest, that ends by itself. Repeated failures slow down whoever fails, and everybody else at that
account only briefly. Roles and rights come with the console; until then every account may do everything, and every action is written
down with its name.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlmodel import Session, col, delete

from gateway.access.failures import Failures, Key
from gateway.audit.log import Event, record
from gateway.model.errors import AccessDenied, UnusableInput
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Account, Token

SHORTEST_PASSWORD = 12
SESSION = timedelta(hours=12)
LONGEST_WAIT = 900.0
"""Seconds that one address may have to wait after failures at one account."""
LONGEST_WAIT_OF_ALL = 30.0
"""Seconds that every address may have to wait: short, or anybody could keep an account's owner out by failing in his name."""

_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


def create(session: Session, name: str) -> str:
    """Make an account; its one-time password, which is stored only as a hash."""
    password = secrets.token_urlsafe(15)
    session.add(Account(name=name, password=_hasher.hash(password), created_at=now()))
    record(session, Event("account.created", f"account:{name}"))
    return password


class Door:
    """Lets people in. One per process: it counts failures in memory."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failures = Failures()

    def sign_in(self, name: str, password: str, new_password: str = "", *, address: str = "") -> str:
        """A bearer token. ``new_password`` replaces the password, which a one-time password demands. ``address`` is where the request
        comes from; failures from an unknown one slow down only the account as a whole. Raises `AccessDenied` for a
        wrong name or password or too many failures, `UnusableInput` when a new password is missing or too weak."""
        waits = _waits(name, address)
        self._wait_or_refuse(waits)
        with self._ledger.read() as session:
            account = session.get(Account, name)
        if not _matches(account.password if account is not None else _NOBODY, password) or account is None:
            self._failures.note(waits)
            with self._ledger.write() as session:
                record(session, Event("session.refused", f"account:{name if account is not None else 'unknown'}"))
            raise AccessDenied("账号或密码不正确", english="wrong account or password")
        if account.one_time and not new_password:
            raise UnusableInput(
                "首次登录必须设置新密码", action="请同时提交 new_password", english="one-time password: set a new one"
            )
        if new_password:
            _demand_strength(new_password, password, name)
        token = secrets.token_urlsafe(32)
        hashed = _hasher.hash(new_password) if new_password else ""
        with self._ledger.write() as session:
            if hashed:
                account = session.get_one(Account, name)
                account.password, account.one_time = hashed, False
                session.add(account)
                record(session, Event("password.changed", f"account:{name}", actor=name))
            session.execute(delete(Token).where(col(Token.expires_at) < now()))
            session.add(Token(digest=_digest(token), account=name, expires_at=now() + SESSION))
            record(session, Event("session.opened", f"account:{name}", actor=name))
        self._failures.forget(waits)
        return token

    def who(self, token: str) -> str:
        """The account behind a token. Raises `AccessDenied`."""
        with self._ledger.read() as session:
            row = session.get(Token, _digest(token)) if token else None
            if row is None or row.expires_at < now():
                raise AccessDenied("请先登录", action="POST /api/session 取得令牌", english="not signed in")
            return row.account

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._ledger.write() as session:
            session.execute(delete(Token).where(col(Token.digest) == _digest(token)))

    def _wait_or_refuse(self, keys: Iterable[Key]) -> None:
        left = self._failures.left(keys)
        if left > 0:
            raise AccessDenied("登录失败次数过多", action=f"请 {int(left) + 1} 秒后再试", english="too many failures")


def _waits(name: str, address: str) -> dict[Key, float]:
    """Under what a sign-in's failures count, with the longest wait of each. Names are kept as digests, however long they are."""
    account = _digest(name)
    return {(account, address): LONGEST_WAIT, (account, ""): LONGEST_WAIT_OF_ALL}


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _demand_strength(new_password: str, old_password: str, name: str) -> None:
    weak = len(new_password) < SHORTEST_PASSWORD or len(set(new_password)) < 5 or new_password in (old_password, name)
    if weak:
        raise UnusableInput(
            "新密码太弱", action=f"至少 {SHORTEST_PASSWORD} 个字符，且不同于原密码和账号", english="new password is too weak"
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
