"""Folder transport: a file appears in a folder whole or not at all. What carries it on (a person, a file agent) is not our concern."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gateway.model.errors import PermanentFailure, TransientFailure


class FolderTransport:
    """Drops files into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def drop(self, name: str, content: bytes) -> Path:
        """Write ``content`` under ``name``, durably and atomically. Dropping the same bytes again changes nothing. Raises
        `PermanentFailure` when another content stands under that name, `TransientFailure` when the folder cannot be written."""
        target = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if target.exists():
                if target.read_bytes() == content:
                    return target
                raise PermanentFailure(
                    f"上报文件夹中已有同名但内容不同的文件 {name}", action="请先移走旧文件", english="file exists"
                )
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".writing-")
            with os.fdopen(handle, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise TransientFailure(
                "上报文件夹无法写入", action="请检查磁盘空间和文件夹权限", english=f"{type(error).__name__}"
            ) from None
        return target
