"""Images that a generator made in earlier steps, for its critic (Shrivastava et al., CVPR 2017; Zhu et al., ICCV 2017).

A critic that sees the newest images alone forgets what it had learned, and the game goes round in circles.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImageHistory(nn.Module):
    """Room for images of one size, as buffers, so that a checkpoint holds them and a resumed training sees them."""

    images: Tensor
    filled: Tensor

    def __init__(self, room: int, crop: int) -> None:
        super().__init__()
        # whole levels as in a file: a quarter of the bytes, and no critic tells them apart
        self.register_buffer("images", torch.zeros(room, 3, crop, crop, dtype=torch.uint8))
        self.register_buffer("filled", torch.zeros(1, dtype=torch.int64))

    def mixed(self, made: Tensor, noise: torch.Generator) -> Tensor:
        """`made_N3HW` with about half of its images replaced by earlier ones, drawn by `noise`.

        None is replaced before the history is full. The history stays as it is: parts of a batch may ask at once.
        """
        if int(self.filled) < len(self.images):
            return made
        drawn = torch.randint(len(self.images), (len(made),), generator=noise, device=made.device)
        earlier = self.images[drawn.to(self.images.device)].to(made) / 127.5 - 1.0
        new = torch.rand(len(made), generator=noise, device=made.device) < 0.5
        return torch.where(new[:, None, None, None], made, earlier)

    def add(self, batches: Sequence[Tensor], seed: int) -> None:
        """Keeps images N3HW in [-1, 1]: first in free places, then in place of some that `seed` draws."""
        draw = torch.Generator().manual_seed(seed)
        for image in torch.cat(list(batches)).to(self.images.device):
            place = int(self.filled)
            if place < len(self.images):
                self.filled += 1
            else:
                place = int(torch.randint(len(self.images), (1,), generator=draw))
            self.images[place] = ((image + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
