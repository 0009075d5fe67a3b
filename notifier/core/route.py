"""The two ways a mail can leave: to the world, or to the capture server only."""

from typing import Literal

Route = Literal["live", "test"]
