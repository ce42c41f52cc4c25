"""Tiles cover a picture once, with context all around."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oldphoto_core.nets.tiles import cut, spread


@given(st.sampled_from([4, 8]), st.integers(0, 20), st.integers(1, 40), st.integers(1, 600))
def test_insides_are_the_side_and_every_inside_has_its_halo(multiple: int, halos: int, extra: int, sides: int) -> None:
    halo, side = halos * multiple, sides * multiple
    window = 2 * halo + extra * multiple
    spans = cut(side, window, halo, multiple)
    assert [span.inside_start for span in spans] == [0, *(span.inside_stop for span in spans[:-1])]
    assert spans[-1].inside_stop == side
    for span in spans:
        assert span.start % multiple == 0
        assert 0 <= span.start < span.stop <= side
        assert span.start == 0 or span.inside_start - span.start >= halo
        assert span.stop == side or span.stop - span.inside_stop >= halo


@given(st.integers(1, 30), st.integers(1, 600))
def test_all_tiles_have_one_size_within_the_window(extra: int, sides: int) -> None:
    spans = cut(sides * 8, 224 + extra * 8, 112, 8)
    assert len({span.stop - span.start for span in spans}) == 1
    assert spans[0].stop <= 224 + extra * 8


def test_a_side_that_fits_is_one_tile() -> None:
    (span,) = cut(800, 800, 112, 8)
    assert (span.start, span.stop, span.inside_start, span.inside_stop) == (0, 800, 0, 800)


def test_a_window_of_halo_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="halo"):
        cut(1000, 224, 112, 8)


def test_samples_reach_from_one_end_to_the_other() -> None:
    assert spread(1000, 200, 5, 8) == [0, 200, 400, 600, 800]
    assert spread(1000, 200, 1, 8) == [400]
    assert spread(200, 200, 3, 8) == [0]
