"""Decoders that files take over: Python imports this at the start of a process that has its folder in PYTHONPATH.

A file in which "ATTACK:name argument;" stands runs the function of that name below, in the decoder. What it returns or
raises comes back as the words of an UnreadableScan.
"""

import ctypes
import fcntl
import json
import mmap
import os
import re
import resource
import signal
import socket
import struct
import sys
import time

ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def line():
    return socket.socket(fileno=os.dup(int(sys.argv[1])))


def say(name, body=b"", blobs=b"", *, size=None):
    size = len(body) if size is None else size
    line().sendall(struct.pack("<24sQQ", name, size, len(blobs)) + body + blobs)


@attack
def opens_a_socket(_):
    return socket.socket().fileno()


@attack
def starts_a_program(_):
    os.execv("/bin/true", ["true"])


@attack
def starts_a_process(_):
    if (process := os.fork()) == 0:
        os._exit(0)
    return process


@attack
def writes_a_file(path):
    open(path, "w").close()


@attack
def removes_a_file(path):
    os.unlink(path)


@attack
def renames_a_file(path):
    os.rename(path, path + ".gone")


@attack
def changes_the_rights_of_a_file(path):
    os.chmod(path, 0o777)


@attack
def changes_the_attributes_of_a_file(_):
    with open(json.__file__) as file:  # one that it may read
        fcntl.ioctl(file, 0x40086602, struct.pack("l", 0))  # FS_IOC_SETFLAGS


@attack
def gives_a_file_an_extended_attribute(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(463, -100, path.encode(), 0, b"user.a", None, 0) < 0:  # setxattrat
        raise OSError(ctypes.get_errno(), "setxattrat")


@attack
def makes_a_folder(path):
    os.mkdir(path + ".d")


@attack
def reads_a_file_elsewhere(_):
    return open("/etc/passwd").read()


@attack
def reads_what_lies_beside_the_package(_):
    import oldphoto_core

    return os.listdir(os.path.dirname(os.path.dirname(oldphoto_core.__file__)))


@attack
def reads_the_environment_of_its_parent(_):
    return open(f"/proc/{os.getppid()}/environ").read()


@attack
def reads_the_memory_of_its_parent(_):
    return open(f"/proc/{os.getppid()}/mem", "rb").read(1)


@attack
def traces_its_parent(_):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@attack
def signals_its_parent(_):
    os.kill(os.getppid(), signal.SIGTERM)


@attack
def has_its_parent_signalled(_):
    fcntl.fcntl(line(), fcntl.F_SETOWN, os.getppid())


@attack
def chooses_the_signal(_):
    fcntl.fcntl(line(), fcntl.F_SETSIG, signal.SIGKILL)


@attack
def has_its_parent_signalled_otherwise(_):
    fcntl.ioctl(line(), 0x8901, struct.pack("i", os.getppid()))  # FIOSETOWN


@attack
def limits_its_parent(_):
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))


@attack
def leaves_its_group(_):
    os.setpgid(0, 0)


@attack
def makes_shared_memory(_):
    os.memfd_create("mine")


@attack
def tells_its_environment(_):
    return sorted(os.environ)


@attack
def tells_its_descriptors(_):
    paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # the listing's own is closed by now
    return sorted(os.readlink(path).split(":")[0] for path in paths if os.path.lexists(path))


@attack
def cuts_its_memory_short(_):
    for name in os.listdir("/proc/self/fd"):
        try:
            if "memfd" in os.readlink(f"/proc/self/fd/{name}"):
                os.ftruncate(int(name), 0)
        except FileNotFoundError:
            pass


@attack
def announces_a_long_message(_):
    say(b"ScanHeader", size=2**50)
    time.sleep(1000)


@attack
def sends_one_byte_after_the_other(_):
    end = line()
    while True:
        end.sendall(b"a")
        time.sleep(0.05)


@attack
def says(text):
    name, _, body = text.partition(" ")
    say(name.encode(), body.encode())
    time.sleep(1000)


@attack
def complains_at_length(_):
    say(b"Failure", json.dumps(["RuntimeError", "x" * 2**20]).encode())
    time.sleep(1000)


@attack
def names_many_sides_of_a_picture(_):
    from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding
    from oldphoto_core.scans.isolation.wire import packed

    carried = json.loads(packed(ContainerMetadata(encoding=Encoding(lossless=True)))[0])
    say(b"Reply", json.dumps(["png", [[1] * 2**18, "|u1"], None, carried, None]).encode())
    time.sleep(1000)


@attack
def leaves_a_process_that_holds_the_line(folder):
    if os.fork() == 0:
        os.mkdir(f"{folder}/{os.getpid()}")
        time.sleep(1000)
    while not os.listdir(folder):
        time.sleep(0.01)
    os._exit(7)


LOADED = []


def arm():
    # as libraries hold code that they make while they run (libffi, ORC)
    code = os.memfd_create("code")
    os.ftruncate(code, 4096)
    LOADED.append(mmap.mmap(code, 4096))
    os.close(code)
    from oldphoto_core.errors import UnreadableScan
    from oldphoto_core.scans import header_probe, headers, reader

    open_file = reader.recognise

    def recognise(head):
        if found := re.search(rb"ATTACK:(\w+) (.*?);", head):
            try:
                outcome = ATTACKS[found[1].decode()](found[2].decode())
            except OSError as error:
                outcome = type(error).__name__
            raise UnreadableScan(json.dumps(outcome))
        return open_file(head)

    for module in (header_probe, headers, reader):
        module.recognise = recognise


if "oldphoto_core.scans.isolation.worker" in sys.orig_argv:
    arm()
