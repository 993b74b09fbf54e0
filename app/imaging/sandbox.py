"""Restricts a process that decodes images with two features of the Linux kernel: Landlock and seccomp.

Landlock refuses every access to files that are not open yet. The seccomp filter is a list of the system calls that
decoders need: all others fail with EPERM, and those that only an attacker uses end the process with SIGSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
from collections.abc import Iterator

from app.common.process import LIBC, prctl

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h. The numbers of the system calls are the same on every architecture (asm-generic/unistd.h).
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
# The number of LANDLOCK_ACCESS_FS_* flags in each version of the interface. Later versions have those of version 5.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_LATEST_FILE_RIGHTS = 16
_TCP_VERSION, _TCP_RIGHTS = 4, 0b11  # LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP
_SCOPE_VERSION, _SCOPES = 6, 0b11  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL

# linux/seccomp.h
_SECCOMP_MODE_FILTER = 2
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
# The offsets in struct seccomp_data. Arguments have 64 bits; both architectures are little-endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS, _ARGUMENT_BYTES, _HIGH_WORD = 0, 4, 16, 8, 4

# linux/bpf_common.h and linux/filter.h
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_INSTRUCTION = struct.Struct("=HBBI")

# linux/sched.h
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET

# linux/audit.h
_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7

# Each system call with its number on x86-64 (asm/unistd_64.h) and on aarch64 (asm-generic/unistd.h).
_ALLOWED = {
    "futex": (202, 98),
    "read": (0, 63),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "brk": (12, 214),
    "mmap": (9, 222),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "getcpu": (309, 168),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_ENDS_PROCESS = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL = (62, 129), (234, 131)
_PRLIMIT64 = (302, 261)


# The constant of linux/audit.h, and the index of the numbers in the tables above, by the machine that uname reports.
_ARCHITECTURES = {"x86_64": (_X86_64, 0), "aarch64": (_AARCH64, 1)}


class _FilterProgram(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_new_privileges() -> None:
    """Prevent this process from gaining privileges, as Landlock and seccomp require. Raises OSError."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends. `parent` is the parent's process id.

    The process exits at once if its parent has already ended. Does nothing on platforms other than Linux.
    """
    if sys.platform == "linux":
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def restrict_files() -> None:
    """Refuse this process and its future children access to files that are not open yet. This cannot be undone.

    If the kernel supports it, TCP connections, signals to other processes, and their abstract Unix sockets are refused,
    too. The function must be called before the process starts threads. Raises OSError if the kernel does not support
    Landlock.
    """
    version = _landlock(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    file_rights = (1 << _FILE_RIGHTS.get(version, _LATEST_FILE_RIGHTS)) - 1
    fields = [file_rights]  # struct landlock_ruleset_attr: every right that it lists needs a rule, and there is none
    if version >= _TCP_VERSION:
        fields.append(_TCP_RIGHTS)
    if version >= _SCOPE_VERSION:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _landlock(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _landlock(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _landlock(number: int, *arguments: bytes | int | None) -> int:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = LIBC.syscall(ctypes.c_long(number), *words)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class SystemCallFilter:
    """The list of system calls that decoders need. Most of it is prepared once, so that installing it is fast."""

    def __init__(self, machine: str) -> None:
        """Prepare the filter for an architecture, as uname names it. Raises OSError if it is not supported."""
        if machine not in _ARCHITECTURES:
            raise OSError(errno.ENOSYS, f"there is no system call filter for {machine}")
        audit_code, self._column = _ARCHITECTURES[machine]
        self._common = b"".join(_common_instructions(audit_code, self._column))

    def install(self) -> None:
        """Allow this process only the system calls on the list. This cannot be undone.

        The method must be called before the process starts threads. Raises OSError if the kernel does not support
        seccomp.
        """
        instructions = self.program(os.getpid())
        program = _FilterProgram(len(instructions) // _INSTRUCTION.size, instructions)
        prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))

    def program(self, pid: int) -> bytes:
        """Return the filter for the process `pid`, as instructions of classic BPF."""
        # A process may send signals to itself only: abort() sends one.
        only_to_itself = [_load_argument(0), *_allow_if_equal(pid)]
        signals = [part for call in (_KILL, _TGKILL) for part in _if_called(call[self._column], *only_to_itself)]
        return self._common + b"".join(signals) + _refuse()


def _common_instructions(audit_code: int, column: int) -> Iterator[bytes]:
    """Yield the instructions that are the same for every process."""
    yield _encode(_LOAD_WORD, _ARCHITECTURE)
    yield _encode(_JUMP_IF_EQUAL, audit_code, if_equal=1)
    yield _encode(_RETURN, _KILL_PROCESS)
    yield _encode(_LOAD_WORD, _NUMBER)
    for numbers in _ALLOWED.values():
        yield from _if_called(numbers[column], _encode(_RETURN, _ALLOW))
    # The process may start threads, but no processes. A filter cannot read the arguments of clone3, so clone3 fails as
    # if the kernel did not have it, and the C library calls clone instead.
    yield from _if_called(_CLONE3[column], _encode(_RETURN, _ERRNO | errno.ENOSYS))
    flags = [_load_argument(0), _encode(_AND, _CLONE_THREAD | _CLONE_NAMESPACES)]
    yield from _if_called(_CLONE[column], *flags, *_allow_if_equal(_CLONE_THREAD))
    # Limits may be read, but not set: the pointer to the new limit, the third argument, must be null.
    new_limit = [_load_argument(2, _HIGH_WORD), _encode(_JUMP_IF_EQUAL, 0, if_equal=1), _refuse(), _load_argument(2)]
    yield from _if_called(_PRLIMIT64[column], *new_limit, *_allow_if_equal(0))
    for numbers in _ENDS_PROCESS.values():
        yield from _if_called(numbers[column], _encode(_RETURN, _KILL_PROCESS))


def _if_called(number: int, *instructions: bytes) -> Iterator[bytes]:
    """Yield `instructions`, which must end with a return, for the system call with this number."""
    yield _encode(_JUMP_IF_EQUAL, number, if_different=len(instructions))
    yield from instructions


def _load_argument(index: int, offset: int = 0) -> bytes:
    return _encode(_LOAD_WORD, _ARGUMENTS + index * _ARGUMENT_BYTES + offset)


def _allow_if_equal(value: int) -> Iterator[bytes]:
    yield _encode(_JUMP_IF_EQUAL, value, if_different=1)
    yield _encode(_RETURN, _ALLOW)
    yield _refuse()


def _refuse() -> bytes:
    return _encode(_RETURN, _ERRNO | errno.EPERM)


def _encode(code: int, value: int, *, if_equal: int = 0, if_different: int = 0) -> bytes:
    """Encode an instruction; `if_equal` and `if_different` are how many instructions a jump skips."""
    return _INSTRUCTION.pack(code, if_equal, if_different, value)
