"""Colours that can be read on one another (WCAG 2.2, success criterion 1.4.3). `#rrggbb` only."""

AA_RATIO = 4.5
_STEPS = 40
_TEXTS = ("#ffffff", "#111111", "#000000")


def luminance(color: str) -> float:
    """Relative luminance, 0 (black) to 1 (white), as WCAG defines it."""
    red, green, blue = (_linear(channel) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def text_on(background: str) -> str:
    """The first of white, near-black and black that reaches AA on `background`; one always does."""
    return next(c for c in _TEXTS if contrast(c, background) >= AA_RATIO)


def readable(color: str, background: str, *, ratio: float = AA_RATIO) -> str:
    """`color`, moved towards black or white only as far as it takes to reach `ratio`."""
    goal = "#000000" if luminance(background) > 0.18 else "#ffffff"
    for step in range(_STEPS):
        moved = _mix(color, goal, step / _STEPS)
        if contrast(moved, background) >= ratio:
            return moved
    return goal


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _mix(color: str, goal: str, share: float) -> str:
    pairs = zip(_channels(color), _channels(goal), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
