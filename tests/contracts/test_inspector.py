"""Contract tests of removing metadata in the process pool."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import BinaryIO

import pytest

from app.domain.errors import FormatUnsupported, ImageCorrupt, ImageTooExpensive
from app.domain.renderings import Stripping
from app.imaging.options import RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.imaging.stripping import strip
from app.ports.renderer import StrippedFile
from tests.pictures import jpeg
from tests.stripping_files import FILES, png_file


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    options = RenderOptions(sizes=())
    async with open_render_pool(options, processes=1, queue_limit=20, cpu_seconds=100, wall_seconds=100) as opened:
        yield opened


@pytest.fixture
def files() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def file_of(files: ExitStack, data: bytes = b"") -> BinaryIO:
    file = files.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - the stack closes it
    file.write(data)
    return file


async def test_stripped_files_are_written_and_measured(pool: RenderPool, files: ExitStack):
    for make in FILES.values():
        data, output = make(), file_of(files)
        stripped = await pool.strip(file_of(files, data), output, stripping=Stripping.LOCATION)
        expected = strip(data, Stripping.LOCATION)
        output.seek(0)
        assert output.read() == expected
        assert stripped == StrippedFile(len(expected), hashlib.sha256(expected).hexdigest())


async def test_file_without_metadata_has_no_copy(pool: RenderPool, files: ExitStack):
    output = file_of(files)
    assert await pool.strip(file_of(files, jpeg(40, 30)), output, stripping=Stripping.ALL) is None
    assert output.seek(0, 2) == 0


@pytest.mark.parametrize(
    "data, error", [(b"%PDF-1.7", FormatUnsupported), (b"\xff\xd8\xff\xe0" + bytes(20), ImageCorrupt)]
)
async def test_file_that_cannot_be_read_is_an_error(
    pool: RenderPool, files: ExitStack, data: bytes, error: type[Exception]
):
    output = file_of(files)
    with pytest.raises(error):
        await pool.strip(file_of(files, data), output, stripping=Stripping.ALL)
    assert output.seek(0, 2) == 0


async def test_many_files_at_once_do_not_mix(pool: RenderPool, files: ExitStack):
    inputs = [png_file() if i % 2 else jpeg(40, 30, seed=i) for i in range(8)]
    results = await asyncio.gather(
        *(pool.strip(file_of(files, data), file_of(files), stripping=Stripping.ALL) for data in inputs)
    )
    assert [result is None for result in results] == [i % 2 == 0 for i in range(8)]


async def test_memory_is_limited(files: ExitStack):
    options = RenderOptions(sizes=())
    async with open_render_pool(options, processes=1, queue_limit=2, memory_bytes=40 << 20) as pool:
        file = file_of(files, jpeg(40, 30))
        file.truncate(64 << 20)
        with pytest.raises(ImageTooExpensive):
            await pool.strip(file, file_of(files), stripping=Stripping.LOCATION)
