"""A short run of the judge's fuzzer."""

from __future__ import annotations

import random

import pytest
from fuzz_judge import step


@pytest.mark.parametrize("seed", range(150))
def test_properties_hold_for_any_draw(seed: int) -> None:
    draw = random.Random(seed)
    step(draw)
    step(draw)
