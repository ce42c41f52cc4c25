"""Y -> X: clean photographs degraded by typed and seeded recipes.

from oldphoto_core.degradation import ArchiveRecipe, degrade, item_rng
made = degrade(clean_HWC, ArchiveRecipe(), item_rng(7, "album/photo.jpg"))
made.clean, made.toned, made.image, made.mask
"""

from oldphoto_core.degradation.archive import ArchiveRecipe
from oldphoto_core.degradation.film_recipes import has_film_damage, held_out_film_damage, with_film_damage
from oldphoto_core.degradation.mixed import MixedRecipe
from oldphoto_core.degradation.pair_folder import PairFolder, PairPhoto, ShardFile, open_pairs, read_pairs, read_shard
from oldphoto_core.degradation.pairs import PairShard, write_pair_shard
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import Degraded, Recipe, degrade, item_rng, toned, turned_grey
from oldphoto_core.degradation.registry import RECIPES, recipe_from_record, recipe_named, recipe_record
from oldphoto_core.degradation.structured import ScratchMasks, paint_white, scratch_mask

__all__ = [
    "RECIPES",
    "ArchiveRecipe",
    "Degraded",
    "MixedRecipe",
    "PairFolder",
    "PairPhoto",
    "PairShard",
    "PublishedRecipe",
    "Recipe",
    "ScratchMasks",
    "ShardFile",
    "degrade",
    "has_film_damage",
    "held_out_film_damage",
    "item_rng",
    "open_pairs",
    "paint_white",
    "read_pairs",
    "read_shard",
    "recipe_from_record",
    "recipe_named",
    "recipe_record",
    "scratch_mask",
    "toned",
    "turned_grey",
    "with_film_damage",
    "write_pair_shard",
]
