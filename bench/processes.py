"""Processor time and memory of a process and of all its descendants."""

from __future__ import annotations

import os
from pathlib import Path

from tests.acceptance.conftest import descendants

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time of the process and its descendants, including those that have ended."""
    return sum(_cpu_seconds(each) for each in [pid, *descendants(pid)])


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # It has ended, and its time is in that of its parent.
    # User and system time, and the same of children that have ended.
    return sum(map(int, fields[11:15])) / _TICKS


def pss_mebibytes(pid: int) -> float:
    """Return the memory of the process and its descendants. Each shared page counts once."""
    return sum(_pss_mebibytes(each) for each in [pid, *descendants(pid)])


def _pss_mebibytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0)
