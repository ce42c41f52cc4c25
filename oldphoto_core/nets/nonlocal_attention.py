"""The partial nonlocal block (section 3.3): what is damaged is filled from everything that is intact.

s_ij = (1 - m_j) f_ij / sum_k (1 - m_k) f_ik with f_ij = exp(theta(F_i)^T phi(F_j)), O_i = W(sum_j s_ij g(F_j)).
That is attention whose damaged keys are masked out, so `scaled_dot_product_attention` computes it in memory linear in
the number of positions; the N x N matrix of the published code (16 GiB at one megapixel) is never formed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ALIGNED = 8
"""Channels added where one would do: kernels with linear memory ask for multiples of eight."""


class PartialNonlocal(nn.Module):
    """O of the paper, before fusion: NCHW features, `mask_N1HW` (1 = damaged) -> NCHW; zero if nothing is intact."""

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        scaled: bool = False,
        damaged_only: bool = False,
        floor: float = 0.0,
    ) -> None:
        """`scaled` divides the scores by sqrt(inner): the published block does not, the compact one does.

        `damaged_only`: the caller uses O under the mask alone, so a single picture need not be asked anywhere else.
        `floor`: the least that the sum over k is taken to be, relative to the same sum with damaged keys; the published
        code has 1e-12 there, so a position that resembles damage alone fades to W's bias.
        """
        super().__init__()
        self.floor = floor
        self.damaged_only = damaged_only
        inner = inner or channels
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.W = nn.Conv2d(inner, channels, 1)
        self.scale = None if scaled else 1.0

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Queries, keys and values from `features`; keys under the mask carry no weight at all."""
        if self.floor:
            return self._with_a_floor(features, mask)
        if self.damaged_only and len(features) == 1:
            return self._under_the_mask(features, mask)
        intact = (mask < 0.5).flatten(1)
        # a picture without one intact position has no evidence: attend anywhere, then drop the result
        hopeless = ~intact.any(dim=1)
        allowed = intact | hopeless[:, None]
        gathered = F.scaled_dot_product_attention(
            _tokens(self.theta(features)), _tokens(self.phi(features)), _tokens(self.g(features)),
            attn_mask=allowed[:, None, None, :], scale=self.scale,
        )  # fmt: skip
        gathered = gathered.masked_fill(hopeless[:, None, None, None], 0.0)
        output: Tensor = self.W(_picture(gathered, features))
        return output

    def _with_a_floor(self, features: Tensor, mask: Tensor) -> Tensor:
        """All keys compete, the values of damaged ones are zero, and a further value of 1 counts what is intact."""
        intact = 1 - mask
        theta, phi = (F.pad(layer(features), (0, 0, 0, 0, 0, ALIGNED)) for layer in (self.theta, self.phi))
        values = torch.cat([self.g(features) * intact, intact.expand(-1, ALIGNED, -1, -1)], dim=1)
        gathered = F.scaled_dot_product_attention(_tokens(theta), _tokens(phi), _tokens(values), scale=self.scale)
        shares = gathered[..., -1:].clamp_min(self.floor)
        output: Tensor = self.W(_picture(gathered[..., :-ALIGNED] / shares, features))
        return output

    def _under_the_mask(self, features: Tensor, mask: Tensor) -> Tensor:
        """The same for damaged queries and intact keys alone: damaged x intact pairs, not N x N; zero elsewhere."""
        damaged = (mask >= 0.5).flatten()
        output = torch.zeros_like(features)
        if not damaged.any() or damaged.all():
            return output
        flat = features.flatten(2)
        evidence = flat[..., ~damaged].unsqueeze(-1)
        asking = flat[..., damaged].unsqueeze(-1)
        gathered = F.scaled_dot_product_attention(
            _tokens(self.theta(asking)), _tokens(self.phi(evidence)), _tokens(self.g(evidence)), scale=self.scale
        )
        answer = self.W(_picture(gathered, asking))
        filled = output.flatten(2)
        filled[..., damaged] = answer.squeeze(-1)
        return filled.view_as(features)


def _tokens(x: Tensor) -> Tensor:
    """NCHW -> N x 1 head x HW x C, C contiguous: with any other stride torch falls back to forming the N x N matrix."""
    return x.flatten(2).transpose(1, 2).contiguous().unsqueeze(1)


def _picture(tokens: Tensor, like: Tensor) -> Tensor:
    """N x 1 x HW x C -> NCHW of the same N, H, W as `like`."""
    return tokens.squeeze(1).transpose(1, 2).reshape(len(like), -1, *like.shape[2:])
