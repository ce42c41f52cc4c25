"""The published networks, layer by layer, so that their checkpoints fit."""
