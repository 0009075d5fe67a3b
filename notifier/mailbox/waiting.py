"""Waiting for mail, for tests: driven by the feed, and able to say why nothing came."""

import asyncio
from dataclasses import dataclass

from notifier.core.errors import FieldError, NotFound, Unavailable
from notifier.mailbox.records import Captured
from notifier.mailbox.search import Query
from notifier.mailbox.store import Store

NEWEST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """At least `count` mails that match and came after the place `after` of the feed."""

    query: Query
    count: int
    after: int
    timeout_s: float


async def wait_for(store: Store, wish: Wish) -> list[Captured]:
    """The mails, newest first, as soon as there are enough.

    Raises `NotFound` (`no_match`) with what was there instead, once the time is over, and
    `Unavailable` when the mailbox closes.
    """
    deadline = asyncio.get_running_loop().time() + wish.timeout_s
    with store.feed.subscribe() as news:
        while True:
            found = await store.page(wish.query, wish.count, after=wish.after)
            if len(found) >= wish.count:
                return found
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise await _no_match(store, wish, len(found))
            await news.next(left)
            if news.closed:
                raise Unavailable("The mailbox is closing.")
            news.dropped = False  # only the bell matters here, the store has the mails


async def _no_match(store: Store, wish: Wish, found: int) -> NotFound:
    newest = await store.page(Query(), NEWEST_SHOWN, after=wish.after)
    errors = [
        error
        for position in range(len(wish.query.terms))
        if (error := await _blame(store, wish, position)) is not None
    ]
    shown = "; ".join(_described(each) for each in newest) or "none"
    wanted = "mail" if wish.count == 1 else "mails"
    return NotFound(
        f"{found} of {wish.count} {wanted} matched within {wish.timeout_s:g} s. "
        f"Newest {'since the cursor' if wish.after else 'in the mailbox'}: {shown}.",
        code="no_match",
        errors=errors,
    )


async def _blame(store: Store, wish: Wish, position: int) -> FieldError | None:
    """What this term does to the search: it alone keeps mails out, or no mail has it."""
    terms = wish.query.terms
    name = f"term {position + 1}"
    others = Query(terms[:position] + terms[position + 1 :])
    if others.terms and not await store.page(wish.query, 1, after=wish.after):
        without = await store.page(others, NEWEST_SHOWN, after=wish.after)
        if without:
            shown = "; ".join(_described(each) for each in without)
            return FieldError("query:query", "near_miss", f"Without {name}: {shown}.")
    if not await store.page(Query((terms[position],)), 1, after=wish.after):
        return FieldError("query:query", "term_unmatched", f"No mail has {name}.")
    return None


def _described(captured: Captured) -> str:
    subject = captured.summary.subject or "(no subject)"
    return f"“{subject[:80]}” to {', '.join(captured.rcpt_to[:3])}"
