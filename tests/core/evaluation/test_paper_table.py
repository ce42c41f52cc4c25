"""The paper's table: what a budget buys, what is kept, how the numbers are written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from photos import album, photo

from oldphoto_core.errors import ConfigError, SourceMissing, TrainingError
from oldphoto_core.evaluation.paper import ROWS, PaperConfig, make_plan, rows_named
from oldphoto_core.evaluation.paper.kept import SPEED, Kept
from oldphoto_core.evaluation.paper.layout import COLUMNS, to_latex, to_markdown
from oldphoto_core.evaluation.paper.table import photos_of, restore_row, write_table
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config
from oldphoto_core.training.progress.pace import cpu_seconds_a_step, shortened

CONFIG = PaperConfig(budget=1800)


def planned(folder: Path, rows: list[str], config: PaperConfig = CONFIG, cost: float = 0.5):
    here = Bucket(folder)
    return make_plan(config, rows_named(rows), here, here, here, timed=lambda stage: cost)


def test_the_stages_of_a_row_share_its_budget_as_they_share_a_usual_training(tmp_path: Path) -> None:
    steps = planned(tmp_path, ["ours"]).steps["ours"]
    usual = {config.stage: config.steps for config in CONFIG.stages(ROWS["ours"])}
    assert steps.keys() == usual.keys() == {"vae_old", "vae_clean", "mapping", "joint", "tone"}
    assert sum(steps.values()) * 0.5 == pytest.approx(1800, rel=0.01)
    assert all(
        steps[stage] / usual[stage] == pytest.approx(steps["mapping"] / usual["mapping"], rel=0.01) for stage in steps
    )


def test_every_trained_row_gets_the_same_budget(tmp_path: Path) -> None:
    rows = ["pix2pix", "cyclegan", "attention", "no-joint", "one-network", "one-autoencoder"]
    plan = planned(tmp_path, rows)
    paid = {row: sum(count for stage, count in steps.items()) for row, steps in plan.steps.items()}
    free = plan.steps["one-autoencoder"]["vae_clean"]  # a copy of the other one
    assert paid["one-autoencoder"] - free == pytest.approx(3600, rel=0.01)
    assert all(paid[row] == pytest.approx(3600, rel=0.01) for row in rows[:-1])


def test_a_plan_stays_as_it_was_when_it_is_asked_for_again(tmp_path: Path) -> None:
    first = planned(tmp_path, ["pix2pix"])
    again = planned(tmp_path, ["pix2pix", "attention"], cost=2.0)
    assert again.steps["pix2pix"] == first.steps["pix2pix"]
    assert again.steps["attention"]["attention"] == 900
    with pytest.raises(TrainingError, match=r"other settings \(budget was 1800, now 60\)"):
        planned(tmp_path, ["pix2pix"], PaperConfig(budget=60))
    Bucket(tmp_path).write("plan.json", b"[]")
    with pytest.raises(TrainingError, match="is no plan of a table"):
        planned(tmp_path, ["pix2pix"])


def test_terms_of_a_shortened_stage_begin_at_the_same_share_of_it() -> None:
    config = shortened(default_config("vae_old"), 300)
    assert (config.steps, config.latent_adversarial.start, config.kl.warm, config.warm_up) == (300, 50, 50, 5)
    assert (config.validate_every, config.checkpoint_every) == (75, 30)


def test_a_step_costs_time(tmp_path: Path) -> None:
    photos = Bucket(album(tmp_path, 5))
    config = default_config("attention", batch=2, crop=32, canvas=0, crops_of_canvas=1)
    assert cpu_seconds_a_step(config, photos, photos, steps=1) > 0


def test_a_kept_result_is_not_made_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def darker(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        calls.append(1)
        return image // 2

    kept, nothing = Kept(darker, Bucket(tmp_path)), np.zeros((96, 112), bool)
    first = kept(photo(1), nothing)
    many = len(calls)
    assert np.array_equal(Kept(darker, Bucket(tmp_path))(photo(1), nothing), first)
    assert len(calls) == many
    assert np.array_equal(first, photo(1) // 2)
    other = nothing.copy()
    other[0, 0] = True
    kept(photo(1), other)
    assert len(calls) == many + 1
    assert kept.milliseconds_per_megapixel > 0
    assert Bucket(tmp_path).info(SPEED) is not None
    Kept(darker, Bucket(tmp_path / "real"), is_timed=False)(photo(1), nothing)
    assert len(calls) == many + 2


def test_a_damaged_kept_result_is_made_again(tmp_path: Path) -> None:
    kept, nothing = Kept(lambda image, mask: image, Bucket(tmp_path)), np.zeros((96, 112), bool)
    kept(photo(1), nothing)
    name = next(path for path in tmp_path.glob("*.png"))
    name.write_bytes(b"none")
    assert np.array_equal(kept(photo(1), nothing), photo(1))


def test_rows_without_training_make_a_table_by_themselves(tmp_path: Path) -> None:
    clean, old = Bucket(album(tmp_path / "clean", 6)), Bucket(album(tmp_path / "old", 5, first=50))
    out, config, rows = Bucket(tmp_path / "out"), replace(CONFIG, evaluated=64), rows_named(["opencv", "sequential"])
    done: list[int] = []
    for row in rows:
        restore_row(clean, old, out, row, config, lambda: done.append(1))
    assert len(done) == sum(photos_of(clean, old, row, config) for row in rows)
    text = write_table(clean, old, out, rows, config)
    assert [line.split(" | ")[0] for line in text.splitlines()[4:7]] == [
        "| degraded input", "| OpenCV", "| sequential: denoise, inpaint, sharpen"
    ]  # fmt: skip
    assert "NIQE was not measured: naturalness is fitted on sharp patches" in text
    assert {"table.md", "table.csv", "table.tex", "table.png", "table.json"} <= {entry.key for entry in out.list()}
    assert json.loads(out.read("table.json"))["rows"] == ["input", "opencv", "sequential"]


def test_latex_and_markdown_say_what_was_not_measured() -> None:
    row = dict.fromkeys((name for name, _, _ in COLUMNS), float("nan")) | {
        "method": "50% & more_",
        "psnr": 20.126,
        "photos": 3,
    }
    table = pd.DataFrame([row])
    assert "| 50% & more_ | - | 20.13 | - |" in to_markdown(table, CONFIG)
    assert r"50\% \& more\_ & - & 20.13 & - &" in to_latex(table, CONFIG)
    assert "30 CPU minutes of training a row" in to_latex(table, CONFIG)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    few = Bucket(album(tmp_path, 2))
    with pytest.raises(ConfigError, match="no row is called 'best'; there are: input, opencv"):
        rows_named(["best"])
    with pytest.raises(ConfigError, match="budget is 0 s"):
        PaperConfig(budget=0)
    with pytest.raises(SourceMissing, match="no photo to evaluate on"):
        photos_of(few, few, ROWS["input"], CONFIG)
