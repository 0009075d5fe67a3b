"""Who holds leases, and whether he still lives: one locked file per dispatcher on SQLite."""

from pathlib import Path

from notifier.store.file_lock import FileLock


class Owners:
    """Lease owners on one machine.

    A dispatcher locks `<db>.owners/<owner>` for as long as it runs. The kernel lets go when it
    dies, however it dies, so that its leases can be freed at the next start instead of after
    30 s. On PostgreSQL (`path` is None) owners live on many machines: their leases run out.
    """

    def __init__(self, path: Path | None) -> None:
        self._folder = None if path is None else path.with_name(path.name + ".owners")
        self._mine: dict[str, FileLock] = {}

    def announce(self, owner: str) -> None:
        """Say that `owner` lives, until `close`."""
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(self._folder / owner)
        if not lock.try_hold():
            raise ValueError(f"{owner} is held by somebody else")
        self._mine[owner] = lock

    def is_dead(self, owner: str) -> bool:
        """Whether `owner` was announced here once and does not live any more."""
        if self._folder is None or owner in self._mine:
            return False
        path = self._folder / owner
        if not path.exists():
            return True
        lock = FileLock(path)
        try:
            return lock.try_hold()
        finally:
            lock.close()

    def dead(self) -> list[str]:
        """Everybody who was announced here, was not buried, and does not live any more.

        An owner whose leases must be freed left his file behind; who ended in order left none.
        """
        if self._folder is None or not self._folder.is_dir():
            return []
        names = sorted(path.name for path in self._folder.iterdir())
        return [name for name in names if self.is_dead(name)]

    def bury(self, owner: str) -> None:
        """Remove the file of a dead owner."""
        if self._folder is not None:
            (self._folder / owner).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of what was announced here."""
        for owner, lock in self._mine.items():
            self.bury(owner)
            lock.close()
        self._mine.clear()
