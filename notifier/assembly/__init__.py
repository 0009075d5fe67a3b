"""The composition root: the one place that knows everybody. Opens in order, closes in reverse."""

from notifier.assembly.keys import open_keys
from notifier.assembly.process import Role, migrate, run

__all__ = ["Role", "migrate", "open_keys", "run"]
