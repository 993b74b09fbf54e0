"""Tests of the temporary files for data that is being received."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.common.temp_files import TempFiles
from app.domain.errors import DependencyUnavailable


async def test_a_file_is_empty_has_no_name_and_is_closed_at_the_end(tmp_path: Path):
    async with TempFiles(tmp_path).file() as file:
        assert file.read() == b""
        file.write(b"data")
        file.seek(0)
        assert file.read() == b"data"
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib blocks, too
    assert file.closed


async def test_a_file_can_be_given_a_name(tmp_path: Path):
    async with TempFiles(tmp_path).file() as file:
        file.write(b"data")
        os.link(f"/proc/self/fd/{file.fileno()}", tmp_path / "a", src_dir_fd=file.fileno(), follow_symlinks=True)
    assert (tmp_path / "a").read_bytes() == b"data"


async def test_a_file_system_without_linkable_files_is_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    open_file = os.open

    def refuse(path: str, flags: int, *args: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return open_file(path, flags, *args)

    monkeypatch.setattr(os, "open", refuse)
    async with TempFiles(tmp_path).file() as file:
        file.write(b"data")
        assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert file.closed


async def test_a_folder_that_cannot_be_written_to_is_an_unavailable_dependency(tmp_path: Path):
    with pytest.raises(DependencyUnavailable) as raised:
        async with TempFiles(tmp_path / "missing").file():
            pass
    assert raised.value.dependency == "disk"


async def test_space_is_required(tmp_path: Path):
    temp_files = TempFiles(tmp_path)
    await temp_files.require_space(1)
    with pytest.raises(DependencyUnavailable):
        await temp_files.require_space(1 << 60)
