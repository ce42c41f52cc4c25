"""Y -> X: clean photographs made old, from typed and seeded recipes.

from oldphoto_core.degradation import PublishedRecipe, degrade, item_rng
aged = degrade(clean_HWC, PublishedRecipe(), item_rng(7, "album/photo.jpg"))
"""

from oldphoto_core.degradation.pairs import PairShard, read_pairs, write_pair_shard
from oldphoto_core.degradation.recipe import RECIPES, Degraded, PublishedRecipe, degrade, item_rng, recipe_named
from oldphoto_core.degradation.structured import ScratchMasks, paint_white, scratch_mask

__all__ = [
    "RECIPES",
    "Degraded",
    "PairShard",
    "PublishedRecipe",
    "ScratchMasks",
    "degrade",
    "item_rng",
    "paint_white",
    "read_pairs",
    "recipe_named",
    "scratch_mask",
    "write_pair_shard",
]
