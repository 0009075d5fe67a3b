"""In which order the writes of a group run: the same in all groups, or two could deadlock."""

import pkgutil
from collections import Counter
from importlib import import_module

from notifier import store
from notifier.store.write_queue import Write


def test_no_two_writes_have_the_same_rank() -> None:
    modules = [
        import_module(f"{store.__name__}.{m.name}") for m in pkgutil.iter_modules(store.__path__)
    ]
    writes = {
        one.name: one.rank for m in modules for one in vars(m).values() if isinstance(one, Write)
    }
    assert len(writes) > 10
    assert [rank for rank, times in Counter(writes.values()).items() if times > 1] == []
