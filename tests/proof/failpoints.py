"""Notifier with a trapdoor round every commit: `python -m tests.proof.failpoints serve`.

Production code knows nothing of it. The program is the ordinary one, with three functions of
`notifier.store.group_commit` wrapped: when a point is passed whose name stands in the file
NOTIFIER_TEST_FAILPOINT_FILE, the process kills itself there. The file is renamed to `….reached`
first, so a test knows where it died; and since it is read each time, a point can be set while
the process runs.

Points are `<write>.before_begin` (the write waits, its transaction has not begun),
`<write>.before_commit` (its statements are done) and `<write>.after_commit` (it is committed, and
nobody has been told). A claim that found no mail passes no point behind its BEGIN.
"""

import ast
import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import notifier.store
from notifier.cli import main
from notifier.store import group_commit
from notifier.store.write_queue import Member, Write

MOMENTS: Final = ("before_begin", "before_commit", "after_commit")


def writes() -> dict[str, str]:
    """Every `Write` of the store by its name, with the name of the constant that holds it."""
    found: dict[str, str] = {}
    for info in pkgutil.walk_packages(notifier.store.__path__, "notifier.store."):
        if ".migrations" not in info.name:
            module = importlib.import_module(info.name)
            constants = vars(module).items()
            found |= {one.name: constant for constant, one in constants if isinstance(one, Write)}
    return found


def used_writes() -> list[str]:
    """Those that the rest of the house mentions: no process comes by the others."""
    root = Path(notifier.store.__path__[0]).parent
    mentioned: set[str] = set()
    for path in root.rglob("*.py"):
        if root / "store" not in path.parents:
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            mentioned |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return sorted(name for name, constant in writes().items() if constant in mentioned)


def set_trapdoors(file: Path) -> None:
    """Wrap the three functions."""
    transact, run, answer = (
        group_commit.GroupCommit._transact,
        group_commit._run,
        group_commit._answer,
    )

    def watched_transact(self: Any, connection: Any, take: Callable[[], list[Member]]) -> Any:
        with self._queue.changed:
            waiting = [*self._queue.waiting]
        _pass(file, "before_begin", waiting)

        def take_late() -> list[Member]:
            # One that came after the look: the transaction has begun, and has done nothing yet.
            group = take()
            _pass(file, "before_begin", group)
            return group

        return transact(self, connection, take_late)

    def watched_run(connection: Any, group: Sequence[Member]) -> None:
        run(connection, group)
        _pass(file, "before_commit", filter(_did_something, group))

    def watched_answer(group: Sequence[Member]) -> None:
        _pass(file, "after_commit", filter(_did_something, group))
        answer(group)

    group_commit.GroupCommit._transact = watched_transact  # type: ignore[method-assign]
    group_commit._run = watched_run
    group_commit._answer = watched_answer


def _pass(file: Path, moment: str, members: Iterable[Member]) -> None:
    """Die if this is the point that is set."""
    names = {f"{member.write.name}.{moment}" for member in members}
    if names and file.exists() and file.read_text() in names:
        file.rename(file.with_suffix(".reached"))
        os.kill(os.getpid(), signal.SIGKILL)


def _did_something(member: Member) -> bool:
    if member.error is not None:
        return False
    return member.write.name != "claim" or bool(getattr(member.result, "mails", member.result))


if __name__ == "__main__":
    set_trapdoors(Path(os.environ["NOTIFIER_TEST_FAILPOINT_FILE"]))
    sys.exit(main())
