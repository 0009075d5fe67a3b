"""API keys in the store: found by their digest, revoked but never deleted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.core.api_key import ApiKey, MintedKey, mint
from notifier.store.engine import writing
from notifier.store.keys import add_key, find_key, list_keys, revoke_key
from tests.store.world import World

pytestmark = pytest.mark.anyio


def a_key(world: World, name: str = "shop", project: str = "default") -> tuple[ApiKey, MintedKey]:
    minted = mint(world.ids.uuid7_hex().encode(), "live")
    key = ApiKey(
        id=world.ids.new("key"),
        name=name,
        project=project,
        prefix=minted.prefix,
        scopes=frozenset({"send", "read"}),
        route="live",
        from_domains=("example.org",),
        created_at=world.now,
        expires_at=world.now + timedelta(days=1),
        revoked_at=None,
    )
    return key, minted


def stored(world: World, name: str = "shop", project: str = "default") -> tuple[ApiKey, MintedKey]:
    key, minted = a_key(world, name, project)
    with writing(world.store.database) as connection:
        assert add_key(connection, key, minted.digest)
    return key, minted


def revoked(world: World, id_or_name: str) -> ApiKey | None:
    with writing(world.store.database) as connection:
        return revoke_key(connection, id_or_name, world.now)


async def test_a_key_is_found_by_its_digest_as_it_was_stored(world: World) -> None:
    key, minted = stored(world)
    assert await world.store.read(find_key, minted.digest) == key
    assert await world.store.read(find_key, "0" * 64) is None


async def test_a_second_key_of_the_same_name_is_not_stored(world: World) -> None:
    first, _ = stored(world)
    second, minted = a_key(world)
    with writing(world.store.database) as connection:
        assert add_key(connection, second, minted.digest) is False
    assert await world.store.read(list_keys) == [first]


async def test_a_name_is_free_again_when_its_key_is_revoked(world: World) -> None:
    stored(world)
    revoked(world, "shop")
    second, minted = stored(world)
    assert await world.store.read(find_key, minted.digest) == second


@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_revoked_key_is_found_and_listed_as_revoked(world: World, by: str) -> None:
    key, minted = stored(world)
    gone = replace(key, revoked_at=world.now)
    assert revoked(world, getattr(key, by)) == gone
    assert await world.store.read(find_key, minted.digest) == gone
    assert await world.store.read(list_keys) == [gone]


async def test_revoking_what_is_not_there_or_revoked_already_is_none(world: World) -> None:
    key, _ = stored(world)
    assert revoked(world, "nobody") is None
    revoked(world, key.id)
    assert revoked(world, key.id) is None


async def test_keys_are_listed_by_project_in_the_order_they_were_made(world: World) -> None:
    ours = [stored(world, f"ours {n}")[0] for n in range(3)]
    theirs, _ = stored(world, "theirs", "theirs")
    assert await world.store.read(list_keys, "default") == ours
    assert await world.store.read(list_keys) == [*ours, theirs]


async def test_the_secret_of_a_key_is_not_stored(world: World) -> None:
    _, minted = stored(world)
    rows = await world.store.read(
        lambda connection: connection.exec_driver_sql("SELECT * FROM api_key").all()
    )
    assert minted.plaintext not in str(rows)
