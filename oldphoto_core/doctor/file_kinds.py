"""Which files can be read and written here: one of each kind is made in memory, read, written and read again.

They are read in a decoder process, as a run's are: a decoder that crashes is a finding, and not the doctor's end.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from oldphoto_core.doctor.finding import Finding
from oldphoto_core.scans import Decoders, Scan, write_scan
from oldphoto_core.scans.formats import FORMATS, Sample
from oldphoto_core.scans.isolation.confinement import Confinement


def formats() -> Iterator[Finding]:
    """One finding for each kind of file, and two for the processes that read them."""
    with Decoders(1) as decoders:
        yield from _of_kinds(decoders)
        # none, where none could be started
        if decoders.processes:
            yield Finding("formats", "decoder processes", "ok", "a file that crashes its decoder costs one photo")
            if decoders.confinement is not None:
                yield _confinement(decoders.confinement)
        else:
            text = "none can be started: a file that crashes its decoder would end the run"
            yield Finding("formats", "decoder processes", "note", text)


def _confinement(found: Confinement) -> Finding:
    """What this machine holds a decoder to that a file has taken over."""
    held = [
        (found.calls, "no network, programs or changes to files (seccomp)"),
        (found.landlock > 0, f"nothing read but libraries and what it is given (Landlock {found.landlock})"),
    ]
    holds, lacks = ("; ".join(what for there, what in held if there is wanted) for wanted in (True, False))
    if not lacks:
        return Finding("formats", "decoder rights", "ok", holds)
    lacks = lacks.replace("Landlock 0", "Landlock")
    text = f"{holds or 'none is given up'}; this system cannot enforce: {lacks}"
    return Finding("formats", "decoder rights", "note", text)


def _of_kinds(decoders: Decoders) -> Iterator[Finding]:
    for kind in KINDS:
        module, _, extra = kind.wants.partition(" ")
        if module and importlib.util.find_spec(module) is None:
            yield Finding("formats", kind.name, "note", f"not read here: pip install 'oldphoto[{extra}]'")
            continue
        try:
            done = _tried(kind, decoders)
        except Exception as error:  # whatever a broken build of a decoder answers is what is asked for here
            problem = " ".join(str(error).split()) or type(error).__name__
            yield Finding("formats", kind.name, "bad", f"{problem}; install pyvips-binary, opencv and pillow again")
        else:
            yield Finding("formats", kind.name, "ok", done)


def _tried(kind: Sample, decoders: Decoders) -> str:
    scan = decoders.read_scan(kind.encode())
    if kind.instead:
        return f"read; {kind.instead}"
    back = decoders.read_scan(written(kind, scan))
    if back.pixels.shape != scan.pixels.shape or back.pixels.dtype != scan.pixels.dtype:
        raise ValueError(f"written as {scan.pixels.shape}, read as {back.pixels.shape}")
    if kind.exact and not np.array_equal(back.pixels, scan.pixels):
        raise ValueError("other pixels come back than were written")
    return "read and written"


def written(kind: Sample, scan: Scan) -> bytes:
    """A file of this kind as derivatives are written."""
    if kind.big:
        scan = replace(scan, encoding=replace(scan.encoding, bigtiff=True))
    return write_scan(scan, scan.pixels)


KINDS: tuple[Sample, ...] = tuple(sample for row in FORMATS.values() for sample in row.samples)
"""What is tried: the samples of every format."""
