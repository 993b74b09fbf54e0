"""Settings of the operating system for the current process."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys

# linux/prctl.h
_PR_SET_DUMPABLE = 4

LIBC = ctypes.CDLL(None, use_errno=True)
"""The C library, which is loaded in every process."""


def prctl(option: int, *arguments: int) -> None:
    """Call the system call prctl of Linux. Raises OSError, on every other platform with ENOSYS."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if LIBC.prctl(ctypes.c_int(option), *words) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def forbid_inspection() -> None:
    """Prevent other processes of the same user from reading this process's memory and environment, on Linux.

    A program that this process starts is not affected.
    """
    if sys.platform == "linux":
        prctl(_PR_SET_DUMPABLE, 0)


def raise_descriptor_limit() -> None:
    """Allow this process as many open files and connections as its hard limit permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS reports an unlimited hard limit, but accepts no soft limit above another one of the kernel.
    if soft != hard and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
