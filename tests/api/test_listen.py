"""Ports are claimed at once, and a refusal says what to do."""

import socket
from collections.abc import Iterator

import pytest

from notifier.api.listen import PortBusy, bind, bound_port
from notifier.core.errors import Misconfigured

SETTING = "NOTIFIER_HTTP__PORT"


@pytest.fixture
def busy() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_a_free_port_is_taken_and_takes_connections_at_once() -> None:
    with bind("127.0.0.1", 0, fixed=True, setting=SETTING) as sock:
        with socket.create_connection(("127.0.0.1", bound_port(sock)), timeout=5):
            pass
        assert sock.getblocking() is False


def test_a_busy_port_that_was_set_is_an_error_that_names_port_and_setting(busy: int) -> None:
    with pytest.raises(PortBusy, match=f"{busy}.*{SETTING}"):
        bind("127.0.0.1", busy, fixed=True, setting=SETTING)


def test_a_busy_port_that_was_not_set_moves_on(busy: int) -> None:
    with bind("127.0.0.1", busy, fixed=False, setting=SETTING) as sock:
        assert busy < bound_port(sock) <= busy + 50


def test_two_binds_without_a_server_do_not_share_a_port() -> None:
    with (
        bind("127.0.0.1", 0, fixed=True, setting=SETTING) as first,
        bind("127.0.0.1", bound_port(first), fixed=False, setting=SETTING) as second,
    ):
        assert bound_port(first) != bound_port(second)


def test_a_port_busy_on_all_addresses_is_busy_on_one() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(PortBusy):
        bind("127.0.0.1", other.getsockname()[1], fixed=True, setting=SETTING)


def test_a_port_just_left_can_be_taken_again() -> None:
    first = bind("127.0.0.1", 0, fixed=True, setting=SETTING)
    port = bound_port(first)
    client = socket.create_connection(("127.0.0.1", port))
    first.setblocking(True)
    served, _ = first.accept()
    served.close()  # this side closes first, and so keeps the connection in TIME_WAIT
    client.close()
    first.close()
    bind("127.0.0.1", port, fixed=True, setting=SETTING).close()


@pytest.mark.parametrize(
    ("host", "says"),
    [("192.0.2.1", "does not have that address"), ("no.such.host.invalid", "cannot be resolved")],
)
def test_a_host_that_cannot_be_had_is_misconfigured(host: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as caught:
        bind(host, 0, fixed=True, setting=SETTING)
    assert SETTING in caught.value.detail
    assert not isinstance(caught.value, PortBusy)


@pytest.mark.parametrize(
    ("port", "host"),
    [("OPS__PORT", "OPS__HOST"), ("MAILBOX__COMPAT_PORT", "HTTP__HOST")],
)
def test_a_host_that_cannot_be_had_is_named_by_its_own_setting(port: str, host: str) -> None:
    with pytest.raises(Misconfigured, match=f"NOTIFIER_{host}"):
        bind("192.0.2.1", 0, fixed=True, setting=f"NOTIFIER_{port}")


def test_localhost_means_ipv4_first() -> None:
    with bind("localhost", 0, fixed=True, setting=SETTING) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
