"""Runs main.py as on a kernel without Landlock: a seccomp filter answers its system calls with ENOSYS."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from app.common.process import prctl
from app.imaging import sandbox
from app.imaging.sandbox import forbid_new_privileges

if __name__ == "__main__":
    instructions = b"".join(
        [
            sandbox._encode(sandbox._LOAD_WORD, sandbox._NUMBER),
            *sandbox._if_called(
                sandbox._LANDLOCK_CREATE_RULESET, sandbox._encode(sandbox._RETURN, sandbox._ERRNO | errno.ENOSYS)
            ),
            sandbox._encode(sandbox._RETURN, sandbox._ALLOW),
        ]
    )
    program = sandbox._FilterProgram(len(instructions) // sandbox._INSTRUCTION.size, instructions)
    forbid_new_privileges()
    prctl(sandbox._PR_SET_SECCOMP, sandbox._SECCOMP_MODE_FILTER, ctypes.addressof(program))
    os.execv(sys.executable, [sys.executable, "main.py"])  # noqa: S606 - a program of this project
