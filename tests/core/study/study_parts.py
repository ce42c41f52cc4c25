"""Studies for tests: small photos, methods whose results a script can tell apart, a server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from photos import album
from waiting import wait_until

from oldphoto_core.evaluation.named import NamedMethods
from oldphoto_core.http_guard import server
from oldphoto_core.storage import Bucket
from oldphoto_core.study.making import StudyConfig, make_study
from oldphoto_core.study.server import opened
from oldphoto_core.study.study import Study

Photo = NDArray[np.uint8]
LEVELS = {"best": 200, "good": 150, "fair": 100, "poor": 50}
"""Method -> the one grey that it fills every photo with."""


def painting(level: int) -> object:
    def paint(image: Photo, _mask: NDArray[np.bool_]) -> Photo:
        # no two photos give the same file
        made = np.full_like(image, level)
        made[0, 0] = image[0, 0]
        return made

    return paint


def nothing(image: Photo) -> NDArray[np.bool_]:
    return np.zeros(image.shape[:2], bool)


def methods(levels: dict[str, int] = LEVELS) -> NamedMethods:
    return NamedMethods({name: painting(level) for name, level in levels.items()}, nothing, "")


def study_in(folder: Path, count: int = 3, levels: dict[str, int] = LEVELS) -> Study:
    """A study of `count` photos in `folder`/study."""
    album(folder / "photos", count)
    return make_study(Bucket(folder / "photos"), Bucket(folder / "study"), methods(levels), StudyConfig(count=count))


@contextmanager
def serving(folder: Path, *, run_by: str = "", open_access: bool = True) -> Iterator[str]:
    """The study of a folder, served by this process; gives the address."""
    import socket

    with opened(folder, run_by, open_access=open_access) as study, socket.create_server(("127.0.0.1", 0)) as bound:
        running = server(study.application(), "127.0.0.1", 0)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            wait_until(lambda: running.started, "the study's server")
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()
