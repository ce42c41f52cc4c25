"""Another user, as containers have them: a number that the system has no name and no home for."""

from __future__ import annotations

import subprocess

import pytest


def as_a_user_nobody_knows() -> list[str]:
    """What goes ahead of a command; the test is skipped where the kernel or util-linux cannot do that."""
    command = ["unshare", "--user", "--map-user=54321"]
    try:
        works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("no user namespace can be made here")
    return command
