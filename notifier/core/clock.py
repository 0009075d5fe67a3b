"""Time as an argument: everything that needs `now` is given a `Clock`."""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the current time as an aware UTC datetime. Tests pass one that they can move."""
