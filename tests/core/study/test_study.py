"""Studies without a browser: what is written, what is kept, what is refused, and what is counted."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photos import album
from PIL import Image
from study_parts import LEVELS, methods, nothing, painting, serving, study_in

from oldphoto_core.errors import Occupied, RefusedAnswer, ScanError, SourceMissing, StudyError, UsageError, WriteFailed
from oldphoto_core.evaluation.named import NamedMethods, named_methods
from oldphoto_core.storage import Bucket
from oldphoto_core.study import log
from oldphoto_core.study.answers import ANSWERS, Answers, read_answers
from oldphoto_core.study.blinding import photo_order, shown
from oldphoto_core.study.making import StudyConfig, make_study
from oldphoto_core.study.participants import Participants, invite
from oldphoto_core.study.results import count, to_markdown, write_results
from oldphoto_core.study.statistics import bradley_terry, kendall_w, score_intervals, wins
from oldphoto_core.study.study import Study, read_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study_in(tmp_path)
    return tmp_path / "study"


def ranking(study: Study, participant: str, place: int, order: tuple[str, ...] = tuple(LEVELS)) -> list[str]:
    """What the page calls the results of these methods."""
    names = {study.methods[method]: name for name, method in shown(study, participant, place).results.items()}
    return [names[method] for method in order]


# --- making -----------------------------------------------------------------------------------------------------------


def test_a_study_draws_the_same_photos_by_the_same_seed_and_others_by_another(tmp_path: Path) -> None:
    photos = Bucket(str(album(tmp_path / "photos", 12)))
    made = [
        make_study(photos, Bucket(tmp_path / name), methods(), StudyConfig(count=4, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    keys = [[photo.key for photo in study.photos] for study in made]
    assert keys[0] == keys[1] != keys[2]
    assert len({study.id for study in made}) == 3


def test_pictures_tell_nothing_but_what_is_seen(folder: Path) -> None:
    for path in (folder / "pictures").iterdir():
        data = path.read_bytes()
        assert path.name == f"{hashlib.sha256(data).hexdigest()}.png"
        picture = Image.open(io.BytesIO(data))
        assert (picture.size, picture.info, picture.getexif()) == ((112, 96), {}, {})
        assert not any(name.encode() in data for name in LEVELS)


def test_a_photo_that_cannot_be_read_is_replaced_by_the_next(tmp_path: Path) -> None:
    photos = album(tmp_path / "photos", 3)
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    study = make_study(Bucket(photos), Bucket(tmp_path / "study"), methods(), StudyConfig(count=4))
    assert sorted(photo.key for photo in study.photos) == [f"album-00{n}.png" for n in range(3)]


def test_large_photos_are_shrunk_before_they_are_restored(tmp_path: Path) -> None:
    sizes = []

    def look(image: np.ndarray, _mask: np.ndarray) -> np.ndarray:
        sizes.append(image.shape)
        return image

    looking = NamedMethods({"a": look, "b": painting(9)}, nothing, "")
    photos = Bucket(str(album(tmp_path / "photos", 1)))
    study = make_study(photos, Bucket(tmp_path / "study"), looking, StudyConfig(count=1, side=56))
    assert sizes == [(48, 56, 3)]
    assert (study.photos[0].width, study.photos[0].height) == (56, 48)


def test_what_cannot_be_a_study_is_refused(tmp_path: Path, folder: Path) -> None:
    photos = Bucket(tmp_path / "photos")
    with pytest.raises(UsageError, match="2 to 12 methods, and these are best; name each once"):
        make_study(photos, Bucket(tmp_path / "one"), methods({"best": 1}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceMissing, match="no photo to draw"):
        make_study(Bucket(tmp_path / "empty"), Bucket(tmp_path / "none"), methods())
    with pytest.raises(UsageError, match="holds a study already"):
        make_study(photos, Bucket(folder), methods())
    with pytest.raises(UsageError, match="no folder of this machine"):
        make_study(photos, Bucket("memory://study"), methods())
    shorter = NamedMethods({"a": painting(1), "b": lambda image, mask: image[:-1]}, nothing, "")
    with pytest.raises(ScanError, match="b made uint8"):
        make_study(photos, Bucket(tmp_path / "two"), shorter)
    assert not (tmp_path / "two/study.json").exists()


def test_methods_are_known_by_name_and_get_one_mask() -> None:
    named = named_methods(["opencv", "sequential", "dip", "starter"])
    assert list(named.methods) == ["opencv", "sequential", "dip", "starter"]
    assert named.detector == "starter"
    with pytest.raises(UsageError, match="name each once"):
        named_methods(["opencv", "opencv"])


def test_a_damaged_study_is_told(folder: Path) -> None:
    content = json.loads((folder / "study.json").read_text())
    content["photos"][0]["results"].pop()
    (folder / "study.json").write_text(json.dumps(content))
    with pytest.raises(StudyError, match="not what was written"):
        read_study(folder)
    with pytest.raises(SourceMissing, match="is no study; make one"):
        read_study(folder.parent)


# --- blinding ---------------------------------------------------------------------------------------------------------


def test_every_order_of_results_comes_up_and_none_is_preferred(folder: Path) -> None:
    study = read_study(folder)
    first = [next(iter(shown(study, f"p{n}", 0).results.values())) for n in range(400)]
    assert min(first.count(method) for method in range(4)) > 60
    assert len({tuple(photo_order(study, f"p{n}")) for n in range(100)}) == math.factorial(3)


def test_a_participant_sees_the_same_order_every_time(folder: Path) -> None:
    study = read_study(folder)
    assert shown(study, "p", 1) == shown(read_study(folder), "p", 1)
    assert not set(shown(study, "p", 1).results) & set(shown(study, "q", 1).results)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_answers_in_order_are_kept_and_found_again(folder: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    assert [answers.keep("p", place, ranking(study, "p", place)) for place in range(3)] == [1, 2, 3]
    answers.close()
    again = Answers(folder, study)
    assert (again.done("p"), again.done("q")) == (3, 0)
    again.close()
    assert all(answer.ranking == (0, 1, 2, 3) for answer in read_answers(folder, study))


def test_the_same_answer_twice_counts_once_and_another_is_refused(folder: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    order = ranking(study, "p", 0)
    assert answers.keep("p", 0, order) == answers.keep("p", 0, order) == 1
    with pytest.raises(RefusedAnswer, match="the first answer counts"):
        answers.keep("p", 0, order[::-1])
    with pytest.raises(RefusedAnswer, match="a photo before this one"):
        answers.keep("p", 2, ranking(study, "p", 2))
    answers.close()
    assert [answer.ranking for answer in read_answers(folder, study)] == [(0, 1, 2, 3)]


@pytest.mark.parametrize(
    "spoil",
    [lambda order: order[:-1], lambda order: [*order[:-1], order[0]], lambda order: [], lambda order: ["x"] * 4,
     lambda order: [*order, "more"]],
)  # fmt: skip
def test_what_does_not_rank_each_result_once_is_refused(folder: Path, spoil: Callable[[list[str]], list[str]]) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    with pytest.raises(RefusedAnswer, match="rank each result once"):
        answers.keep("p", 0, spoil(ranking(study, "p", 0)))
    with pytest.raises(RefusedAnswer, match="rank each result once"):
        answers.keep("p", 0, ranking(study, "other", 0))
    for place in (-1, 3):
        with pytest.raises(RefusedAnswer, match="no such photo"):
            answers.keep("p", place, [])
    answers.close()
    assert read_answers(folder, study) == []


def test_two_servers_on_one_study_are_refused(folder: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    with pytest.raises(Occupied, match="another process serves"):
        Answers(folder, study)
    answers.close()
    Answers(folder, study).close()


def test_a_full_disk_refuses_an_answer_and_loses_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    answers.keep("p", 0, ranking(study, "p", 0))
    real = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if len(data) > 20:
            return real(file, data[:20], at)  # what still fits
        raise OSError(errno.ENOSPC, "No space left on device")

    for name, broken in (("pwrite", full), ("fsync", lambda file: full(file, b"", 0))):
        order = ranking(study, "p", 1)
        with monkeypatch.context() as disk:
            disk.setattr(log.os, name, broken)
            with pytest.raises(WriteFailed, match="No space left on device"):
                answers.keep("p", 1, order)
        assert answers.done("p") == 1
    assert answers.keep("p", 1, ranking(study, "p", 1)) == 2
    answers.close()
    assert len(read_answers(folder, study)) == 2


def test_a_line_that_a_kill_cut_off_is_not_read_and_is_written_over(folder: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    for place in (0, 1):
        answers.keep("p", place, ranking(study, "p", place))
    answers.close()
    whole = (folder / ANSWERS).read_bytes()
    first = len(whole.splitlines(keepends=True)[0])
    for cut in range(first, len(whole)):
        (folder / ANSWERS).write_bytes(whole[:cut])
        assert len(read_answers(folder, study)) == 1
    again = Answers(folder, study)
    assert again.keep("p", 1, ranking(study, "p", 1)) == 2
    again.close()
    assert len(read_answers(folder, study)) == 2


def test_a_line_that_was_altered_is_told_and_never_counted(folder: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    for place in (0, 1):
        answers.keep("p", place, ranking(study, "p", place))
    answers.close()
    text = (folder / ANSWERS).read_text().replace("[0,1,2,3]", "[3,1,2,0]", 1)
    (folder / ANSWERS).write_text(text)
    for use in (lambda: read_answers(folder, study), lambda: Answers(folder, study)):
        with pytest.raises(StudyError, match=r"line 1 of .* is damaged"):
            use()


def test_answers_of_another_study_are_refused(folder: Path, tmp_path: Path) -> None:
    study = read_study(folder)
    answers = Answers(folder, study)
    answers.keep("p", 0, ranking(study, "p", 0))
    answers.close()
    other = study_in(tmp_path / "other", 3, {"a": 1, "b": 2})
    (tmp_path / "other/study" / ANSWERS).write_bytes((folder / ANSWERS).read_bytes())
    with pytest.raises(StudyError, match="not of this study"):
        Answers(tmp_path / "other/study", other)


def test_no_token_is_kept_and_who_is_invited_meanwhile_is_found(folder: Path) -> None:
    participants = Participants(folder)
    assert participants.find("nobody") is None
    tokens = invite(folder, 3)
    assert len({participants.find(token) for token in tokens}) == 3
    assert None not in {participants.find(token) for token in tokens}
    assert not any(token in (folder / "participants.jsonl").read_text() for token in tokens)
    assert (folder / "participants.jsonl").stat().st_mode & 0o077 == 0


# --- statistics -------------------------------------------------------------------------------------------------------


def test_kendalls_w_is_that_of_the_textbook() -> None:
    judges = np.array([[1, 6, 3, 2, 5, 4], [1, 5, 6, 4, 2, 3], [6, 3, 2, 5, 4, 1]])
    assert kendall_w(judges) == pytest.approx(12 * 25.5 / (9 * 210))
    assert kendall_w(np.array([[1, 2, 3]] * 5)) == pytest.approx(1.0)
    assert kendall_w(np.array([[1, 2], [2, 1]])) == 0
    assert math.isnan(kendall_w(np.array([[1, 2, 3]])))


def test_bradley_terry_scores_are_the_log_odds_of_pairs() -> None:
    won = np.array([[0.0, 75.0], [25.0, 0.0]])
    better, worse = bradley_terry(won * 1000)
    assert better - worse == pytest.approx(math.log(3), abs=1e-3)
    assert better + worse == pytest.approx(0)
    both = bradley_terry(np.stack([won, won.T]))
    assert both[0] == pytest.approx(both[1][::-1])


def test_who_never_loses_has_a_score_too_and_intervals_hold_it() -> None:
    rng = np.random.default_rng(0)
    people = [np.stack([np.r_[1, 1 + rng.permutation(np.arange(1, 4))] for _ in range(5)]) for _ in range(8)]
    scores = bradley_terry(wins(np.concatenate(people)))
    low, high = score_intervals(people, resamples=200)
    assert np.isfinite(scores).all()
    assert scores.argmax() == 0
    assert ((low <= scores + 1e-9) & (scores <= high + 1e-9)).all()
    assert np.isnan(score_intervals(people[:1])).all()


def test_results_are_written_while_the_study_is_served(folder: Path) -> None:
    with pytest.raises(StudyError, match="nobody has answered yet"):
        write_results(folder)
    study = read_study(folder)
    answers = Answers(folder, study)
    for person in ("p", "q"):
        for place in range(3 if person == "p" else 1):
            answers.keep(person, place, ranking(study, person, place))
    text = write_results(folder)
    answers.close()
    assert text.startswith("4 rankings by 2 participants, 1 of whom ranked every photo.")
    assert "| best | 100.0% | 100.0% | 100.0% | 100.0% | 1.00 |" in text
    assert Image.open(folder / "results/chart.png").size[0] > 500
    assert len((folder / "results/rankings.csv").read_text().splitlines()) == 1 + 4 * 4
    assert json.loads((folder / "results/summary.json").read_text())["agreement"] == pytest.approx(1.0)


def test_names_that_a_table_or_a_spreadsheet_would_act_on_do_nothing(tmp_path: Path) -> None:
    hostile = {"a | b $x^{$ <b>": 9, "=HYPERLINK(1)": 8}
    study = study_in(tmp_path, 1, hostile)
    answers = Answers(tmp_path / "study", study)
    answers.keep("p", 0, ranking(study, "p", 0, tuple(hostile)))
    answers.close()
    text = write_results(tmp_path / "study")
    assert "| a &#124; b $x^{$ &#60;b&#62; |" in text
    assert "'=HYPERLINK(1)" in (tmp_path / "study/results/table.csv").read_text()
    assert to_markdown(study, count(study, read_answers(tmp_path / "study", study))) == text


# --- the server -------------------------------------------------------------------------------------------------------


def test_requests_that_no_page_makes_change_nothing(folder: Path) -> None:
    import httpx

    with serving(folder) as url, httpx.Client(base_url=url) as client:
        assert client.post("/begin", content="{}", headers={"Content-Type": "text/plain"}).status_code == 403
        assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
        link = client.post("/begin", json={}).json()["link"]
        bodies = (b"", b"[]", b"{", b"[" * 9000, b"x" * 100_000, b'{"place": true, "ranking": []}', b'{"place": 0}')
        assert {client.post(f"{link}/answers", content=body).status_code for body in bodies} == {400}
        assert client.post(f"{link}/answers", json={"place": 1, "ranking": []}).status_code == 409
        state = client.get(f"{link}/state").json()
        for path in ("/pictures/0/study.json", "/pictures/2/x", "/pictures/0/..%2f..%2fstudy.json"):
            assert client.get(link + path).status_code == 404
        assert client.get("/p/nobody/state").status_code == 404
        assert client.get("/assets/..%2fstudy.py").status_code == 404
        picture = client.get(f"{link}/pictures/0/{state['original']}")
        assert picture.headers["content-type"] == "image/png"
        assert not {"last-modified", "etag", "set-cookie"} & set(picture.headers)
        assert "default-src 'none'" in picture.headers["content-security-policy"]
    assert read_answers(folder, read_study(folder)) == []


def test_without_open_access_nobody_begins_without_a_link(folder: Path) -> None:
    import httpx

    with serving(folder, run_by="the lab", open_access=False) as url, httpx.Client(base_url=url) as client:
        assert client.post("/begin", json={}).status_code == 403
        assert "run by <b>the lab</b>" in client.get("/").text
        assert client.get(f"/p/{invite(folder)[0]}/state").json()["done"] == 0


def test_an_answer_that_cannot_be_kept_now_is_not_acknowledged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    study = read_study(folder)
    with serving(folder) as url, httpx.Client(base_url=url) as client:
        link = client.post("/begin", json={}).json()["link"]
        body = {"place": 0, "ranking": client.get(f"{link}/state").json()["results"]}
        with monkeypatch.context() as disk:
            disk.setattr(log.os, "fsync", lambda file: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            refused = client.post(f"{link}/answers", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert "nothing is lost" in refused.json()["error"]
        assert client.post(f"{link}/answers", json=body).json()["done"] == 1
    assert len(read_answers(folder, study)) == 1
