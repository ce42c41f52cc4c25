"""A filter of system calls (seccomp) that this process cannot take off again.

It refuses network, other programs and processes, and whatever would change a file; everything else is allowed, so that
libraries work as they did. Files cannot be told apart by their path: reading them is the business of `landlock`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Iterator

from oldphoto_core.scans.isolation.syscalls import MACHINES, X32, denied, judged

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions of the kernel's filters (classic BPF)."""
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
"""Where the filter finds the call's number, the processor, and the arguments, of 8 bytes each."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NO_SUCH_CALL = _REFUSE | errno.ENOSYS
_NOT_PERMITTED = _REFUSE | errno.EPERM
_SET_FILTER, _ALL_THREADS, _KEEP_SPECULATION = 1, 1, 4
_CLONE_THREAD = 0x10000
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000
"""Flags of `open` that change something; the last one makes a file without a name."""
_TO_SIGNAL_OR_LEASE = (8, 10, 15, 1024, 1026)
"""Commands of `fcntl` that are refused: they name whom the kernel signals about a descriptor, and the signal, SIGKILL
included (F_SETOWN, F_SETSIG, F_SETOWN_EX), or delay whoever opens a file, or watch a folder (F_SETLEASE, F_NOTIFY)."""
_TO_SIGNAL_OR_MARK = (0x8901, 0x8902, 0x40086602, 0x40046602, 0x401C5820, 0x5412, 0x541C)
"""Requests of `ioctl` that are refused: the same (FIOSETOWN, SIOCSPGRP); changes to attributes of files, which need no
right to write (FS_IOC_SETFLAGS, its 32-bit form, FS_IOC_FSSETXATTR); input of terminals (TIOCSTI, TIOCLINUX)."""

Instruction = tuple[int, int, int, int]
"""What it does, how many to skip if so, how many if not, and its operand."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def is_known_here() -> bool:
    """Whether the numbers of the system calls are known on this machine."""
    return sys.platform == "linux" and platform.machine() in MACHINES and sys.maxsize > 2**32


def refuse_calls() -> bool:
    """Installs the filter in all threads, for good; False where the kernel, or this program, knows none.

    The process must have given up new privileges before (PR_SET_NO_NEW_PRIVS).
    """
    if not is_known_here():
        return False
    packed = b"".join(
        code.to_bytes(2, "little") + bytes((yes, no)) + operand.to_bytes(4, "little")
        for code, yes, no, operand in instructions(platform.machine(), os.getpid())
    )
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(packed) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    call = ctypes.CDLL(None, use_errno=True).syscall
    # the second flag: kernels before 5.16 would slow the whole process down
    flags = ctypes.c_ulong(_ALL_THREADS | _KEEP_SPECULATION)
    number = judged(platform.machine())["seccomp"]
    return bool(call(ctypes.c_long(number), ctypes.c_ulong(_SET_FILTER), flags, ctypes.byref(program)) == 0)


def instructions(machine: str, process: int) -> list[Instruction]:
    """The filter for a processor and the process with this id, which may signal itself."""
    program: list[Instruction] = [(_LOAD, 0, 0, _MACHINE), *_unless(_EQUAL, MACHINES[machine], _NOT_PERMITTED)]
    program += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        program += _if(_AT_LEAST, X32, _NOT_PERMITTED)
    for number in denied(machine):
        program += _if(_EQUAL, number, _NOT_PERMITTED)
    for number, rule in _rules(judged(machine), process):
        program += [(_EQUAL, 0, len(rule), number), *rule]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _rules(calls: dict[str, int], process: int) -> Iterator[tuple[int, list[Instruction]]]:
    """Calls, and what becomes of each."""
    for name, argument in (("open", 1), ("openat", 2)):
        if name in calls:
            yield calls[name], _rule(argument, _if(_ANY_BIT, _TO_WRITE, _NOT_PERMITTED))
    # their arguments lie in memory, where a filter cannot look: libraries fall back on the older calls
    for name in ("openat2", "clone3"):
        yield calls[name], [(_RETURN, 0, 0, _NO_SUCH_CALL)]
    yield calls["clone"], _rule(0, _unless(_ANY_BIT, _CLONE_THREAD, _NOT_PERMITTED))
    for name, commands in (("fcntl", _TO_SIGNAL_OR_LEASE), ("ioctl", _TO_SIGNAL_OR_MARK)):
        yield calls[name], _rule(1, [each for command in commands for each in _if(_EQUAL, command, _NOT_PERMITTED)])
    for name in ("kill", "tgkill", "prlimit64", "sched_setaffinity"):
        allowed = [(_EQUAL, 0, 1, process), (_RETURN, 0, 0, _ALLOW)]
        itself = [] if name in ("kill", "tgkill") else [(_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW)]
        yield calls[name], [_argument(0), *allowed, *itself, (_RETURN, 0, 0, _NOT_PERMITTED)]


def _rule(argument: int, refused: list[Instruction]) -> list[Instruction]:
    return [_argument(argument), *refused, (_RETURN, 0, 0, _ALLOW)]


def _argument(index: int) -> Instruction:
    """Loads the lower half of an argument: ids and flags have no more."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _if(test: int, operand: int, answer: int) -> list[Instruction]:
    return [(test, 0, 1, operand), (_RETURN, 0, 0, answer)]


def _unless(test: int, operand: int, answer: int) -> list[Instruction]:
    return [(test, 1, 0, operand), (_RETURN, 0, 0, answer)]
