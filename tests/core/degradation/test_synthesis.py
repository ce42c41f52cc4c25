"""Paired shards: what they hold, that they can be trusted, and that a rerun makes only what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import encoded, picture
from pair_folders import paired
from photos import album, photo

from oldphoto_core.degradation import (
    ArchiveRecipe,
    PublishedRecipe,
    ScratchMasks,
    degrade,
    open_pairs,
    read_pairs,
    recipe_from_record,
    write_pair_shard,
)
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
    assert np.array_equal(items[1]["toned"], crop)
    assert np.array_equal(items[1]["degraded"], aged.image)
    assert np.array_equal(items[1]["mask"], aged.mask)
    assert np.array_equal(items[1]["visible"], aged.visible)
    assert items[1]["recipe"]["operations"] == aged.record


def test_the_number_of_shards_does_not_change_an_item(tmp_path: Path) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 3)))
    few = plan_shards(clean, SynthesisConfig(count=6, pairs_per_shard=6))
    many = plan_shards(clean, SynthesisConfig(count=6, pairs_per_shard=2))
    together = make_item(photo(1), few[0], 4, few[0].keys[4])
    apart = make_item(photo(1), many[2], 4, many[2].keys[0])
    assert few[0].keys[4] == many[2].keys[0]
    assert np.array_equal(together[1].image, apart[1].image)


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


def test_a_shard_keeps_the_toned_photo_beside_the_clean_one(tmp_path: Path) -> None:
    clean, target = Bucket(album(tmp_path / "clean", 3)), Bucket(tmp_path / "pairs")
    shard = plan_shards(clean, replace(CONFIG, recipe=ArchiveRecipe()))[0]
    write_pair_shard(shard, clean, target)
    for number, item in enumerate(read_pairs(target, shard.name)):
        crop, made = make_item(photo(number), shard, number, shard.keys[number])
        assert np.array_equal(item["clean"], crop)
        assert np.array_equal(item["toned"], made.toned)


def of_format_2(pairs: Bucket) -> Bucket:
    """The sidecars of a folder as they were written before toned photos were kept."""
    for name in ("shard-000000", "shard-000001"):
        pairs.write(f"{name}.json", with_fields(format=2)(pairs.read(f"{name}.json")))
    return pairs


def test_shards_of_format_2_are_read_without_toned_photos(tmp_path: Path) -> None:
    config = replace(CONFIG, count=5, recipe=ArchiveRecipe())
    pairs = of_format_2(paired(Bucket(album(tmp_path / "clean", 3)), Bucket(tmp_path / "pairs"), config))
    assert not open_pairs(pairs).has_toned
    assert "toned" not in next(read_pairs(pairs, "shard-000000"))


def test_the_toned_photos_of_published_pairs_are_the_clean_ones_in_every_format(whole: Bucket) -> None:
    assert open_pairs(of_format_2(whole)).has_toned
    pair = next(read_pairs(whole, "shard-000000"))
    assert np.array_equal(pair["toned"], pair["clean"])


@pytest.fixture
def whole(tmp_path: Path) -> Bucket:
    """Three photos in two shards, with their index."""
    return paired(Bucket(album(tmp_path / "clean", 3)), Bucket(tmp_path / "pairs"), replace(CONFIG, count=5))


def test_a_folder_tells_of_which_photos_its_pairs_are(whole: Bucket, tmp_path: Path) -> None:
    clean, folder = Bucket(tmp_path / "clean"), open_pairs(whole)
    pairs = [pair for shard in folder.shards for pair in shard.pairs]
    assert [pair.key for pair in pairs] == [f"album-{number % 3:03d}.png" for number in range(5)]
    assert [pair.sha256 for pair in pairs] == [clean.sha256(pair.key) for pair in pairs]
    assert {shard.source for shard in folder.shards} == {clean.url}
    assert (folder.crop, recipe_from_record(folder.recipe)) == (48, RECIPE)
    lines = "".join(f"{whole.sha256(f'{name}.tar')}  {name}.tar\n" for name in ("shard-000000", "shard-000001"))
    assert folder.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_fields(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | fields).encode()


@pytest.mark.parametrize(
    ("key", "damage", "words"),
    [
        ("index.json", None, "has no index.json"),
        ("index.json", cut, "index.json is no list of shards"),
        ("shard-000001.json", None, "shard-000001.json is missing"),
        ("shard-000001.tar", None, "shard-000001.tar is missing"),
        ("shard-000001.json", cut, "is no sidecar"),
        ("shard-000001.tar", cut, r"shard-000001.tar has \d+ bytes of \d+"),
        ("shard-000001.json", with_fields(format=1), "has the format 1, and this version reads 2 or 3"),
        ("shard-000001.json", with_fields(sha256="00"), "made again after index.json was written"),
        ("shard-000001.json", with_fields(crop=32), "shard-000001 in .* made with another recipe or crop"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_before_a_pair_is_read(
    whole: Bucket, key: str, damage: Callable[[bytes], bytes] | None, words: str
) -> None:
    data = whole.read(key)
    whole.delete(key)
    if damage is not None:
        whole.write(key, damage(data))
    with pytest.raises(StorageError, match=words):
        open_pairs(whole)


def test_a_folder_without_pairs_is_told(whole: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="holds nothing; give a folder"):
        open_pairs(Bucket(tmp_path / "nothing"))
    for name in ("shard-000000", "shard-000001"):
        whole.write(f"{name}.json", with_fields(photos=[])(whole.read(f"{name}.json")))
    with pytest.raises(SourceMissing, match="no pairs in 2 shards"):
        open_pairs(whole)


def test_shards_of_an_earlier_format_are_not_read_but_made_again(tmp_path: Path) -> None:
    clean, target = Bucket(album(tmp_path / "clean", 1)), Bucket(tmp_path / "pairs")
    shard = plan_shards(clean, CONFIG)[0]
    before = write_pair_shard(shard, clean, target)
    target.write(f"{shard.name}.json", json.dumps({name: before[name] for name in ("shard", "digest")}).encode())
    with pytest.raises(StorageError, match="has the format 1, and this version reads 2 or 3"):
        list(read_pairs(target, shard.name))
    assert write_pair_shard(shard, clean, target) == before
