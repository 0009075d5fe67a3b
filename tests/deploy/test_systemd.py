"""The systemd unit."""

import pytest

from tests.deploy.files import DRAINS_S, is_command, unit, unknown

SERVICE = unit()["Service"]


def test_it_starts_a_command_of_notifier() -> None:
    program, *arguments = SERVICE["ExecStart"].split()
    assert program.endswith("/notifier")
    assert is_command(arguments)


def test_its_data_live_where_it_may_write() -> None:
    name, folder = SERVICE["Environment"].split("=")
    assert unknown({name: folder}) == []
    assert folder == f"/var/lib/{SERVICE['StateDirectory']}"


def test_it_has_time_to_stop_and_always_comes_back() -> None:
    assert int(SERVICE["TimeoutStopSec"]) > DRAINS_S
    assert SERVICE["KillSignal"] == "SIGTERM"
    assert SERVICE["Restart"] == "always"
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("UMask", "0077"),
    ],
)
def test_it_may_do_nothing_but_its_work(setting: str, value: str) -> None:
    assert SERVICE[setting] == value
