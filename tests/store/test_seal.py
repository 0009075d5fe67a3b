"""Sealed mails: keys can be rotated, and nothing readable of a secret reaches the disk."""

import asyncio
import os
import subprocess

import pytest
from sqlalchemy import select

from notifier.core.errors import Misconfigured
from notifier.core.message import Step
from notifier.store.schema import content
from notifier.store.seal import Seal
from tests.store.conftest import Opener
from tests.store.world import World

OLD, NEW = b"o" * 32, b"n" * 32
PLAIN = b"Subject: x\r\n\r\nyour code is 493817\r\n"


def test_what_was_sealed_is_unsealed() -> None:
    assert Seal([NEW]).unseal(Seal([NEW]).seal(PLAIN)) == PLAIN


def test_ciphertext_holds_no_plaintext_and_differs_each_time() -> None:
    first, second = Seal([NEW]).seal(PLAIN), Seal([NEW]).seal(PLAIN)
    assert first != second
    assert b"493817" not in first


def test_an_old_key_behind_the_new_one_still_opens() -> None:
    assert Seal([NEW, OLD]).unseal(Seal([OLD]).seal(PLAIN)) == PLAIN


def test_the_newest_key_seals() -> None:
    assert Seal([NEW]).unseal(Seal([NEW, OLD]).seal(PLAIN)) == PLAIN


@pytest.mark.parametrize("stored", [Seal([OLD]).seal(PLAIN), b"", PLAIN, b"\xff" * 100])
def test_what_no_key_opens_says_what_to_do(stored: bytes) -> None:
    with pytest.raises(Misconfigured, match="add the old key behind the new one"):
        Seal([NEW]).unseal(stored)


def test_a_byte_that_was_changed_is_noticed() -> None:
    sealed = bytearray(Seal([NEW]).seal(PLAIN))
    sealed[len(sealed) // 2] ^= 1
    with pytest.raises(Misconfigured):
        Seal([NEW]).unseal(bytes(sealed))


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(Misconfigured, match="SECRET_KEY"):
        Seal([])


def _on_disk(world: World) -> bytes:
    """All bytes of its files, read by another process: SQLite's locks end with a foreign close."""
    path = world.store.database.path
    assert path is not None
    files = [str(one) for one in path.parent.glob("notifier.db*") if one.is_file()]
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


def _traces(of: bytes, disk: bytes) -> int:
    """How many of its stretches of 64 bytes are readable there."""
    return sum(of[at : at + 64] in disk for at in range(0, len(of) - 64, 64))


@pytest.mark.anyio
async def test_a_secret_is_never_readable_on_disk_and_its_ciphertext_goes_with_its_last_state(
    open_sqlite: Opener,
) -> None:
    world = open_sqlite()
    secret = b"Subject: x\r\n\r\n" + os.urandom(3000).hex().encode()
    item = world.acceptance(body=secret, sealed=True)
    await world.accept(item)
    assert _traces(item.contents[0].body, _on_disk(world)) > 50
    assert _traces(secret, _on_disk(world)) == 0
    (claimed,) = await world.claim()
    await world.record(claimed, Step.DELIVERED)
    await asyncio.to_thread(world.store.close)
    left = _on_disk(world)
    assert _traces(secret, left) == _traces(item.contents[0].body, left) == 0


@pytest.mark.anyio
async def test_sealed_bytes_come_back_through_the_database(world: World) -> None:
    item = world.acceptance(body=PLAIN, sealed=True)
    await world.accept(item)
    body = await world.store.read(
        lambda connection: connection.execute(select(content.c.body)).scalar_one()
    )
    (claimed,) = await world.claim()
    assert claimed.body == body
    assert claimed.sealed
    assert world.store.seal.unseal(body) == PLAIN
