"""Rivals trained by the same loop: what pix2pix does not need, two generators and what they made before."""

from oldphoto_core.training.rivals.cyclegan import CycleGanStage

__all__ = ["CycleGanStage"]
