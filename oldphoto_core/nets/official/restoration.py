"""The published networks that restore a whole picture, as one network called like every other model."""

from __future__ import annotations

from torch import Tensor, nn

from oldphoto_core.nets.mapping import PaperMapping, PaperScratchMapping
from oldphoto_core.nets.vae import PaperVAE


class PublishedRestoration(nn.Module):
    """One encoder of old photos; a mapping and a decoder of their own for photos without and with scratches."""

    def __init__(self) -> None:
        super().__init__()
        self.vae_old = PaperVAE()
        self.vae_quality = PaperVAE()
        self.vae_scratch = PaperVAE()
        self.mapping_quality = PaperMapping()
        self.mapping_scratch: nn.Module = PaperScratchMapping(as_published=True)
        """May be replaced by `PatchAttentionMapping`, which is called alike."""

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image_N3HW` in [-1, 1] with damaged pixels white, `mask_N1HW` 1 = damaged or None -> N3HW in [-1, 1]."""
        latent = self.vae_old.encode(image)
        if mask is None:
            return self.vae_quality.decode(self.mapping_quality(latent))
        return self.vae_scratch.decode(self.mapping_scratch(latent, mask))

    def path(self, *, masked: bool) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Encoder, mapping and decoder of a picture with a mask or without."""
        if masked:
            return self.vae_old.encoder, self.mapping_scratch, self.vae_scratch.decoder
        return self.vae_old.encoder, self.mapping_quality, self.vae_quality.decoder
