"""Faults for decoder processes: Python imports this file at its start where its folder is in PYTHONPATH.

A file in which one of the words below stands does to the decoder what a fault of a C library would do, for real.
"""

import ctypes
import os
import signal
import sys
import time

FAULTS = {
    b"FAULT:SEGV": lambda: ctypes.string_at(0),
    b"FAULT:ABRT": os.abort,
    b"FAULT:KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"FAULT:EXIT": lambda: os._exit(7),
    b"FAULT:HANG": lambda: time.sleep(1000),
    b"FAULT:SPIN": lambda: spin(),
    b"FAULT:MEMORY": lambda: bytearray(2**40),
}


def spin():
    while True:
        pass


def arm():
    from oldphoto_core.scans import header_probe, headers, reader

    open_file = reader.recognise

    def recognise(head):
        for word, fault in FAULTS.items():
            if word in head:
                fault()
        return open_file(head)

    for module in (header_probe, headers, reader):
        module.recognise = recognise


if "oldphoto_core.scans.isolation.worker" in sys.orig_argv:
    arm()
