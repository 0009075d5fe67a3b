"""The two ways a mail can leave: to the world, or to the capture server only."""

from typing import Final, Literal

Route = Literal["live", "test"]

ROUTES: Final[tuple[Route, ...]] = ("live", "test")
