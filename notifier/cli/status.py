"""`notifier status`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import typer

from notifier.assembly.operator import open_operator
from notifier.cli.causes import causes, next_probe
from notifier.cli.phrases import count, long_moment, moment, span, time_text
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.terminal import (
    HELP_OPTIONS,
    Colour,
    Painted,
    example,
    put,
    put_figures,
    put_json,
    put_prose,
    working,
)
from notifier.core.message import Status
from notifier.flows.operator import Overview
from notifier.store.backlog import Waiting
from notifier.store.workers import RelaySeen, Worker

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

STATES: Final[Mapping[str, Colour]] = {"up": "green", "resting": "yellow", "paused": "red"}
_MOST_NAMES: Final = 2


@app.command(epilog=example("notifier status", "notifier status --json"))
def status(*, dev: Dev = False, as_json: AsJson = False) -> None:
    """What waits and why, how the relays are, and who delivers.

    Reads the store alone: it works while services run and while none does. It counts all that
    waits, and of what has ended the mails accepted in the last 24 hours.
    """
    settings = load_here(is_dev=dev, purpose="manage").settings
    with open_operator(settings) as operator, working("Counting ..."):
        seen = operator.overview()
    if as_json:
        put_json(_json(seen))
        return
    _put_reasons(seen)
    _put_waiting(seen)
    _put_relays(seen)
    _put_workers(seen)
    _put_ended(seen)


def _put_reasons(seen: Overview) -> None:
    put(Painted(f"Notifier at {long_moment(seen.at)}", "bold"))
    found = causes(seen)
    if not found:
        put_prose("Nothing is in the way of any mail.", first=Painted("✓ ", "green"))
    for sentence in found:
        put_prose(sentence, first=Painted("! ", "yellow"))


def _put_waiting(seen: Overview) -> None:
    _head("Waiting")
    if not seen.waiting and not seen.held:
        put("  no mail")
        return
    rows = [
        (
            f"{lane.route} {lane.lane.stream}",
            *(f"{n:,}" for n in (lane.queued, lane.sending, lane.deferred, lane.scheduled)),
            "-" if lane.oldest_due_at is None else span(seen.at - lane.oldest_due_at),
        )
        for lane in seen.waiting
    ]
    if rows:
        head = ("LANE", "DUE", "SENDING", "DEFERRED", "SCHEDULED", "OLDEST DUE FOR")
        put_figures(head, rows)
    if seen.held:
        put(f"  {count(seen.held, 'mail')} held")


def _put_relays(seen: Overview) -> None:
    views = _views(seen)
    if not views:
        return
    _head("Relays")
    alive = sum(worker.is_alive(seen.at) for worker in seen.workers)
    for (name, state), pairs in views.items():
        relay = min((relay for _, relay in pairs), key=lambda one: one.since)
        put(
            f"  {name}: ",
            Painted(state, STATES[state]),
            f" since {moment(relay.since, seen.at)}",
            "" if len(pairs) == alive else f", as {_names(pairs)} see it",
        )
        if relay.reason:
            who = "an operator: " if relay.by_operator else ""
            put_prose(f"{who}{relay.reason}{_next_probe(relay, seen.at)}", indent="    ")


def _put_workers(seen: Overview) -> None:
    _head("Processes that deliver")
    if not seen.workers:
        put("  none")
        return
    for worker in seen.workers:
        where = f"  {worker.name}: "
        if worker.is_alive(seen.at):
            busy = f"{worker.busy:,} of {worker.seats:,} seats busy"
            put(where, f"{busy}, seen {span(seen.at - worker.seen_at)} ago")
        else:
            put(where, Painted(f"not seen since {moment(worker.seen_at, seen.at)}", "yellow"))


def _put_ended(seen: Overview) -> None:
    _head("Ended, of the mails accepted in the last 24 hours")
    put_prose(_counts(seen.ended.lately) or "none")
    if seen.ended.forgotten:
        _head("Ended and forgotten since, from the beginning")
        put_prose(_counts(seen.ended.forgotten))


def _head(text: str) -> None:
    put()
    put(Painted(text, "bold"))


def _counts(counts: Mapping[Status, int]) -> str:
    return ", ".join(f"{number:,} {status.value}" for status, number in counts.items())


def _next_probe(relay: RelaySeen, now: datetime) -> str:
    again = next_probe(relay, now)
    return f" (tried again {again})" if again else ""


def _relays(seen: Overview) -> Iterator[tuple[Worker, RelaySeen]]:
    """As each process that lives sees them."""
    for worker in seen.workers:
        if worker.is_alive(seen.at):
            yield from ((worker, relay) for relay in worker.relays)


def _views(seen: Overview) -> Mapping[tuple[str, str], Sequence[tuple[Worker, RelaySeen]]]:
    """Processes that agree about a relay speak with one voice."""
    views: dict[tuple[str, str], list[tuple[Worker, RelaySeen]]] = {}
    for worker, relay in _relays(seen):
        views.setdefault((relay.name, relay.state), []).append((worker, relay))
    return dict(sorted(views.items()))


def _names(pairs: Sequence[tuple[Worker, RelaySeen]]) -> str:
    if len(pairs) > _MOST_NAMES:
        return f"{len(pairs)} processes"
    return " and ".join(one.name for one, _ in pairs)


def _json(seen: Overview) -> dict[str, Any]:
    return {
        "at": time_text(seen.at),
        "reasons": [*causes(seen)],
        "waiting": [_lane(lane) for lane in seen.waiting],
        "held": seen.held,
        "relays": [relay_json(worker, relay) for worker, relay in _relays(seen)],
        "workers": [_worker(worker, seen.at) for worker in seen.workers],
        "ended": {
            "accepted_since": time_text(seen.ended.since),
            "counts": seen.ended.lately,
            "forgotten": seen.ended.forgotten,
        },
    }


def relay_json(worker: Worker, relay: RelaySeen) -> dict[str, Any]:
    """A relay as one process sees it."""
    return {
        "name": relay.name,
        "state": relay.state,
        "reason": relay.reason,
        "since": time_text(relay.since),
        "next_probe_at": time_text(relay.next_probe_at),
        "by_operator": relay.by_operator,
        "routes": relay.routes,
        "worker": worker.owner,
    }


def _lane(lane: Waiting) -> dict[str, Any]:
    return {
        "route": lane.route,
        "stream": lane.lane.stream,
        "queued": lane.queued,
        "sending": lane.sending,
        "deferred": lane.deferred,
        "scheduled": lane.scheduled,
        "oldest_due_at": time_text(lane.oldest_due_at),
    }


def _worker(worker: Worker, now: datetime) -> dict[str, Any]:
    return {
        "id": worker.owner,
        "role": worker.role,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "started_at": time_text(worker.started_at),
        "seen_at": time_text(worker.seen_at),
        "alive": worker.is_alive(now),
        "seats": worker.seats,
        "busy": worker.busy,
    }
