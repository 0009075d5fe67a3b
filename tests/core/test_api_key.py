"""API keys: shape, digest, and what they allow."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.core.api_key import ApiKey, allows, digest, mint, route_of, unknown_scopes
from notifier.core.route import Route

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = ApiKey("key_1", "a", "default", "p", frozenset(), "live", (), NOW, None, None)


@pytest.mark.parametrize(("route", "stem"), [("live", "ntf_live_"), ("test", "ntf_test_")])
def test_a_minted_key_holds_256_bits_and_says_its_route(route: Route, stem: str) -> None:
    minted = mint(bytes(range(32)), route)
    assert minted.plaintext == stem + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert route_of(minted.plaintext) == route


def test_only_the_hash_of_a_key_is_stored() -> None:
    minted = mint(b"x" * 32, "live")
    assert minted.digest == hashlib.sha256(minted.plaintext.encode()).hexdigest()
    assert digest(minted.plaintext) == minted.digest
    assert minted.plaintext not in repr(minted)


def test_the_prefix_shows_six_characters_of_the_secret() -> None:
    minted = mint(b"x" * 32, "test")
    assert minted.prefix == minted.plaintext[: len("ntf_test_") + 6]


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_other_than_256_bits_is_not_made(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint(b"x" * length, "live")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ntf_live_",
        "ntf_live_" + "a" * 42,
        "ntf_live_" + "a" * 44,
        "ntf_live_" + "ü" * 43,
        "ntf_live_" + "+" * 43,
        "ntf_prod_" + "a" * 43,
        "NTF_LIVE_" + "a" * 43,
    ],
)
def test_another_shape_is_no_minted_key(text: str) -> None:
    assert route_of(text) is None


def test_admin_may_do_everything_and_others_what_they_were_given() -> None:
    assert allows(frozenset({"admin"}), "send")
    assert allows(frozenset({"send"}), "send")
    assert not allows(frozenset({"send"}), "read")
    assert unknown_scopes(frozenset({"send", "sned", "all"})) == ("all", "sned")


@pytest.mark.parametrize(("lead_s", "expired"), [(1, False), (0, True), (-1, True)])
def test_a_key_is_expired_from_its_very_moment_on(lead_s: int, expired: bool) -> None:
    key = replace(KEY, expires_at=NOW + timedelta(seconds=lead_s))
    assert key.expired(NOW) is expired
    assert not KEY.expired(NOW)
