"""HTTP transport: sends bytes, returns an answer, tells what went wrong. Knows nothing of oncology.

The distinction that matters is whether the bytes may have arrived. Before a connection stands, nothing has left
(`TransientFailure`); once the request was written, a lost answer leaves the outcome open (`AmbiguousFailure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from gateway.model.errors import AmbiguousFailure, TransientFailure


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, body and the platform's wish to wait (seconds), if any."""

    status: int
    body: bytes
    retry_after: float | None = None


class RestTransport:
    """HTTP exchanges with one platform over a pool of connections. Thread-safe. Redirects are not followed: a report must not
    travel to another address than the configured one."""

    def __init__(self, base_url: str, *, account: str = "", secret: str = "", timeout: float = 20.0) -> None:
        self._client = httpx.Client(
            base_url=base_url,
            auth=(account, secret) if account else None,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,
            trust_env=False,
        )

    def exchange(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """One exchange. Raises `TransientFailure` when nothing can have arrived, `AmbiguousFailure` when it may have."""
        try:
            response = self._client.request(method, path, content=content, headers=headers, params=query)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TransientFailure(
                "无法连接平台",
                action="请检查网络和平台地址，系统会自动重试",
                english=f"cannot connect: {type(error).__name__}",
            ) from None
        except httpx.TransportError as error:
            raise AmbiguousFailure(
                "已发出，但没有收到平台的答复",
                action="系统会先向平台查询，再决定是否重发",
                english=f"no answer: {type(error).__name__}",
            ) from None
        return Answer(response.status_code, response.content, _seconds(response.headers.get("retry-after")))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds or as a date (RFC 9110 §10.2.3); None when absent or unreadable."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment: Any = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds: float = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds)
