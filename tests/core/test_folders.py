"""Temporary files lie where no other user of the machine can read, foresee or replace them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from strangers import as_a_user_nobody_knows

from oldphoto_core.folders import (
    NoTemporaryFolder,
    cache_folder,
    home_folder,
    private_folder,
    temporary_folder,
    use_private_compiler_cache,
)
from oldphoto_core.inference.toning import Draft
from oldphoto_core.scans import RawPixels
from oldphoto_core.storage.key_list import as_file
from oldphoto_core.tone.colours import colours_of
from oldphoto_core.tone.options import ToneOptions

ROOT = Path(__file__).parents[2]
SCRATCH = "dask-scratch-space"


@pytest.fixture
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of this process and of those that it starts."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_private_folder_is_this_processs_alone(system_folder: Path) -> None:
    folder = private_folder()
    assert folder.parent == system_folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder() == folder
    with temporary_folder("photo") as inside:
        assert Path(inside).parent == folder
    assert list(folder.iterdir()) == []


def test_a_private_folder_that_somebody_else_opened_or_replaced_is_not_used_again(system_folder: Path) -> None:
    first = private_folder()
    first.chmod(0o777)
    second = private_folder()
    assert second != first
    second.rmdir()
    second.symlink_to(system_folder)
    assert private_folder() not in (first, second)


def test_it_is_gone_when_its_process_has_ended(system_folder: Path) -> None:
    code = "from oldphoto_core.folders import private_folder as p; (p() / 'left').touch(); print(p().is_dir())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"
    assert list(system_folder.iterdir()) == []


def test_a_fork_has_a_folder_of_its_own_and_leaves_its_parents(system_folder: Path) -> None:
    code = """
import os
from oldphoto_core.folders import private_folder
mine = private_folder()
if os.fork() == 0:
    raise SystemExit(private_folder() == mine)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert mine.is_dir()
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_room_for_temporary_files_is_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(NoTemporaryFolder, match="No such file or directory; name a folder with room by TMPDIR"):
        private_folder()


def test_drafts_and_lists_from_streams_lie_in_it(system_folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list")
    writer = threading.Thread(target=lambda: (tmp_path / "list").write_text("a.png\n"))
    writer.start()
    with as_file(str(tmp_path / "list")) as place:
        writer.join()
        assert Path(place).is_relative_to(private_folder())
    photo = RawPixels.create(tmp_path / "photo.tif", 8, 8, 3, np.uint8)
    with Draft.of(photo, photo, colours_of(photo, None, ToneOptions())) as draft:
        assert isinstance(draft.pixels, RawPixels)
        assert Path(draft.pixels.path).is_relative_to(private_folder())
    assert list(private_folder().iterdir()) == []


@pytest.mark.parametrize(
    "cluster",
    [
        "oldphoto_core.pipeline.threads import dask_threads as start",
        "oldphoto_core.clusters import dask_client as start",
    ],
    ids=["threads", "processes"],
)
def test_a_dask_folder_that_somebody_made_first_is_never_used(system_folder: Path, cluster: str) -> None:
    """Dask would import from it, and empty what a lock in it links to."""
    theirs, victim = system_folder / SCRATCH, system_folder / "victim"
    theirs.mkdir()
    victim.write_text("a file of whoever runs the product")
    for name in ("global.lock", "purge.lock"):
        (theirs / name).symlink_to(victim)
    code = f"""
from {cluster}
if __name__ == "__main__":
    from pathlib import Path
    arguments = (1,) if start.__name__ == "dask_threads" else (None, 1)
    with start(*arguments) as client:
        assert client.submit(abs, -1, pure=False).result() == 1
        assert {str(theirs)!r} not in str(client.run(lambda dask_worker: dask_worker.local_directory))
        assert not [path for path in __import__("sys").path if path.startswith({str(theirs)!r})]
"""
    script = system_folder.parent / "script.py"
    script.write_text(code)
    before = sorted(path.name for path in theirs.iterdir())
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in theirs.iterdir()) == before
    assert victim.read_text() == "a file of whoever runs the product"
    assert sorted(path.name for path in system_folder.iterdir()) == [SCRATCH, "victim"]


def test_the_cache_is_where_it_can_be_written(
    system_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache/oldphoto"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home/.cache/oldphoto"
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert cache_folder().parent == private_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of somebody else")
@pytest.mark.parametrize(("mode", "owner"), [(0o777, 0), (0o755, 54321)])
def test_a_cache_that_somebody_else_made_or_may_write_is_not_used(
    system_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, owner: int
) -> None:
    """Networks are compiled to it, and the code is loaded from there."""
    theirs = tmp_path / "of-all/oldphoto"
    theirs.mkdir(parents=True)
    theirs.chmod(mode)
    os.chown(theirs, owner, owner)
    monkeypatch.setenv("XDG_CACHE_HOME", str(theirs.parent))
    assert cache_folder().parent == private_folder()


def test_a_user_that_the_system_does_not_know_has_no_home(system_folder: Path) -> None:
    code = "from oldphoto_core.folders import home_folder, cache_folder; print(home_folder(), cache_folder().name)"
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    command = [*as_a_user_nobody_knows(), sys.executable, "-c", code]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["None", "cache"], ended.stderr


def test_a_home_that_is_no_path_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "relative")
    assert home_folder() is None


def test_compiled_networks_lie_in_the_cache_and_not_at_a_name_that_others_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    use_private_compiler_cache()
    assert Path(cache_dir()) == tmp_path / "oldphoto/torchinductor"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")


PREDICTABLE = re.compile(
    r"gettempdir\(|mktemp\(|[\"']/tmp|/var/tmp|mkstemp\(\)|mkdtemp\(\)|TemporaryDirectory\((?!.*dir=)"
)
ALLOWED = {"folders.py", "capacities.py"}  # the one function, and what says how much room there is


def test_nothing_else_chooses_a_place_for_temporary_files() -> None:
    files = [path for room in ("oldphoto_core", "flows", "tasks", "infra") for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in files if path.name not in ALLOWED and PREDICTABLE.search(path.read_text())]
