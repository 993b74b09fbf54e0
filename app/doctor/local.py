"""Checks of this machine: DATA_DIR, its free space, and the clock."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.doctor.finding import Finding, failed, passed

_MAX_SKEW = timedelta(seconds=60)
"""AWS accepts a difference of 5 or 15 minutes, depending on the service. Tokens and signed URLs need a smaller one."""


def check_disk(data_dir: Path, *, needed_bytes: int) -> Finding:
    """Check that DATA_DIR can be written, and has at least `needed_bytes` of free space."""
    try:
        with tempfile.TemporaryFile(dir=data_dir) as file:
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return failed("disk", f"DATA_DIR ({data_dir}) cannot be written: {error.strerror}. Check its owner and mount.")
    text = f"{free >> 20:,} MiB free in DATA_DIR ({data_dir}), at least {needed_bytes >> 20:,} MiB needed"
    if free < needed_bytes:
        return failed("disk", f"{text}. Free some space, or set DATA_DIR to a folder on a larger disk.")
    return passed("disk", text)


def check_file_clock(data_dir: Path) -> Finding:
    """Compare the clock of this machine with that of the file system, which may differ on a network drive."""
    with tempfile.NamedTemporaryFile(dir=data_dir) as file:
        stored = datetime.fromtimestamp(Path(file.name).stat().st_mtime, UTC)
    return compare_clocks(stored, store="the file system of DATA_DIR")


def compare_clocks(stored: datetime, *, store: str) -> Finding:
    """Compare the clock of this machine with `stored`, the time that was just read from the clock of `store`."""
    difference = datetime.now(UTC) - stored
    seconds = round(abs(difference).total_seconds())
    if abs(difference) > _MAX_SKEW:
        direction = "ahead of" if difference > timedelta() else "behind"
        return failed(
            "clock",
            f"this machine's clock is {seconds} s {direction} that of {store}. Synchronize it, for example with "
            "systemd-timesyncd or chrony.",
        )
    return passed("clock", f"at most {seconds} s from that of {store}")
