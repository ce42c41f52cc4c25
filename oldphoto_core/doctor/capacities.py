"""Python, cores, memory, GPUs, room on the disk, and the models that lie here."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil

from oldphoto_core.doctor.finding import Finding
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.pipeline.threads import usable_cores

LEAST_ROOM = 2e9
"""Bytes on the disk of TMPDIR below which a large photo may find no room (docs/any-size.md)."""
LEAST_MEMORY = 2e9
"""Bytes of free memory below which photos are restored in small parts, slowly."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def machine() -> Iterator[Finding]:
    """What there is to compute with."""
    yield Finding("machine", "oldphoto", "ok", version("oldphoto"))
    new_enough = sys.version_info >= (3, 11)
    state, advice = ("ok", "") if new_enough else ("bad", "; oldphoto needs 3.11 or newer")
    yield Finding("machine", "Python", state, f"{platform.python_version()} on {platform.system()}{advice}")  # type: ignore[arg-type]
    yield Finding("machine", "cores", "ok", f"{usable_cores()} of {os.cpu_count()} may be used")
    yield _memory()
    yield _room()
    yield from _torch()
    if importlib.util.find_spec("skimage") is not None:
        yield Finding("machine", "scikit-image", "ok", "there, for `oldphoto demo`")
    else:
        yield Finding("machine", "scikit-image", "note", "only `oldphoto demo` wants it: pip install 'oldphoto[demo]'")


def models() -> Iterator[Finding]:
    """Every model that is known by name, its files read and held against its card."""
    from oldphoto_core.checkpoints import imported_models, shipped_models, verify_model

    names = [*shipped_models(), *imported_models()]
    if not names:
        yield Finding("models", "models", "bad", "none; install oldphoto again, or import one: oldphoto models import")
    for name in names:
        try:
            card = verify_model(name)
        except OldPhotoError as error:
            yield Finding("models", name, "bad", str(error))
        else:
            files = 1 + len(card.parts)
            yield Finding(
                "models", name, "ok", f"{card.preset}, {files} files as in its card, {card.weights_sha256[:12]}"
            )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    limit = _container_limit()
    free = min(memory.available, limit)
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    if limit < memory.total:
        text += f", and a limit of {limit / 1e9:.1f} GB for this container"
    if free < LEAST_MEMORY:
        return Finding("machine", "memory", "note", f"{text}; large photos will be restored in small parts")
    return Finding("machine", "memory", "ok", text)


def _container_limit() -> float:
    try:
        return float(_CGROUP.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return float("inf")


def _room() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_ROOM:
        return Finding("machine", "temporary files", "note", f"{text}; photos over 64 megapixels go there: set TMPDIR")
    return Finding("machine", "temporary files", "ok", text)


def _torch() -> Iterator[Finding]:
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Finding("machine", "torch", "ok", f"{torch.__version__}, built for {built}")
    if not torch.cuda.is_available():
        yield Finding("machine", "GPU", "note", "none that torch can use: restorations run on the CPU")
        return
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        text = f"{gpu.name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        try:
            torch.ones(8, device=f"cuda:{number}").sum().item()
        except RuntimeError as error:
            yield Finding(
                "machine", f"GPU cuda:{number}", "bad", f"{text}; it cannot compute: {str(error).splitlines()[0]}"
            )
        else:
            yield Finding("machine", f"GPU cuda:{number}", "ok", text)
