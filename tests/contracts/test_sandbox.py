"""Attacks from inside a decoder process: the kernel must refuse each of them."""

from __future__ import annotations

import errno
import functools
import io
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pillow_heif
import pytest
import pytest_asyncio
import structlog.testing
from PIL import Image

from app.container.renderers import check_protection
from app.domain.errors import FormatUnsupported, ImageCorrupt
from app.domain.renderings import Rendering
from app.imaging import worker as render_worker
from app.imaging.options import RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.imaging.protocol import Protection
from app.imaging.rendering import render
from app.imaging.sandbox import SystemCallFilter
from app.settings import Settings
from tests.contracts.fault_injection_render_worker import ATTACKS
from tests.pictures import encoded

ROOT = Path(__file__).parents[2]
ENDS_PROCESS = {"exec", "ptrace", "read-memory"}
NOT_SUPPORTED = {"clone3": "ENOSYS"}

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are features of Linux")


async def rendered(pool: RenderPool, data: bytes) -> Rendering:
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        return await pool.render(file)


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["C", "NOBODY"], ids=["this user", "an ordinary user"]
)
async def confined(request: pytest.FixtureRequest) -> AsyncIterator[RenderPool]:
    if request.param == "NOBODY" and os.getuid() != 0:
        pytest.skip("only root can become another user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_worker, "_WORKER_MODULE", "tests.contracts.fault_injection_render_worker")
        patch.setenv("LANG", request.param)
        async with open_render_pool(RenderOptions(), processes=1, queue_limit=100) as opened:
            yield opened


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder in which every user may do anything, so that only the sandbox can refuse an attack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "secret").write_text("secret")
        (folder / "secret").chmod(0o666)
        if os.getuid() == 0:
            os.chown(folder / "secret", 65534, 65534)
        yield folder


@needs_linux
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_fails(confined: RenderPool, data_dir: Path, name: str):
    expected = ImageCorrupt if name in ENDS_PROCESS else FormatUnsupported
    with pytest.raises(expected) as raised:
        await rendered(confined, f"attack {name} {data_dir}".encode())
    if name not in ENDS_PROCESS:
        assert raised.value.detail == f"failed with {NOT_SUPPORTED.get(name, 'EPERM')}"
    assert os.listdir(data_dir) == ["secret"]  # noqa: PTH208 - not in a loop that has other work
    assert (data_dir / "secret").read_text() == "secret"


@needs_linux
@pytest.mark.asyncio(loop_scope="module")
async def test_the_payload_runs_as_the_user_of_the_test_and_can_start_threads(
    confined: RenderPool, request: pytest.FixtureRequest
):
    user = 65534 if "an ordinary user" in request.node.callspec.id else os.getuid()
    (worker,) = confined._idle_workers
    assert worker
    status = Path(f"/proc/{worker._process.pid}/status").read_text()  # noqa: ASYNC240 - a file in memory
    assert f"Uid:\t{user}\t{user}\t{user}" in status
    assert "NoNewPrivs:\t1" in status
    with pytest.raises(FormatUnsupported, match="a thread ran; 0 new files"):
        await rendered(confined, b"thread")


