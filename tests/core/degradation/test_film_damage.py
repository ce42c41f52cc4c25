"""Film damage: real outlines that the user gives, which part of them training draws, and what bad libraries get."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outlines import outlines_folder
from photos import album, photo

from oldphoto_core.degradation import (
    ArchiveRecipe,
    MixedRecipe,
    PublishedRecipe,
    degrade,
    has_film_damage,
    held_out_film_damage,
    item_rng,
    read_pairs,
    recipe_from_record,
    recipe_record,
    with_film_damage,
    write_pair_shard,
)
from oldphoto_core.degradation.archive import Damage, FilmDamage, outlines, outlines_digest
from oldphoto_core.degradation.archive.outlines import Outlines, load_outlines
from oldphoto_core.degradation.pairs import PairShard
from oldphoto_core.errors import ConfigError, SourceMissing, StorageError, TrainingError
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.config import config_from_record
from oldphoto_core.training.provenance import with_outlines
from oldphoto_core.training.run import configs_for

CLEAN = photo(3, 128, 128)
TINY: dict[str, Any] = {
    "steps": 2, "batch": 2, "crop": 32, "canvas": 64, "validate_every": 2, "validation_crops": 2, "warm_up": 1,
}  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Bucket:
    return Bucket(str(outlines_folder(tmp_path / "outlines")))


def loaded(library: Bucket, part: outlines.Part) -> Outlines:
    return load_outlines(library.url, outlines_digest(library), part)


def shapes(part: Outlines) -> set[bytes]:
    return {outline.tobytes() for group in part.by_class.values() for outline in group}


def test_without_a_library_film_damage_never_happens_and_with_one_it_does(library: Bucket) -> None:
    without, given = ArchiveRecipe(), with_film_damage(ArchiveRecipe(), library)
    happened = {True: 0, False: 0}
    for item in range(40):
        for recipe in (without, given):
            drawn = [each["operation"] for each in degrade(CLEAN, recipe, item_rng(1, item)).record]
            happened[recipe is given] += "film_damage" in drawn
    assert happened[False] == 0
    assert 2 < happened[True] < 30


def test_a_library_changes_no_draw_of_the_other_operations(library: Bucket) -> None:
    given = with_film_damage(ArchiveRecipe(damaged=1.0), library)
    for item in range(12):
        before, after = (
            [each for each in degrade(CLEAN, recipe, item_rng(1, item)).record if each["operation"] != "film_damage"]
            for recipe in (ArchiveRecipe(damaged=1.0), given)
        )
        # damage that was drawn only because nothing else had happened gives way to film damage
        assert [each for each in before if each in after] == after


def test_an_operation_that_happens_without_a_library_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"FilmDamage.outlines names no library"):
        FilmDamage(probability=0.5)
    with pytest.raises(ConfigError, match=r"FilmDamage.part is 'test'; choose training or held_out"):
        FilmDamage(part="test")  # type: ignore[arg-type]


def test_only_a_recipe_that_has_the_operation_takes_a_library(library: Bucket) -> None:
    mixed = with_film_damage(MixedRecipe(), library)
    assert mixed.archive.damage.film_damage.outlines == library.url
    assert not has_film_damage(PublishedRecipe())
    with pytest.raises(ConfigError, match="the recipe published has no operation film_damage"):
        with_film_damage(PublishedRecipe(), library)


def test_ranges_that_were_changed_stay_when_a_library_is_given(library: Bucket) -> None:
    few = ArchiveRecipe(damage=replace(Damage(), film_damage=FilmDamage(count=(1, 2))))
    given = with_film_damage(few, library).damage.film_damage
    assert (given.count, given.outlines_sha256) == ((1, 2), outlines_digest(library))


def test_an_outline_is_for_training_or_held_out_and_a_larger_library_moves_none(
    library: Bucket, tmp_path: Path
) -> None:
    training, held_out = loaded(library, "training"), loaded(library, "held_out")
    assert len(training) + len(held_out) == 120
    assert 8 <= len(held_out) <= 40
    assert not shapes(training) & shapes(held_out)
    larger = Bucket(str(outlines_folder(tmp_path / "larger")))
    larger.write("scan-3.json", json.dumps([{"class": "Dust", "points": [[5, 5], [9, 5], [7, 900]]}]).encode())
    assert shapes(held_out) <= shapes(loaded(larger, "held_out"))


def test_the_recipe_for_tables_draws_held_out_outlines_alone_in_every_photo(library: Bucket) -> None:
    recipe = held_out_film_damage(library)
    assert recipe.damage.film_damage.part == "held_out"
    for item in range(8):
        made = degrade(CLEAN, recipe, item_rng(1, item))
        assert [each["operation"] for each in made.record] == ["film_damage"]
        assert made.mask.any()


def test_a_recipe_with_a_library_survives_its_record_and_an_older_record_has_none(library: Bucket) -> None:
    recipe = with_film_damage(MixedRecipe(), library)
    record = json.loads(json.dumps(recipe_record(recipe)))
    assert recipe_from_record(record) == recipe
    del record["archive"]["damage"]["film_damage"]
    assert recipe_from_record(record) == MixedRecipe()


def test_outlines_that_changed_are_refused(library: Bucket) -> None:
    recipe = held_out_film_damage(library)
    library.write("scan-3.json", b"[]")
    with pytest.raises(StorageError, match="are not those with the sha256"):
        degrade(CLEAN, recipe, item_rng(1))


@pytest.mark.parametrize(
    "content",
    [
        b"no json", b"{}{", b'{"class": 1}', b"[1]", b'[{"class": "Dust"}]', b'[{"class": "Dust", "points": "abc"}]',
        b'[{"class": "Dust", "points": [[1, 2], [3, NaN], [5, 6]]}]', b'[{"class": "Dust", "points": [[1], [2, 3]]}]',
        b'[{"class": "Dust", "points": [[1, 2], [3, 1e300], [5, 6]]}]', b"[" * 100_000,
    ],
    ids=lambda content: content[:60].decode(),
)  # fmt: skip
def test_a_file_that_is_no_list_of_outlines_is_named(tmp_path: Path, content: bytes) -> None:
    library = Bucket(str(tmp_path))
    library.write("scan.json", content)
    with pytest.raises(ConfigError, match=r"scan.json is no list of outlines"):
        loaded(library, "training")


def test_a_file_that_unpacks_to_more_than_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "MOST_BYTES", 1000)
    library = Bucket(str(tmp_path))
    library.write("scan.json.gz", gzip.compress(b"[" + b" " * 2000 + b"]"))
    with pytest.raises(ConfigError, match="more than 1000 bytes"):
        loaded(library, "training")
    library.write("scan.json.gz", b"\x1f\x8b damaged")
    with pytest.raises(ConfigError, match=r"scan.json.gz is no list of outlines"):
        loaded(library, "training")


def test_a_library_without_outlines_is_told(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no outlines")
    with pytest.raises(SourceMissing, match="holds no outlines"):
        with_film_damage(ArchiveRecipe(), Bucket(str(tmp_path)))
    library = Bucket(str(tmp_path))
    library.write("scan.json", b'[{"class": "Dust", "points": [[1, 2], [3, 4]]}]')
    with pytest.raises(ConfigError, match="no outline for the part 'training'"):
        loaded(library, "training")


def test_shards_hold_film_damage_and_say_of_which_outlines(tmp_path: Path, bucket_url: str) -> None:
    library = Bucket(bucket_url)
    for path in outlines_folder(tmp_path / "outlines").iterdir():
        library.write(path.name, path.read_bytes())
    clean, target = Bucket(str(album(tmp_path / "clean", 3))), Bucket(str(tmp_path / "pairs"))
    recipe = held_out_film_damage(library)
    sidecar = write_pair_shard(PairShard(index=0, first=0, keys=("album-000.png",), recipe=recipe), clean, target)
    (pair,) = read_pairs(target, sidecar["shard"])
    assert pair["mask"].any()
    assert recipe_from_record(sidecar["recipe"]) == recipe
    assert sidecar["recipe"]["damage"]["film_damage"]["outlines_sha256"] == outlines_digest(library)


def test_stages_whose_recipe_has_no_film_damage_train_without_outlines(library: Bucket) -> None:
    given = {config.stage for config in configs_for("all", "paper", outlines=library.url) if config.outlines}
    assert given == {"scratches", "tone"}
    with pytest.raises(ConfigError, match="the recipe published has no operation film_damage"):
        [with_outlines(config) for config in configs_for("mapping", "paper", outlines=library.url)]
    with pytest.raises(ConfigError, match="give outlines to `oldphoto synthesize`"):
        default_config("scratches", outlines=library.url, pairs="pairs")


def test_a_training_records_its_outlines_and_goes_on_with_no_others(library: Bucket, tmp_path: Path) -> None:
    clean, out = Bucket(str(album(tmp_path / "clean", 6))), Bucket(str(tmp_path / "out"))
    config = default_config("scratches", **TINY, outlines=library.url)
    result = train_stage(config, clean, None, out)
    recorded = config_from_record(json.loads(json.dumps(result["config"])))
    assert recorded.outlines == library.url
    assert isinstance(recorded.recipe, ArchiveRecipe)
    assert recorded.recipe.damage.film_damage.outlines_sha256 == outlines_digest(library)
    assert train_stage(config, clean, None, out)["steps"] == 2
    library.write("scan-3.json", b"[]")
    with pytest.raises(TrainingError, match="recipe was"):
        train_stage(config, clean, None, out)


def test_a_training_begun_before_there_was_film_damage_is_not_gone_on_with_it(library: Bucket, tmp_path: Path) -> None:
    clean, out = Bucket(str(album(tmp_path / "clean", 6))), Bucket(str(tmp_path / "out"))
    config = default_config("scratches", **TINY)
    train_stage(config, clean, None, out)
    place = out.join("scratches")
    begun = json.loads(place.read("config.json"))
    del begun["recipe"]["damage"]["film_damage"], begun["outlines"]
    place.write("config.json", json.dumps(begun).encode())
    assert train_stage(config, clean, None, out)["steps"] == 2
    with pytest.raises(TrainingError, match="other settings"):
        train_stage(replace(config, outlines=library.url), clean, None, out)


def test_the_real_library_has_thousands_of_outlines_of_each_part(shared_data: Path) -> None:
    folder = shared_data / "film_damage"
    if not folder.is_dir():
        pytest.skip("OLDPHOTO_TEST_DATA has no film_damage/")
    library = Bucket(str(folder))
    training, held_out = loaded(library, "training"), loaded(library, "held_out")
    assert set(training.by_class) == {"Dust", "Dirt", "Short hair", "Long hair", "Scratch"}
    assert len(training) > 4 * len(held_out) * 0.9
    assert len(held_out) > 1000
    masked = [float(degrade(CLEAN, held_out_film_damage(library), item_rng(1, item)).mask.mean()) for item in range(12)]
    assert 0.0005 < np.mean(masked) < 0.2
