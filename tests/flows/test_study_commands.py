"""`oldphoto study` as people use it: made, served and killed at any time, counted; and what it refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from photos import album

from oldphoto_core.study.answers import read_answers
from oldphoto_core.study.participants import invite
from oldphoto_core.study.study import read_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two classical methods, made without a flow."""
    from oldphoto_core.evaluation.named import named_methods
    from oldphoto_core.storage import Bucket
    from oldphoto_core.study.making import StudyConfig, make_study

    folder = tmp_path_factory.mktemp("made")
    photos = Bucket(str(album(folder / "photos", 6)))
    make_study(photos, Bucket(folder / "study"), named_methods(["opencv", "sequential"]), StudyConfig(count=6))
    return folder / "study"


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`oldphoto study serve` in a process of its own; gives its address and the process."""
    command = [sys.executable, "-m", "flows.cli", "study", "serve", str(folder), "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("study: http://127.0.0.1:"), line
        yield line.split()[1].rstrip("/"), process
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("prefect_server")
def test_a_study_is_made_served_and_counted(tmp_path: Path, oldphoto) -> None:
    photos, out = album(tmp_path / "photos", 3), tmp_path / "study"
    ended = oldphoto("study", "make", "--methods", "opencv,invert,detect", "--photos", photos, "--out", out)
    assert ended.code == 0, ended.err
    assert f"study: 3 photos by 3 methods in {out}" in ended.out
    assert "damage found by: detect" in ended.out
    ended = oldphoto("study", "results", out)
    assert (ended.code, ended.err) == (1, "oldphoto: nobody has answered yet; results need one answer or more\n")
    link = oldphoto("study", "invite", out, "--address", "https://study.example").out.strip()
    assert link.startswith("https://study.example/p/")
    with served(out) as (url, _), httpx.Client(base_url=url + link.removeprefix("https://study.example")) as client:
        for place in range(3):
            ranking = client.get("/state").json()["results"]
            assert client.post("/answers", json={"place": place, "ranking": ranking}).status_code == 200
        ended = oldphoto("study", "results", out)
    assert "3 rankings by 1 participants, 1 of whom ranked every photo." in ended.out
    assert (out / "results/table.md").is_file()


@pytest.mark.long
def test_a_server_that_is_killed_loses_no_acknowledged_answer_and_counts_none_twice(made: Path) -> None:
    tokens = invite(made, 4)
    acknowledged: set[tuple[str, int]] = set()
    killed = 0

    def answer_all(token: str, url: str, enough: threading.Event) -> None:
        with httpx.Client(base_url=f"{url}/p/{token}") as client:
            try:
                while (state := client.get("/state").json())["done"] < 6 and not enough.is_set():
                    body = {"place": state["place"], "ranking": sorted(state["results"])}
                    assert client.post("/answers", json=body).status_code == 200
                    acknowledged.add((token, state["place"]))
                    if len(acknowledged) % 5 == 0:
                        enough.set()
            except httpx.HTTPError:
                return  # killed meanwhile

    while len(acknowledged) < 24:
        with served(made) as (url, process), ThreadPoolExecutor() as pool:
            enough = threading.Event()
            each = [pool.submit(answer_all, token, url, enough) for token in tokens]
            if len(acknowledged) < 20:
                enough.wait()
                process.send_signal(signal.SIGKILL)
                killed += 1
            for future in each:
                future.result()
            # an answer that was kept and whose acknowledgement was lost is known after the next start
            known = read_answers(made, read_study(made))
            assert len(known) >= len(acknowledged)
            acknowledged |= {(token, place) for token in tokens for place in range(_done(made, token))}
    study = read_study(made)
    answers = read_answers(made, study)
    assert killed >= 2
    assert len(answers) == len({(each.participant, each.photo) for each in answers}) == 24
    assert len((made / "answers.jsonl").read_text().splitlines()) == 24


def _done(folder: Path, token: str) -> int:
    from oldphoto_core.study.participants import participant_of

    return sum(each.participant == participant_of(token) for each in read_answers(folder, read_study(folder)))


def test_a_second_server_on_a_study_is_refused(made: Path, oldphoto) -> None:
    with served(made):
        ended = oldphoto("study", "serve", made, "--listen", "127.0.0.1:0")
    assert ended.code == 1
    assert "another process serves" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("make", "--methods", "opencv", "--photos", "photos", "--out", "s"), 2, "2 to 12 methods"),
        (("make", "--methods", "opencv,opencv", "--photos", "photos", "--out", "s"), 2, "name each once"),
        (("make", "--methods", "opencv,no-such", "--photos", "photos", "--out", "s"), 1, "no-such"),
        (("make", "--methods", "opencv,sequential", "--photos", "empty", "--out", "s"), 1, "no photo to draw"),
        (("serve", "empty"), 1, "is no study; make one"),
        (("results", "empty"), 1, "is no study; make one"),
        (("serve", "empty", "--listen", "0.0.0.0:0"), 2, "give --run-by"),
        (("serve", "empty", "--listen", "nowhere"), 2, "write HOST:PORT"),
        (("invite", "empty"), 1, "is no study; make one"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, oldphoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    album(tmp_path / "photos", 2)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    ended = oldphoto("study", *words)
    assert ended.code == code
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "s/study.json").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_beyond_loopback_a_link_is_needed_and_the_page_says_who_asks(made: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "flows.cli",
        "study",
        "serve",
        str(made),
        "--listen",
        "0.0.0.0:0",
        "--run-by",
        "us",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().rstrip("/").rpartition(":")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert "run by <b>us</b>" in client.get("/").text
            assert client.post("/begin", json={}).status_code == 403
            assert client.get(f"/p/{invite(made)[0]}/state").json()["total"] == 6
    finally:
        process.kill()
        process.wait()
