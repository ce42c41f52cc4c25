"""Networks that only compute: two autoencoders, a latent mapping, discriminators; presets `compact` and `paper`."""

from oldphoto_core.nets.presets import PRESETS, Preset, Triplet, count_flops, count_parameters, preset_named

__all__ = ["PRESETS", "Preset", "Triplet", "count_flops", "count_parameters", "preset_named"]
