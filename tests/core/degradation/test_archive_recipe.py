"""The recipe `archive` as a whole, what both recipes have in common, and that `published` is what it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from photos import album, photo

from oldphoto_core.degradation import (
    RECIPES,
    ArchiveRecipe,
    MixedRecipe,
    PairShard,
    PublishedRecipe,
    ScratchMasks,
    degrade,
    item_rng,
    read_pairs,
    recipe_from_record,
    recipe_named,
    recipe_record,
    toned,
    turned_grey,
    write_pair_shard,
)
from oldphoto_core.degradation.archive import Ageing, Damage, Making, Operation, Scanning
from oldphoto_core.degradation.archive.blending import stands_out
from oldphoto_core.degradation.archive.losses import Holes
from oldphoto_core.degradation.archive.operation import Share
from oldphoto_core.degradation.archive.scratches import Scratches
from oldphoto_core.degradation.archive.texture import Grain
from oldphoto_core.degradation.archive.tone import Fading
from oldphoto_core.degradation.recipe import NamedSeeds
from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation import EvaluationConfig, summarise, to_markdown
from oldphoto_core.evaluation.compare import baseline_methods, compare, crops
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config
from oldphoto_core.training.config import config_from_record

CLEAN = photo(5, 128, 128)


def never(phase: Making | Ageing | Damage | Scanning) -> dict[str, Operation]:
    return {operation.name: replace(operation, probability=0.0) for operation in phase.operations()}


def only(**damage: Operation) -> ArchiveRecipe:
    """Every photo is damaged by what is given, and nothing else happens."""
    return ArchiveRecipe(
        damaged=1.0 if damage else 0.0,
        making=Making(**never(Making())),  # type: ignore[arg-type]
        ageing=Ageing(**never(Ageing())),  # type: ignore[arg-type]
        damage=Damage(**(never(Damage()) | damage)),  # type: ignore[arg-type]
        scanning=Scanning(**never(Scanning())),  # type: ignore[arg-type]
    )


def many(recipe: ArchiveRecipe, count: int = 120, side: int = 64) -> list[np.ndarray]:
    return [degrade(photo(item, side, side), recipe, item_rng(3, item)).mask for item in range(count)]


def test_the_published_recipe_is_what_it_was() -> None:
    # renewed once, when each operation's draws came from a seed of its own name; the ranges are what they were
    digest = hashlib.sha256()
    for item in range(8):
        aged = degrade(
            photo(item, 128, 128), PublishedRecipe(scratches=ScratchMasks(probability=1.0)), item_rng(7, item)
        )
        digest.update(aged.image.tobytes() + aged.mask.tobytes())
    assert digest.hexdigest() == "07caca282d73dfbe0f0a59b026cef262f88f933a61bb05155fd2bfdc59fe92f2"
    shard = PairShard(index=0, first=0, keys=("a.png",))
    assert shard.digest == "928fcf65783bd041d800b26204e888ae8b6c8e020753b63f4b24318b4f33ad31"


def test_an_item_is_the_same_whatever_was_made_before_it() -> None:
    alone = degrade(CLEAN, ArchiveRecipe(), item_rng(7, "b.jpg"))
    degrade(CLEAN, ArchiveRecipe(), item_rng(7, "a.jpg"))
    again = degrade(CLEAN, ArchiveRecipe(), item_rng(7, "b.jpg"))
    assert np.array_equal(alone.image, again.image)
    assert np.array_equal(alone.mask, again.mask)
    assert alone.record == again.record


def test_another_seed_or_another_name_is_another_item() -> None:
    images = [degrade(CLEAN, ArchiveRecipe(), item_rng(*name)).image for name in ((7, "a"), (8, "a"), (7, "b"))]
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_the_clean_photo_itself_is_never_written_to() -> None:
    before = CLEAN.copy()
    for item in range(5):
        degrade(CLEAN, ArchiveRecipe(), item_rng(item))
    assert np.array_equal(CLEAN, before)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (7, 300, 3), (300, 7, 3), (17, 5, 3)], ids=str)
def test_photos_of_any_size_can_be_made_old(shape: tuple[int, int, int]) -> None:
    for item in range(12):
        aged = degrade(np.full(shape, 99, np.uint8), ArchiveRecipe(), item_rng(item))
        assert aged.image.shape == shape
        assert aged.image.dtype == np.uint8
        assert aged.mask.shape == shape[:2]


def test_every_photo_gets_several_operations_and_most_some_damage() -> None:
    damage = {operation.name for operation in Damage().operations()}
    records = [degrade(photo(1, 32, 32), ArchiveRecipe(), item_rng(1, item)).record for item in range(300)]
    names = [[drawn["operation"] for drawn in record] for record in records]
    assert np.mean([bool(damage & set(each)) for each in names]) == pytest.approx(0.65, abs=0.09)
    assert np.mean([len(set(each) - damage) for each in names]) > 3.5
    possible = {operation.name for operation in ArchiveRecipe().operations() if operation.probability > 0}
    assert {name for each in names for name in each} == possible


def test_operations_happen_in_the_order_of_a_photographs_life() -> None:
    order = [operation.name for operation in ArchiveRecipe().operations()]
    for item in range(30):
        happened = [drawn["operation"] for drawn in degrade(CLEAN, ArchiveRecipe(), item_rng(item)).record]
        assert happened == sorted(happened, key=lambda name: order.index(str(name)))


def test_a_recipe_without_probabilities_changes_nothing() -> None:
    untouched = degrade(CLEAN, only(), item_rng(1))
    assert np.array_equal(untouched.image, CLEAN)
    assert untouched.record == []
    assert not untouched.mask.any()


def test_damage_alone_leaves_every_pixel_outside_its_mask_nearly_as_it_was() -> None:
    for item in range(5):
        aged = degrade(CLEAN, only(scratches=Scratches(probability=1.0)), item_rng(item))
        difference = cv2.absdiff(aged.image, CLEAN).max(axis=2)
        assert (difference[~aged.mask] <= 12).all()
        assert (difference[aged.mask] > 12).all()


def test_damage_keeps_its_own_look_and_is_not_painted_white() -> None:
    aged = degrade(CLEAN, only(scratches=Scratches(probability=1.0, dark=1.0)), item_rng(3))
    assert aged.mask.any()
    assert aged.image[aged.mask].mean() < CLEAN[aged.mask].mean()


def test_the_mask_still_covers_the_damage_after_the_scan() -> None:
    recipe = only(scratches=Scratches(probability=1.0, opacity=(1.0, 1.0)))
    scanned = replace(recipe, scanning=Scanning(low_resolution=replace(Scanning().low_resolution, probability=1.0)))
    for item in range(5):
        sharp, soft = (degrade(CLEAN, each, item_rng(item)).mask for each in (recipe, scanned))
        assert (sharp <= soft).all()


def test_the_visible_part_of_the_mask_is_most_of_it_and_no_more() -> None:
    for item in range(40):
        aged = degrade(photo(item, 128, 128), ArchiveRecipe(damaged=1.0), item_rng(5, item))
        assert not (aged.visible & ~aged.mask).any()
    strong = degrade(CLEAN, only(scratches=Scratches(probability=1.0, opacity=(1.0, 1.0))), item_rng(5, "strong"))
    assert strong.visible.sum() > 0.8 * strong.mask.sum()


def test_a_hole_in_a_white_sky_is_damage_that_cannot_be_seen() -> None:
    sky = np.full((96, 96, 3), 246, np.uint8)
    holed = [degrade(sky, only(holes=Holes(probability=1.0)), item_rng(5, item)) for item in range(12)]
    white = [aged for aged in holed if aged.record[0]["background"] == "white"]
    for aged in white:  # the grey fibres around it can be seen
        assert not (aged.visible & (aged.image > 240).all(axis=2)).any()
    assert sum((aged.mask & ~aged.visible).sum() for aged in white) > 0


def test_a_faint_scratch_is_visible_on_a_calm_picture_and_hidden_in_a_restless_one() -> None:
    rng = np.random.default_rng(0)
    restless = rng.integers(0, 256, (96, 96, 1)).repeat(3, axis=2).astype(np.uint8)
    calm = np.full_like(restless, 120)
    changed = np.zeros((96, 96), np.uint8)
    changed[40:43] = 25
    assert stands_out(calm, changed).sum() == 3 * 96
    assert stands_out(restless, changed).mean() < 0.001


def test_an_undamaged_recipe_has_nothing_to_fill() -> None:
    assert not any(mask.any() for mask in many(ArchiveRecipe().undamaged(), 40))
    assert PublishedRecipe().undamaged() == PublishedRecipe()


def test_masks_cover_as_much_of_a_large_picture_as_of_a_small_one() -> None:
    recipe = replace(only(scratches=Scratches(probability=1.0)), damage=Damage())
    small, large = many(recipe, 25, 128), many(recipe, 25, 512)
    # a pixel of the small picture that is partly covered counts as a whole one
    blocks = [mask.reshape(128, 4, 128, 4).any(axis=(1, 3)) for mask in large]
    assert np.mean(blocks) == pytest.approx(np.mean(small), rel=0.3)


@pytest.mark.parametrize("nonsense", [{"damaged": 1.2}, {"severity": (0.0, 1.0)}, {"severity": (1.0,)}], ids=str)
def test_a_recipe_refuses_nonsense_and_names_the_field(nonsense: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(nonsense))):
        ArchiveRecipe(**nonsense)  # type: ignore[arg-type]


def test_damage_that_can_never_happen_is_refused() -> None:
    with pytest.raises(ConfigError, match="no damage has a probability"):
        ArchiveRecipe(damage=Damage(**never(Damage())))  # type: ignore[arg-type]


def drawn_by(recipe: ArchiveRecipe, item: int) -> dict[str, object]:
    """What each operation drew for an item, by its name."""
    return {str(drawn["operation"]): drawn for drawn in degrade(CLEAN, recipe, item_rng(3, item)).record}


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterGrain(Grain):
    """An operation that is added to the recipe."""

    name: ClassVar[str] = "later_grain"
    probability: Share = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterMaking(Making):
    """The phase with that operation in it."""

    later_grain: LaterGrain = field(default_factory=LaterGrain)


def test_an_operation_that_is_added_changes_no_draw_of_the_others() -> None:
    for item in range(12):
        before, after = (drawn_by(recipe, item) for recipe in (ArchiveRecipe(), ArchiveRecipe(making=LaterMaking())))
        assert after.pop("later_grain")
        assert after == before


def test_what_an_operation_draws_does_not_depend_on_how_often_others_happen() -> None:
    without = replace(ArchiveRecipe(), making=replace(Making(), grain=Grain(probability=0.0)))
    for item in range(12):
        before, after = drawn_by(ArchiveRecipe(), item), drawn_by(without, item)
        before.pop("grain", None)
        assert after == before


def test_names_are_shuffled_in_an_order_that_another_name_does_not_change() -> None:
    orders = set()
    for item in range(40):
        before, after = (NamedSeeds(item_rng(item)).shuffled(names) for names in (list("abc"), list("dabc")))
        assert [name for name in after if name != "d"] == before
        orders.add("".join(before))
    assert len(orders) == 6


def test_an_operation_that_a_record_does_not_know_never_happens() -> None:
    record = json.loads(json.dumps(recipe_record(ArchiveRecipe())))
    del record["making"]["grain"], record["severity"]
    recipe = recipe_from_record(record)
    assert recipe == replace(ArchiveRecipe(), making=replace(Making(), grain=Grain(probability=0.0)))


def test_a_mixed_record_survives_new_operations_in_both_of_its_recipes() -> None:
    record = json.loads(json.dumps(recipe_record(MixedRecipe())))
    del record["archive"]["damage"]["hairs"], record["published"]["scratches"]
    recipe = recipe_from_record(record)
    assert isinstance(recipe, MixedRecipe)
    assert recipe.archive.damage.hairs.probability == recipe.published.scratches.probability == 0.0
    assert recipe.archive.damage.dust == Damage().dust


def test_an_operation_of_a_later_version_is_refused_unless_it_never_happens() -> None:
    record = json.loads(json.dumps(recipe_record(ArchiveRecipe())))
    record["making"]["solarisation"] = {"probability": 0.0}
    assert recipe_from_record(record) == ArchiveRecipe()
    record["making"]["solarisation"]["probability"] = 0.2
    with pytest.raises(ConfigError, match="Making of a recorded recipe has 'solarisation'"):
        recipe_from_record(record)


@pytest.mark.parametrize("monochrome", [False, True])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_toned_photo_alone_is_that_of_the_whole_degradation(name: str, monochrome: bool) -> None:
    recipe, kept = recipe_named(name), CLEAN.copy()
    for item in range(12):
        made = degrade(CLEAN, recipe, item_rng(4, item), monochrome=monochrome)
        assert np.array_equal(made.toned, toned(CLEAN, recipe, item_rng(4, item), monochrome=monochrome))
        assert np.array_equal(made.clean, turned_grey(CLEAN) if monochrome else CLEAN)
    assert np.array_equal(kept, CLEAN)


def test_the_toned_photo_has_the_tone_of_the_degraded_one_and_the_structure_of_the_clean_one() -> None:
    tones = {operation.name for operation in ArchiveRecipe().operations() if operation.is_tone}
    assert tones == {"fading", "yellowing", "toning", "silver_mirroring", "uneven_light", "vignette"}
    never_structure = replace(
        ArchiveRecipe(damaged=0.0),
        making=replace(Making().never(), vignette=Making().vignette, toning=Making().toning),
        scanning=replace(Scanning().never(), uneven_light=Scanning().uneven_light),
    )
    for item in range(20):
        made = degrade(CLEAN, never_structure, item_rng(item))
        assert np.array_equal(made.toned, made.image)


def test_the_published_recipe_leaves_tone_alone() -> None:
    assert np.array_equal(degrade(CLEAN, PublishedRecipe(probability=1.0), item_rng(1)).toned, CLEAN)


def test_a_monochrome_photo_is_degraded_in_one_channel_at_full_noise() -> None:
    noisy = only()
    noisy = replace(noisy, making=replace(noisy.making, grain=Grain(probability=1.0, density=(0.17, 0.17))))
    grey = np.full((96, 96, 3), 120, np.uint8)
    single, colour = (degrade(grey, noisy, item_rng(2), monochrome=how).image for how in (True, False))
    assert single.std() == pytest.approx(colour.std(), rel=0.01)
    for item in range(12):
        made = degrade(CLEAN, ArchiveRecipe(), item_rng(item), monochrome=True)
        assert all((picture == picture[..., :1]).all() for picture in (made.clean, made.toned, made.image))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_survives_its_record(name: str) -> None:
    recipe = recipe_named(name)
    assert recipe_record(recipe)["recipe"] == name
    assert recipe_from_record(json.loads(json.dumps(recipe_record(recipe)))) == recipe


def test_a_changed_recipe_survives_the_record_of_a_training() -> None:
    recipe = ArchiveRecipe(damaged=0.5, ageing=Ageing(fading=Fading(loss=(0.0, 0.2))))
    config = default_config("mapping", recipe=recipe)
    assert config_from_record(json.loads(json.dumps(config.record()))) == config


def test_a_shard_holds_real_looking_damage_with_its_mask(tmp_path: Path) -> None:
    clean, target = Bucket(str(album(tmp_path / "clean", 3))), Bucket(str(tmp_path / "pairs"))
    keys = ("album-000.png", "album-001.png", "album-002.png")
    shard = PairShard(index=0, first=0, keys=keys, crop=64, recipe=ArchiveRecipe(damaged=1.0))
    sidecar = write_pair_shard(shard, clean, target)
    assert sidecar["recipe"]["recipe"] == "archive"
    items = list(read_pairs(target, shard.name))
    assert len(items) == 3
    assert all(item["recipe"]["operations"] for item in items)
    assert shard.digest != replace(shard, recipe=ArchiveRecipe(damaged=0.9)).digest


def test_an_evaluation_takes_the_recipes_own_damage_or_none(tmp_path: Path) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 4)))
    plain = EvaluationConfig(recipe="archive", crop=64, holdout=None)
    damaged = replace(plain, scratched=True)
    keys = [f"album-{number:03d}.png" for number in range(4)]
    assert not any(crop.mask.any() for crop in crops(clean, keys, plain))
    assert any(crop.mask.any() for crop in crops(clean, keys, damaged))
    table = to_markdown(summarise(compare(clean, baseline_methods(), damaged)), damaged)
    assert "Recipe archive, seed 7" in table
    assert "with the recipe's damage and its masks" in table


def test_well_kept_photos_lose_less_detail_and_as_much_tone() -> None:
    recipe, kept = ArchiveRecipe(), ArchiveRecipe().well_kept()
    for phase in ("making", "ageing", "damage", "scanning"):
        for name, before in getattr(recipe, phase).by_name().items():
            after = getattr(kept, phase).by_name()[name].probability
            spared = phase in ("making", "scanning") and not before.is_tone and name not in ("grain", "jpeg")
            assert after == pytest.approx(before.probability * (0.25 if spared else 1.0)), name


def test_well_kept_photos_have_finer_grain_and_compression_than_any_other() -> None:
    recipe, kept = ArchiveRecipe(), ArchiveRecipe().well_kept()
    assert 0 < kept.making.grain.density[0] < kept.making.grain.density[1] == recipe.making.grain.density[0]
    assert 100 > kept.scanning.jpeg.quality[0] > kept.scanning.jpeg.quality[1] == recipe.scanning.jpeg.quality[0]


def test_well_kept_photos_are_a_recipe_that_users_can_name() -> None:
    assert recipe_named("well-kept") == ArchiveRecipe().well_kept()
    assert recipe_from_record(recipe_record(recipe_named("well-kept"))) == ArchiveRecipe().well_kept()


def test_mixed_shows_some_photos_that_are_well_kept() -> None:
    recipe = MixedRecipe(published_share=0.0)
    records = [recipe.degrade(photo(1), item_rng(1, number)).record for number in range(60)]
    grains = [drawn["density"] for record in records for drawn in record if drawn["operation"] == "grain"]
    assert 0.2 < np.mean(np.array(grains) < recipe.archive.making.grain.density[0]) < 0.8


def test_a_record_from_before_well_kept_photos_has_none() -> None:
    record = json.loads(json.dumps(recipe_record(MixedRecipe())))
    del record["well_kept_share"]
    assert recipe_from_record(record) == MixedRecipe(well_kept_share=0.0)


def test_a_share_of_no_well_kept_photos_leaves_every_other_photo_as_it_was() -> None:
    clean, none, some = photo(1), MixedRecipe(well_kept_share=0.0), MixedRecipe(well_kept_share=0.3)
    same = sum(
        np.array_equal(none.degrade(clean, item_rng(2, n)).image, some.degrade(clean, item_rng(2, n)).image)
        for n in range(30)
    )
    assert 15 < same < 30
