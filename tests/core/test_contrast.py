"""Colours that are worked out can be read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.contrast import AA_RATIO, contrast, readable, text_on

COLORS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21), ("#ffffff", "#ffffff", 1), ("#777777", "#ffffff", 4.48)],
)
def test_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)


@settings(deadline=None)
@given(COLORS)
def test_text_on_any_brand_colour_reaches_aa(color: str) -> None:
    assert contrast(text_on(color), color) >= AA_RATIO


@settings(deadline=None)
@given(COLORS, st.sampled_from(["#ffffff", "#1c1e24"]))
def test_any_brand_colour_becomes_readable_on_a_card(color: str, card: str) -> None:
    assert contrast(readable(color, card), card) >= AA_RATIO


def test_a_colour_that_reads_already_is_left_alone() -> None:
    assert readable("#3b5bdb", "#ffffff") == "#3b5bdb"
