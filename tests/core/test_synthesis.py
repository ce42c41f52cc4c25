"""Paired shards: what they hold, that they can be trusted, and that a rerun makes only what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import encoded, picture
from photos import album, photo

from oldphoto_core.degradation import PublishedRecipe, ScratchMasks, degrade, read_pairs, write_pair_shard
from oldphoto_core.degradation.pairs import PairShard, make_item
from oldphoto_core.degradation.synthesis import SynthesisConfig, plan_shards, synthesize_shards
from oldphoto_core.errors import ConfigError, SourceMissing, StorageError, UsageError
from oldphoto_core.storage import Bucket

RECIPE = PublishedRecipe(scratches=ScratchMasks(probability=1.0))
CONFIG = SynthesisConfig(count=7, seed=3, crop=48, pairs_per_shard=3, recipe=RECIPE)


def digests(bucket: Bucket) -> dict[str, bytes]:
    return {entry.key: bucket.read(entry.key) for entry in bucket.list() if entry.key.endswith(".tar")}


def test_a_shard_gives_back_what_the_recipe_made(tmp_path: Path, bucket_url: str) -> None:
    clean, target = Bucket(str(album(tmp_path / "clean", 3))), Bucket(bucket_url)
    shard = plan_shards(clean, CONFIG)[0]
    write_pair_shard(shard, clean, target)
    items = list(read_pairs(target, shard.name))
    crop, aged = make_item(photo(1), shard, 1, "album-001.png")
    assert len(items) == 3
    assert np.array_equal(items[1]["clean"], crop)
    assert np.array_equal(items[1]["degraded"], aged.image)
    assert np.array_equal(items[1]["mask"], aged.mask)
    assert items[1]["recipe"]["operations"] == aged.record


def test_the_number_of_shards_does_not_change_an_item(tmp_path: Path) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 3)))
    few = plan_shards(clean, SynthesisConfig(count=6, pairs_per_shard=6))
    many = plan_shards(clean, SynthesisConfig(count=6, pairs_per_shard=2))
    together = make_item(photo(1), few[0], 4, few[0].keys[4])
    apart = make_item(photo(1), many[2], 4, many[2].keys[0])
    assert few[0].keys[4] == many[2].keys[0]
    assert np.array_equal(together[1].image, apart[1].image)


@pytest.mark.slow
def test_dask_makes_every_shard_and_a_rerun_makes_none(tmp_path: Path) -> None:
    clean, target = Bucket(str(album(tmp_path / "clean", 3))), Bucket(str(tmp_path / "pairs"))
    shards = plan_shards(clean, CONFIG)
    first = synthesize_shards(shards, clean, target, lambda sidecar: None)
    made = digests(target)
    assert (first["pairs"], first["made"], first["shards"]) == (7, 7, 3)
    assert len(json.loads(target.read("index.json"))["shards"]) == 3

    target.delete("shard-000001.tar")
    second = synthesize_shards(shards, clean, target, lambda sidecar: None)
    assert second["made"] == 3
    assert digests(target) == made


@pytest.mark.parametrize("bits", [8, 16])
def test_a_crop_of_a_large_photo_is_the_same_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    clean = Bucket(tmp_path / "clean")
    clean.write("a.tif", encoded(picture(bits=bits), ".tif"))
    clean.write("b.png", encoded(picture(channels=1, seed=2), ".png"))
    shard = PairShard(index=0, first=0, keys=("a.tif", "b.png"), crop=32)
    write_pair_shard(shard, clean, Bucket(tmp_path / "memory"))
    for name in ("IN_MEMORY_BYTES", "IN_MEMORY_MEGAPIXELS"):
        monkeypatch.setattr(f"oldphoto_core.degradation.pairs.{name}", 0)
        write_pair_shard(shard, clean, Bucket(tmp_path / name))
        assert digests(Bucket(tmp_path / name)) == digests(Bucket(tmp_path / "memory"))


def test_another_seed_makes_a_finished_shard_again(tmp_path: Path) -> None:
    clean, target = Bucket(str(album(tmp_path / "clean", 2))), Bucket(str(tmp_path / "pairs"))
    first = PairShard(index=0, first=0, keys=("album-000.png",), seed=1, crop=32)
    assert write_pair_shard(first, clean, target)["made"]
    assert not write_pair_shard(first, clean, target)["made"]
    assert write_pair_shard(PairShard(index=0, first=0, keys=("album-000.png",), seed=2, crop=32), clean, target)[
        "made"
    ]


def test_an_unreadable_photo_is_left_out_and_named(tmp_path: Path) -> None:
    folder = album(tmp_path / "clean", 2)
    (folder / "album-001.png").write_bytes(b"not a picture")
    clean, target = Bucket(str(folder)), Bucket(str(tmp_path / "pairs"))
    sidecar = write_pair_shard(plan_shards(clean, SynthesisConfig())[0], clean, target)
    assert sidecar["items"] == 1
    assert list(sidecar["failed"]) == ["album-001.png"]


def test_a_shard_whose_bytes_changed_is_refused(tmp_path: Path) -> None:
    clean, target = Bucket(str(album(tmp_path / "clean", 1))), Bucket(str(tmp_path / "pairs"))
    shard = plan_shards(clean, SynthesisConfig(crop=32))[0]
    write_pair_shard(shard, clean, target)
    target.write(f"{shard.name}.tar", target.read(f"{shard.name}.tar")[:-1] + b"x")
    with pytest.raises(StorageError, match="does not match"):
        list(read_pairs(target, shard.name))


def test_a_target_inside_the_source_is_refused(tmp_path: Path) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 1)))
    with pytest.raises(UsageError, match="overlap"):
        synthesize_shards([], clean, clean.join("pairs"), lambda sidecar: None)


def test_an_empty_source_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceMissing, match="holds no photos"):
        plan_shards(Bucket(str(tmp_path / "empty")), SynthesisConfig())


def test_a_synthesis_refuses_nonsense() -> None:
    with pytest.raises(ConfigError, match="count"):
        SynthesisConfig(count=-1)
    with pytest.raises(ConfigError, match="crop"):
        PairShard(index=0, first=0, keys=("a.png",), crop=3)


def test_degradation_takes_a_crop_smaller_than_asked_whole() -> None:
    shard = PairShard(index=0, first=0, keys=("a.png",), crop=512)
    crop, aged = make_item(photo(1, 40, 50), shard, 0, "a.png")
    assert crop.shape == (40, 50, 3)
    assert np.array_equal(aged.image, make_item(photo(1, 40, 50), shard, 0, "a.png")[1].image)
    assert degrade(crop, shard.recipe, np.random.default_rng(0)).image.shape == crop.shape
