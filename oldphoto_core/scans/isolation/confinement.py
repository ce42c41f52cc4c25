"""What a decoder gives up before it reads a file: a file may take the decoder over, but gains little by it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oldphoto_core.scans.isolation import landlock, seccomp
from oldphoto_core.scans.isolation.syscalls import MACHINES, judged

with contextlib.suppress(ImportError):  # Windows has none, and no decoders
    import resource

_DUMPABLE, _NO_NEW_PRIVS = 4, 38
"""What `prctl` sets."""
_CAPABILITIES_VERSION = 0x20080522
_KEPT_CAPABILITIES = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root's container may read other users' files, as before."""
_DESCRIPTORS = 64
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
"""The folder of oldphoto_core."""
_ALSO_READ = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
    "/sys/devices/system", "/sys/fs/cgroup", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
"""Files and folders that libraries read which are loaded later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What holds a decoder process on this machine, beyond its being a process of its own."""

    calls: bool = False
    """A filter of system calls: no network, no other program or process, no change to any file."""
    landlock: int = 0
    """Version of Landlock: only some folders can be read, other processes not at all; 0: the kernel has none."""


def confine(readable: Iterable[str]) -> Confinement:
    """Gives up everything that decoding does not need, for good; only files below `readable` can be read.

    What is loaded already must have started no threads, as Landlock does not hold those.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        # when memory runs out, a decoder ends and not the run
        file.write("1000")
    if sys.platform != "linux":
        _limit(resource.RLIMIT_FSIZE, 0)
        return Confinement()
    _prctl(_NO_NEW_PRIVS, 1)
    _drop_capabilities()
    version = landlock.read_only_beneath({*readable, *_read_by_libraries()}) if _threads() == 1 else 0
    if not (calls := seccomp.refuse_calls()):
        # the filter lets no file be opened for writing, and leaves the memory for pixels alone
        _limit(resource.RLIMIT_FSIZE, 0)
    return Confinement(calls=calls, landlock=version)


def keep_private() -> None:
    """No other process of this user reads this one's memory and environment from now on, root's excepted."""
    if sys.platform == "linux":
        _prctl(_DUMPABLE, 0)


def _limit(kind: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def _read_by_libraries() -> Iterator[str]:
    """Folders of Python, its packages, and whatever is loaded already.

    Of a checkout only the package: secrets of a deployment may lie beside it (infra/secrets).
    """
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, _PACKAGE, *_ALSO_READ)
    root = os.path.dirname(_PACKAGE)
    is_checkout = os.path.isfile(os.path.join(root, "pyproject.toml"))
    yield from (path for path in sys.path if not (is_checkout and os.path.realpath(path) == root))
    with open("/proc/self/maps") as file:
        mapped = {line[line.find("/") :].rstrip() for line in file if "/" in line}
    # memory that is no file of a folder is called "/memfd:name (deleted)", which would stand for the whole disk
    yield from {os.path.dirname(path) for path in mapped if not path.endswith(" (deleted)")} - {"/"}


def _drop_capabilities() -> None:
    """Those of root, but for reading."""
    machine = os.uname().machine
    if machine not in MACHINES:
        return
    calls, call = judged(machine), ctypes.CDLL(None, use_errno=True).syscall
    head = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, of the lower and of the upper 32
    if call(ctypes.c_long(calls["capget"]), head, sets) == 0:
        kept = (sets[0] & _KEPT_CAPABILITIES, sets[1] & _KEPT_CAPABILITIES, 0, 0, 0, 0)
        call(ctypes.c_long(calls["capset"]), head, (ctypes.c_uint32 * 6)(*kept))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)
