"""Errors that nobody expected: what the log says of them. An exception's message may hold patient data (the parameters of a statement, a
value that does not parse), so the log has its type and where it was raised, never the message."""

from __future__ import annotations

import logging
import traceback
from typing import Final

log = logging.getLogger("zhibao")

LOGGERS: Final = ("uvicorn.error", "asyncio")
"""Loggers of libraries that print exceptions."""

_FRAMES: Final = 12


def place(error: BaseException) -> str:
    """The type of an exception and where it was raised, innermost first: ``ValueError: file.py:12 function < file.py:7 caller``."""
    frames = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in traceback.walk_tb(error.__traceback__)]
    return f"{type(error).__name__}: {' < '.join(frames[: -_FRAMES - 1 : -1])}"


def write_down(error: BaseException) -> None:
    """Say in the log that a request failed."""
    log.error("请求处理出错 / a request failed: %s", place(error))


class WithoutMessages(logging.Filter):
    """Makes a library print exceptions as `place` does."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = "%s: %s", (record.getMessage().strip(), place(error))
        record.exc_info = record.exc_text = None
        return True
