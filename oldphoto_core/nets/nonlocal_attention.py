"""The partial nonlocal block (section 3.3): what is damaged is filled from everything that is intact.

s_ij = (1 - m_j) f_ij / sum_k (1 - m_k) f_ik with f_ij = exp(theta(F_i)^T phi(F_j)), O_i = W(sum_j s_ij g(F_j)).
That is attention whose damaged keys are masked out, so `scaled_dot_product_attention` computes it in memory linear in
the number of positions; the N x N matrix of the published code (16 GiB at one megapixel) is never formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ALIGNED = 8
"""Channels added where one would do: kernels with linear memory ask for multiples of eight."""
MOST_KEYS = 16384
"""Intact positions that are looked at, at most: a sample, so that time does not grow with the picture's square."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What may be looked at: keys and values of M positions, 1 x 1 x M x C each."""

    keys: Tensor
    values: Tensor

    def __len__(self) -> int:
        return self.keys.shape[2]

    def sampled(self, most: int = MOST_KEYS) -> Evidence:
        """At most so many positions: the same picture gives the same sample."""
        return self if len(self) <= most else self.at(drawn(len(self), most))

    def at(self, places: Tensor) -> Evidence:
        """Those positions alone."""
        places = places.to(self.keys.device)
        return Evidence(self.keys[:, :, places], self.values[:, :, places])

    @staticmethod
    def joined(parts: Sequence[Evidence]) -> Evidence:
        """One after the other; at least one part."""
        return Evidence(torch.cat([part.keys for part in parts], 2), torch.cat([part.values for part in parts], 2))


SEED = 0
"""Of the only draw in a restoration."""


def drawn(count: int, most: int = MOST_KEYS) -> Tensor:
    """Which of `count` positions are kept when `most` may be, in order; the seed is fixed."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))[:most].sort().values


_shared: ContextVar[dict[nn.Module, Evidence] | None] = ContextVar("shared_evidence", default=None)


@contextmanager
def shared_evidence() -> Iterator[None]:
    """Forward passes inside belong to one picture: what the first one finds intact is what all of them look at.

    So a sample of tiles spread over the picture goes first, as one batch, and then each tile by itself.
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


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
        shared = _shared.get()
        if shared is not None:
            if self not in shared:
                shared[self] = self.evidence(features, mask).sampled()
            return self.fill(features, mask, shared[self])
        if len(features) > 1 and not self.floor:
            return self._batch(features, mask)
        pictures = zip(torch.split(features, 1), torch.split(mask, 1), strict=True)
        return torch.cat([self.fill(one, damage, self._own(one, damage)) for one, damage in pictures])

    def _own(self, features: Tensor, mask: Tensor) -> Evidence:
        evidence = self.evidence(features, mask)
        # the published form looks at everything, whatever it costs
        return evidence if self.floor else evidence.sampled()

    def _batch(self, features: Tensor, mask: Tensor) -> Tensor:
        """All pictures of a training batch at once, asked everywhere."""
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

    def evidence(self, features: Tensor, mask: Tensor) -> Evidence:
        """Of all pictures together: their intact positions.

        With a floor, damaged positions too: all keys compete, but the values of damaged ones are zero, and a further
        value of 1 counts what is intact.
        """
        if self.floor:
            intact = 1 - mask
            keys = F.pad(self.phi(features), (0, 0, 0, 0, 0, ALIGNED))
            values = torch.cat([self.g(features) * intact, intact.expand(-1, ALIGNED, -1, -1)], dim=1)
            return Evidence(_together(keys), _together(values))
        looked_at = _positions(features)[:, :, (mask < 0.5).flatten()].unsqueeze(-1)
        if not looked_at.numel():
            # a convolution refuses a picture without a position
            return Evidence(*2 * [features.new_zeros(1, 1, 0, self.phi.out_channels)])
        return Evidence(_tokens(self.phi(looked_at)), _tokens(self.g(looked_at)))

    def candidates(self, mask: Tensor) -> int:
        """How many positions `evidence` finds under such a mask."""
        return mask.numel() if self.floor else int((mask < 0.5).sum())

    def fill(self, features: Tensor, mask: Tensor, evidence: Evidence) -> Tensor:
        """NCHW -> NCHW: the evidence is asked everywhere, or under the mask alone and the result is zero elsewhere."""
        asking = _positions(features).unsqueeze(-1)
        if not self.damaged_only:
            output = self._answer(asking, evidence)
        else:
            damaged = (mask >= 0.5).flatten()
            output = torch.zeros_like(asking)
            if damaged.any():
                output[:, :, damaged] = self._answer(asking[:, :, damaged], evidence)
        return output.view(features.shape[1], len(features), *features.shape[2:]).transpose(0, 1)

    def _answer(self, asking: Tensor, evidence: Evidence) -> Tensor:
        if not len(evidence):
            return torch.zeros_like(asking)
        queries = self.theta(asking)
        if self.floor:
            queries = F.pad(queries, (0, 0, 0, 0, 0, ALIGNED))
        gathered = F.scaled_dot_product_attention(_tokens(queries), evidence.keys, evidence.values, scale=self.scale)
        if self.floor:
            gathered = gathered[..., :-ALIGNED] / gathered[..., -1:].clamp_min(self.floor)
        output: Tensor = self.W(_picture(gathered, asking))
        return output


def _positions(x: Tensor) -> Tensor:
    """NCHW -> 1 x C x NHW."""
    return x.flatten(2).transpose(0, 1).flatten(1).unsqueeze(0)


def _together(x: Tensor) -> Tensor:
    """NCHW -> 1 x 1 x NHW x C."""
    return _tokens(_positions(x).unsqueeze(-1))


def _tokens(x: Tensor) -> Tensor:
    """NCHW -> N x 1 head x HW x C, C contiguous: with any other stride torch falls back to forming the N x N matrix."""
    return x.flatten(2).transpose(1, 2).contiguous().unsqueeze(1)


def _picture(tokens: Tensor, like: Tensor) -> Tensor:
    """N x 1 x HW x C -> NCHW of the same N, H, W as `like`."""
    return tokens.squeeze(1).transpose(1, 2).reshape(len(like), -1, *like.shape[2:])
