"""The operator's tools on the configured store."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from notifier.flows.operator import Operator
from notifier.settings import Settings
from notifier.store.beside import beside


@contextmanager
def open_operator(settings: Settings) -> Iterator[Operator]:
    """Beside whatever runs. Raises Misconfigured where there is no store of this release."""
    with beside(settings.database, settings.data_dir) as store:
        yield Operator(store, timedelta(seconds=settings.dispatch.life_s))
