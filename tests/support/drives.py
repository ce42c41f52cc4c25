"""Drives of other file systems, mounted for a test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def exfat_drive(folder: Path) -> Iterator[Path]:
    """A real exFAT drive, which lies in a file; the test is skipped where nothing can be mounted."""
    tools = ("mkfs.exfat", "mount.exfat-fuse", "losetup", "umount")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"not installed (apt-get install exfat-fuse exfatprogs): {', '.join(missing)}")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("nothing can be mounted here")
    image, place = folder / "drive.img", folder / "drive"
    image.write_bytes(bytes(48 * 2**20))
    place.mkdir()
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True).stdout.strip()
    mounted = loop and subprocess.run(["mount.exfat-fuse", loop, place], capture_output=True).returncode == 0
    try:
        if not mounted:
            pytest.skip("nothing can be mounted here")
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", place], check=True)
        if loop:
            subprocess.run(["losetup", "--detach", loop], check=True)


@contextmanager
def mounted_twice(folder: Path, place: Path) -> Iterator[None]:
    """The folder, at a second place, too; the test is skipped where nothing can be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "--bind", folder, place], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)
