"""Decisions of curators as files of a target: none is lost, none replaced, and other programs can take part."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from oldphoto_core.errors import ConfigError, DamagedDecision, DecidedMeanwhile, MaskMismatch, SourceMissing, UsageError
from oldphoto_core.reviews.corrected import store_mask, stored_mask
from oldphoto_core.reviews.decision import Decision, review_schema
from oldphoto_core.reviews.store import Reviews, mask_of, review_key
from oldphoto_core.reviews.table import decisions_csv, import_csv
from oldphoto_core.reviews.wishes import wishes_of
from oldphoto_core.scans import read_mask, write_mask
from oldphoto_core.storage import Bucket

KEY = "album/001.jpg"


def decided(verdict: Any = "accept", key: str = KEY, reviewer: str = "Ada", **more: Any) -> Decision:
    return Decision(key=key, verdict=verdict, reviewer=reviewer, **more)


def entries(target: Bucket, key: str = KEY) -> list[dict[str, Any]]:
    listed = target.list(f"reviews/history/{key}")
    return [json.loads(target.read(info.key)) for info in listed if info.key.endswith(".json")]


@pytest.fixture
def damage() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[3:5, 7:50] = True
    return mask


def test_the_last_decision_counts_and_the_history_is_kept(bucket_url: str) -> None:
    reviews = Reviews(Bucket(bucket_url))
    reviews.add(decided("redo", note="the sky"))
    reviews.add(decided("accept", reviewer="Björn"))
    assert reviews.last(KEY).verdict == "accept"
    assert [(each.number, each.verdict) for each in reviews.history(KEY)] == [(1, "redo"), (2, "accept")]
    shown = json.loads(reviews.target.read(review_key(KEY)))
    assert [each["reviewer"] for each in shown["decisions"]] == ["Ada", "Björn"]


def test_what_is_written_keeps_the_published_schema(tmp_path: Path, damage: np.ndarray) -> None:
    target = Bucket(tmp_path)
    reviews = Reviews(target)
    sha256 = store_mask(target, KEY, damage)
    reviews.add(decided("redo", mask=sha256, seen="a" * 64, protected=((0, 0, 5, 5),)))
    schema = review_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(target.read(review_key(KEY))))
    entry = Draft202012Validator({**schema["$defs"]["entry"], "$defs": schema["$defs"]})
    assert [list(entry.iter_errors(plain)) for plain in entries(target)] == [[]]
    assert list(entry.iter_errors({**entries(target)[0], "surprise": 1})) != []


def test_of_two_who_looked_at_the_same_time_the_second_is_told_and_nothing_is_replaced(bucket_url: str) -> None:
    target = Bucket(bucket_url)
    Reviews(target).add(decided("accept"), after=0)
    with pytest.raises(DecidedMeanwhile, match=r"Ada decided about album/001[.]jpg meanwhile"):
        Reviews(target).add(decided("reject", reviewer="Björn"), after=0)
    assert [each["verdict"] for each in entries(target)] == ["accept"]
    assert Reviews(target).add(decided("reject", reviewer="Björn"), after=1).number == 2


def test_decisions_of_many_threads_at_once_are_all_there(tmp_path: Path) -> None:
    def decide(number: int) -> None:
        Reviews(Bucket(tmp_path)).add(decided("redo", reviewer=f"reviewer {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decide, range(40)))
    history = Reviews(Bucket(tmp_path)).history(KEY)
    assert [each.number for each in history] == list(range(1, 41))
    assert {each.reviewer for each in history} == {f"reviewer {number}" for number in range(40)}
    shown = json.loads((tmp_path / review_key(KEY)).read_text())
    assert len(shown["decisions"]) == 40


def test_two_processes_at_once_lose_no_decision(tmp_path: Path) -> None:
    script = (
        "import sys; from oldphoto_core.reviews.decision import Decision\n"
        "from oldphoto_core.reviews.store import Reviews\n"
        "from oldphoto_core.storage import Bucket\n"
        "for n in range(15): Reviews(Bucket(sys.argv[1])).add("
        "Decision(key='a.png', verdict='redo', reviewer=f'{sys.argv[2]} {n}'))"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in ("one", "two")]
    assert [process.wait() for process in both] == [0, 0]
    assert len(Reviews(Bucket(tmp_path)).history("a.png")) == 30
    assert len(json.loads((tmp_path / "reviews/a.png.json").read_text())["decisions"]) == 30


def test_a_decision_whose_writer_was_killed_before_the_file_for_people_is_there_and_shown_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviews = Reviews(Bucket(tmp_path))
    with monkeypatch.context() as killed:
        killed.setattr(Reviews, "publish", lambda self, key: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reviews.add(decided("reject"))
    assert reviews.last(KEY).verdict == "reject"
    reviews.add(decided("accept"))
    assert len(json.loads((tmp_path / review_key(KEY)).read_text())["decisions"]) == 2


def test_a_reviewers_wrong_clock_does_not_change_which_decision_counts(tmp_path: Path) -> None:
    reviews = Reviews(Bucket(tmp_path))
    reviews.add(decided("accept", time="2099-01-01T00:00:00.000+00:00"))
    reviews.add(decided("reject", time="1970-01-01T00:00:00.000+00:00"))
    assert reviews.last(KEY).verdict == "reject"
    assert reviews.all()[0][KEY].verdict == "reject"


def test_a_corrected_mask_comes_back_pixel_for_pixel_and_earlier_ones_stay(tmp_path: Path, damage: np.ndarray) -> None:
    target = Bucket(tmp_path)
    reviews = Reviews(target)
    first = store_mask(target, KEY, damage)
    reviews.add(decided("redo", mask=first))
    second = store_mask(target, KEY, ~damage)
    reviews.add(decided("redo", mask=second))
    assert (stored_mask(target, KEY, first, (40, 60)) == damage).all()
    assert (read_mask(target.read(mask_of(KEY)), (40, 60)) == ~damage).all()
    reviews.add(decided("redo"))
    assert target.info(mask_of(KEY)) is None
    with pytest.raises(MaskMismatch):
        stored_mask(target, KEY, first, (60, 40))


def test_a_decision_that_names_a_mask_which_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="is not stored"):
        Reviews(Bucket(tmp_path)).add(decided("redo", mask="f" * 64))
    assert Reviews(Bucket(tmp_path)).all() == ({}, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "perhaps"}, {"reviewer": ""}, {"reviewer": "two\nlines"}, {"reviewer": "x" * 201}, {"seen": "abc"},
        {"mask": "../../etc/passwd"}, {"protected": ((0, 0, 0, 5),)}, {"protected": ((-1, 0, 5, 5),)},
        {"protected": ((0.5, 0, 5, 5),)}, {"protected": "all"}, {"note": "x" * 2001},
    ],
)  # fmt: skip
def test_a_decision_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        decided(**wrong)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "oldphoto-review/1"}', b'{"schema": "else"}'])
def test_a_file_that_is_no_decision_is_named_and_the_others_are_read(tmp_path: Path, content: bytes) -> None:
    target = Bucket(tmp_path)
    Reviews(target).add(decided("accept", key="good.png"))
    target.write("reviews/history/bad.png/00000001.json", content)
    decisions, problems = Reviews(target).all()
    assert list(decisions) == ["good.png"]
    assert problems[0].startswith("reviews/history/bad.png/00000001.json: ")
    with pytest.raises(DamagedDecision, match=r"bad\.png"):
        wishes_of(target)


def test_a_decision_moved_to_another_photo_is_no_decision_about_that_one(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    Reviews(target).add(decided("reject", key="a.png"))
    target.write("reviews/history/b.png/00000001.json", target.read("reviews/history/a.png/00000001.json"))
    with pytest.raises(DamagedDecision, match=r"decision 1 about a\.png"):
        Reviews(target).last("b.png")


def test_names_of_photos_that_look_like_our_folders_meet_nothing(tmp_path: Path) -> None:
    reviews = Reviews(Bucket(tmp_path))
    keys = ["a.png", "masks/a.png", "history/a.png", "history/history/a.png", "b.png.json.png"]
    for number, key in enumerate(keys):
        reviews.add(decided("accept", key=key, note=str(number)))
    assert {key: decision.note for key, decision in reviews.all()[0].items()} == {
        key: str(number) for number, key in enumerate(keys)
    }


# --- CSV -----------------------------------------------------------------------------------------------------------


def table(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, sorted({name for row in rows for name in row}))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def test_decisions_written_as_csv_and_read_again_change_nothing(tmp_path: Path) -> None:
    reviews = Reviews(Bucket(tmp_path))
    reviews.add(decided("redo", key="=1+1.png", note="=SUM(A1)", protected=((1, 2, 3, 4),)))
    reviews.add(decided("accept", key="b.png"))
    written = decisions_csv(reviews)
    assert b"'=1+1.png" in written
    result = import_csv(reviews, written, dict.fromkeys(["=1+1.png", "b.png"], ""))
    assert (result.stored, result.unchanged, result.refused) == (0, 2, ())
    assert len(reviews.history("=1+1.png")) == 1


def test_others_decide_in_a_table_and_name_the_reviewer_there_or_outside(tmp_path: Path) -> None:
    reviews = Reviews(Bucket(tmp_path))
    rows = table({"key": "a.png", "verdict": "Accept", "reviewer": "Ada"}, {"key": "b.png", "verdict": "redo"})
    assert import_csv(reviews, rows, dict.fromkeys(["a.png", "b.png"], ""), "Björn").stored == 2
    assert (reviews.last("a.png").reviewer, reviews.last("b.png").reviewer) == ("Ada", "Björn")


def test_a_mask_that_another_program_left_in_its_place_goes_along_with_redo(tmp_path: Path, damage: np.ndarray) -> None:
    target = Bucket(tmp_path)
    target.write(mask_of("a.png"), write_mask(damage))
    import_csv(Reviews(target), table({"key": "a.png", "verdict": "redo"}), {"a.png": ""}, "Ada")
    kept = Reviews(target).last("a.png").mask
    assert (stored_mask(target, "a.png", kept, (40, 60)) == damage).all()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"key;verdict\n", "no column key"),
        (b"\xff\xfe", "no CSV in UTF-8"),
        (table({"key": "a.png", "verdict": "maybe", "reviewer": "Ada"}), "line 2: verdict is 'maybe'"),
        (table({"key": "../../x.png", "verdict": "accept", "reviewer": "Ada"}), "line 2: no run of this target"),
        (table({"key": "a.png", "verdict": "accept"}), "line 2: reviewer is ''"),
        (table({"key": "a.png", "verdict": "accept", "reviewer": "A", "protected": "[[1]]"}), "line 2: protected"),
        (table({"key": "a.png", "verdict": "accept", "reviewer": "A", "number": "two"}), "line 2: number is 'two'"),
    ],
)
def test_of_a_table_with_one_wrong_row_nothing_is_stored(tmp_path: Path, rows: bytes, said: str) -> None:
    good = b"b.png,accept,Ada\n"
    reviews = Reviews(Bucket(tmp_path))
    with pytest.raises(UsageError, match=said):
        import_csv(reviews, rows, dict.fromkeys(["a.png", "b.png"], ""))
    assert good not in decisions_csv(reviews)
    assert reviews.count() == 0


def test_a_row_about_what_somebody_decided_since_is_refused_and_the_others_are_stored(tmp_path: Path) -> None:
    reviews = Reviews(Bucket(tmp_path))
    reviews.add(decided("accept", key="a.png", reviewer="Björn"))
    rows = [{"key": key, "verdict": "reject", "reviewer": "Ada", "number": "0"} for key in ("a.png", "b.png")]
    result = import_csv(reviews, table(*rows), dict.fromkeys(["a.png", "b.png"], ""))
    assert (result.stored, result.refused) == (1, ("a.png: decision 1 was made since, by Björn",))
    assert reviews.last("a.png").verdict == "accept"
