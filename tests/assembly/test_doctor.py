"""What the doctor finds, and that each finding has its remedy."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from notifier.assembly.doctor import machine, store
from notifier.assembly.doctor.check import Check
from notifier.assembly.doctor.examine import examine, of_settings
from notifier.assembly.doctor.listeners import of_listeners
from notifier.assembly.doctor.machine import file_system_of, folds_headers_safely, of_data_dir
from notifier.assembly.doctor.relays import of_relays
from notifier.assembly.doctor.store import of_store
from notifier.settings import Settings
from notifier.settings.sections import DatabaseSettings
from notifier.store.checkup import ServerReport, server_report


def settings(folder: Path, **sections: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, **sections})


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    found = list(checks)
    assert all(check.remedy for check in found if check.mark != "ok" and check.about != "settings")
    return {check.about: check for check in found}


def test_folding_is_judged_by_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmailMessage, "as_bytes", lambda _: b"Subject: hello\nBcc: evil@x\n\n")
    assert not folds_headers_safely()
    monkeypatch.setattr(EmailMessage, "as_bytes", lambda _: b"Subject: hello\n\n")
    assert folds_headers_safely()


def test_a_good_data_folder_is_good_in_all_ways(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = by_name(of_data_dir(tmp_path))
    assert {check.mark for about, check in found.items() if about != "disk_sync"} == {"ok"}
    assert set(found) == {"data_dir", "disk_space", "file_locks", "disk_sync"}
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    check = by_name(of_data_dir(tmp_path))["data_dir"]
    assert check.mark == "warning"
    assert check.remedy == f"chmod 700 {tmp_path}"


def test_a_data_folder_to_be_made_is_looked_for_above(tmp_path: Path) -> None:
    (check,) = of_data_dir(tmp_path / "a" / "b")
    assert (check.mark, "first start makes it" in check.says) == ("ok", True)


def test_a_network_file_system_is_no_place_for_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(machine, "_MOUNTS", mounts)
    assert file_system_of(tmp_path) == "nfs4"
    assert file_system_of(Path("/")) == "ext4"
    assert by_name(of_data_dir(tmp_path))["file_system"].mark == "failed"


def test_little_room_is_a_warning_and_none_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for megabytes, mark in ((50, "failed"), (500, "warning"), (5000, "ok")):
        usage = (10**12, 0, megabytes * 1024 * 1024)
        kind = type("Usage", (), dict(zip(("total", "used", "free"), usage, strict=True)))
        monkeypatch.setattr(shutil, "disk_usage", lambda _, kind=kind: kind)
        assert by_name(of_data_dir(tmp_path))["disk_space"].mark == mark


def test_a_store_that_answers_is_good_on_each_database(
    database: DatabaseSettings, tmp_path: Path
) -> None:
    found = by_name(of_store(settings(tmp_path, database=database)))
    assert found["database"].mark == "ok"
    assert "revision" in found["database"].says
    assert found["delivery"].mark == "warning"
    assert ("sqlite" in found) is not ("fsync" in found)


def test_a_schema_that_is_missing_names_the_command(
    empty_database: DatabaseSettings, tmp_path: Path
) -> None:
    found = by_name(of_store(settings(tmp_path, database=empty_database)))
    missing = found["database"]
    assert (missing.mark, "cannot be used" in missing.says) in {
        ("failed", False),
        ("warning", False),
    }
    assert "`notifier " in (missing.remedy or "")


def test_a_database_that_is_away_is_a_failure_without_its_password(tmp_path: Path) -> None:
    away = {"url": "postgresql://me:hunter2@127.0.0.1:1/x"}
    check = by_name(of_store(settings(tmp_path, database=away)))["database"]
    assert check.mark == "failed"
    assert "hunter2" not in check.says


def test_a_server_that_does_not_sync_is_a_failure(postgres_url: str) -> None:
    report = _report(postgres_url)
    for name in ("fsync", "full_page_writes"):
        broken = {**report.settings, name: "off"}
        found = {one.about: one for one in store._server(replace(report, settings=broken))}
        assert found[name].mark == "failed"
    lax = replace(report, synchronous_commit="off")
    assert {one.about: one.mark for one in store._server(lax)}["synchronous_commit"] == "failed"
    old = replace(report, major=13)
    assert {one.about: one.mark for one in store._server(old)}["postgresql_version"] == "failed"


def _report(url: str) -> ServerReport:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
        found = server_report(connection)
    engine.dispose()
    assert found is not None
    return found


def test_a_port_is_free_or_ours_or_somebody_elses(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        http = {"http": {"port": other.getsockname()[1]}}
        assert _port(settings(tmp_path, **http)).mark == "failed"
    assert "free" in _port(settings(tmp_path, **http)).says
    with _answering(b'{"status":"alive"}') as port:
        assert "Notifier's own" in _port(settings(tmp_path, http={"port": port})).says
    for stranger in (b"<h1>hello</h1>", b'["alive"]', b'{"type":"about:blank"}'):
        with _answering(stranger) as port:
            assert _port(settings(tmp_path, http={"port": port})).mark == "failed"


def test_an_api_without_probes_is_known_by_how_it_says_no(tmp_path: Path) -> None:
    with _answering(b'{"type":"urn:notifier:problem:not_found","status":404}') as port:
        assert "Notifier's own" in _port(settings(tmp_path, http={"port": port})).says


def _port(chosen: Settings) -> Check:
    return by_name(of_listeners(chosen))["NOTIFIER_HTTP__PORT"]


class _answering:  # noqa: N801 - reads as what it is
    """A web server that gives one answer to everything."""

    def __init__(self, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> int:
        self._thread.start()
        return self._server.server_port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_relay_that_is_not_there_is_a_failure_with_its_setting(tmp_path: Path) -> None:
    relays = {"main": {"url": "smtp://127.0.0.1:1?tls=none"}}
    check = by_name(of_relays(settings(tmp_path, relays=relays), "b@example.com"))["relay main"]
    assert check.mark == "failed"
    assert "refused at CONNECT" in check.says
    assert "NOTIFIER_RELAYS__MAIN__URL" in (check.remedy or "")


def test_no_relay_is_a_warning_outside_dev(tmp_path: Path) -> None:
    assert by_name(of_relays(settings(tmp_path), "b@example.com"))["relays"].mark == "warning"
    assert list(of_relays(settings(tmp_path, is_dev=True), "b@example.com")) == []


def test_problems_of_the_settings_are_failures(tmp_path: Path) -> None:
    assert [check.mark for check in of_settings(["x is missing."], ["y is odd."])] == [
        "failed",
        "warning",
    ]
    assert [check.mark for check in of_settings([], [])] == ["ok"]


def test_broken_templates_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "mail.toml").write_text("not toml")
    chosen = settings(tmp_path, templates={"dirs": [str(tmp_path)]})
    found = {check.about: check for check in examine(chosen)}
    assert found["templates"].mark == "failed"