@needs_linux
@pytest.mark.parametrize("name", ["unlink", "rename", "truncate", "symlink", "mkdir"])
async def test_landlock_refuses_changes_of_files_on_its_own(data_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(render_worker, "_WORKER_MODULE", "tests.contracts.fault_injection_render_worker")
    monkeypatch.setenv("LANG", "WITHOUT_FILTER")
    async with open_render_pool(RenderOptions(), processes=1, queue_limit=1) as opened:
        assert opened.lacking == Protection.SECCOMP
        with pytest.raises(FormatUnsupported, match="failed with EACCES"):
            await rendered(opened, f"attack {name} {data_dir}".encode())


@needs_linux
async def test_this_kernel_supports_the_sandbox():
    async with open_render_pool(RenderOptions(), processes=2, queue_limit=1) as opened:
        assert opened.lacking == Protection(0)


@needs_linux
@pytest.mark.parametrize("parent, printed", [("os.getppid()", "continues"), ("os.getpid()", "")])
def test_process_exits_at_once_if_its_parent_has_already_ended(parent: str, printed: str):
    code = f"import os; from app.imaging.sandbox import end_with_parent as e; e({parent}); print('continues')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0 if printed else 1, printed)


@functools.cache
def picture(image_format: str) -> bytes:
    image = Image.radial_gradient("L").resize((1500, 1200)).convert("RGB")
    if image_format != "HEIF":
        return encoded(image, image_format, **({"speed": 10} if image_format == "AVIF" else {}))
    output = io.BytesIO()
    pillow_heif.from_pillow(image).save(output)
    return output.getvalue()


@functools.cache
def rendered_here(image_format: str) -> Rendering:
    return render(io.BytesIO(picture(image_format)), RenderOptions())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("threads", ["", "THREADS"])
async def test_every_format_is_rendered_in_the_sandbox(
    image_format: str, threads: str, monkeypatch: pytest.MonkeyPatch
):
    if threads:
        monkeypatch.setattr(render_worker, "_WORKER_MODULE", "tests.contracts.fault_injection_render_worker")
        monkeypatch.setenv("LANG", threads)
    data = picture(image_format)
    async with open_render_pool(RenderOptions(), processes=1, queue_limit=1) as opened:
        assert opened.lacking == Protection(0)
        assert await rendered(opened, data) == rendered_here(image_format)


# The filter


PID = 4321
ALLOW, KILL_PROCESS, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
AUDIT_CODES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {  # asm/unistd_64.h and asm-generic/unistd.h
    "x86_64": {"read": 0, "openat": 257, "socket": 41, "clone": 56, "clone3": 435, "kill": 62, "tgkill": 234}
    | {"prlimit64": 302, "execve": 59, "ptrace": 101, "setsid": 112, "fchmodat": 268, "io_uring_enter": 426},
    "aarch64": {"read": 63, "openat": 56, "socket": 198, "clone": 220, "clone3": 435, "kill": 129, "tgkill": 131}
    | {"prlimit64": 261, "execve": 221, "ptrace": 117, "setsid": 157, "fchmodat": 53, "io_uring_enter": 426},
}


def decision(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Interpret the filter as the kernel does (linux/filter.h) and return its value."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(arguments + (0,) * 6)[:6])
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, if_equal, if_different, value = instructions[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                position += if_equal if accumulator == value else if_different
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("name", AUDIT_CODES)
@pytest.mark.parametrize(
    "call, arguments, expected",
    [
        ("read", (0, 0, 0), ALLOW),
        ("openat", (0, 0, 0), EPERM),
        ("socket", (2, 1, 0), EPERM),
        ("setsid", (), EPERM),
        ("fchmodat", (), EPERM),
        ("io_uring_enter", (), EPERM),
        ("execve", (), KILL_PROCESS),
        ("ptrace", (16, 1), KILL_PROCESS),
        ("clone3", (), ENOSYS),
        ("clone", (0x003D0F00,), ALLOW),  # the flags of pthread_create
        ("clone", (17,), EPERM),
        ("clone", (0x003D0F00 | 0x10000000,), EPERM),
        ("clone", (0x003D0F00 | 0x40000000,), EPERM),
        ("kill", (PID, 9), ALLOW),
        ("kill", (PID + 1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("kill", (2**64 - PID, 9), EPERM),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (1, 1, 6), EPERM),
        ("prlimit64", (0, 7, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1, 0), EPERM),
        ("prlimit64", (0, 7, 1 << 32, 0), EPERM),
    ],
)
def test_filter_decides(name: str, call: str, arguments: tuple[int, ...], expected: int):
    program = SystemCallFilter(name).program(PID)
    assert decision(program, AUDIT_CODES[name], NUMBERS[name][call], *arguments) == expected


@pytest.mark.parametrize("name", AUDIT_CODES)
def test_filter_refuses_other_architectures_and_x32(name: str):
    program = SystemCallFilter(name).program(PID)
    assert decision(program, 0x40000003, NUMBERS[name]["read"]) == KILL_PROCESS
    assert decision(program, AUDIT_CODES[name], 0x40000000 | NUMBERS[name]["read"]) == EPERM


def test_there_is_no_filter_for_other_architectures():
    with pytest.raises(OSError, match="riscv64"):
        SystemCallFilter("riscv64")


# The setting


def test_missing_protection_is_logged_or_refuses_the_start():
    lacking = Protection.LANDLOCK | Protection.SECCOMP
    with structlog.testing.capture_logs() as logged:
        check_protection(settings("auto"), lacking)
        check_protection(settings("required"), Protection(0))
    missing = {"event": "decoder_sandbox.incomplete", "log_level": "warning", "missing": ["landlock", "seccomp"]}
    assert logged == [missing]
    with pytest.raises(RuntimeError, match="landlock and seccomp cannot be used"):
        check_protection(settings("required"), lacking)


def settings(decoder_sandbox: str) -> Settings:
    return Settings(_env_file=None, decoder_sandbox=decoder_sandbox)  # type: ignore[call-arg, arg-type]
