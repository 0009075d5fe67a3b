"""Why mail waits, and what somebody has to do about it, in sentences."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from notifier.cli.phrases import count, long_moment, moment, span
from notifier.core.route import Route
from notifier.flows.operator import Overview
from notifier.store.workers import RelaySeen, Worker

SLOW: Final = timedelta(seconds=60)
"""A mail that could have been sent for so long is explained."""

ROUTES: Final[tuple[Route, ...]] = ("live", "test")

_REASON: Final = re.compile(r"(?P<phase>[a-z]+): (?P<rest>.*)", re.DOTALL)
_REFUSALS: Final = {
    "auth": (
        "it refuses the password",
        "fix NOTIFIER_RELAYS__{name}__PASSWORD (and __USERNAME)",
    ),
    "starttls": (
        "it offers no encryption",
        "say in NOTIFIER_RELAYS__{name}__URL that it may do without",
    ),
    "certificate": (
        "its certificate cannot be trusted",
        "name its authority in NOTIFIER_RELAYS__{name}__CA_FILE",
    ),
    "mail": (
        "it refuses our sender",
        "fix NOTIFIER_MAIL__RETURN_PATH",
    ),
}
_REFUSES_US: Final = ("it refuses us", "fix NOTIFIER_RELAYS__{name}__…")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a relay gets no mail: in words, with its own words, and the way out if it is ours."""

    because: str
    own_words: str
    way_out: str | None


def fault_of(relay: RelaySeen) -> Fault:
    """Of a relay that is not up."""
    match = _REASON.fullmatch(relay.reason or "")
    phase, rest = (match["phase"], match["rest"]) if match else ("", relay.reason or "")
    if relay.state == "resting":
        return Fault("it does not answer as it should", relay.reason or "no reason given", None)
    kind = "certificate" if rest.startswith("certificate") else phase
    because, way_out = _REFUSALS.get(kind, _REFUSES_US)
    return Fault(because, rest, way_out.format(name=relay.name.upper()))


def relay_sentence(relay: RelaySeen, now: datetime) -> str:
    """What a relay does that is not up, since when, why, and who has to act."""
    since = moment(relay.since, now)
    resume = f"`notifier relays resume {relay.name}`"
    if relay.by_operator:
        return (
            f"relay {relay.name} is paused since {since} by an operator ({relay.reason});"
            f" {resume} lets it go on"
        )
    fault = fault_of(relay)
    if fault.way_out is not None:
        return (
            f"relay {relay.name} is paused since {since} because {fault.because}"
            f" ({fault.own_words}); {fault.way_out} and start again, or have it mended there and"
            f" then {resume}"
        )
    return (
        f"relay {relay.name} rests since {since} because {fault.because} ({fault.own_words});"
        f" it is tried again {next_probe(relay, now) or 'soon'}, and nobody has to act unless it"
        " stays so"
    )


def next_probe(relay: RelaySeen, now: datetime) -> str:
    """`at 09:30:30`; `soon` where what was last heard of it is over; empty: it is not tried."""
    if relay.next_probe_at is None:
        return ""
    return f"at {moment(relay.next_probe_at, now)}" if relay.next_probe_at > now else "soon"


def causes(seen: Overview) -> Sequence[str]:
    """Why mail waits and for whom it waits; nothing where all goes as it should."""
    return [*_of_waiting(seen), *_of_held(seen), *_of_relays(seen)]


def _of_waiting(seen: Overview) -> Iterator[str]:
    alive = [worker for worker in seen.workers if worker.is_alive(seen.at)]
    if not alive:
        yield _nobody(seen)
        return
    for route in ROUTES:
        lanes = [lane for lane in seen.waiting if lane.route == route and lane.queued]
        if not lanes:
            continue
        oldest = min(lane.oldest_due_at or seen.at for lane in lanes)
        cause = blocked(alive, route, seen.at) or _slow(alive, oldest, seen.at)
        if cause:
            yield f"{_wait(sum(lane.queued for lane in lanes), route)}: {cause}"


def _of_held(seen: Overview) -> Iterator[str]:
    if seen.held:
        verb = "is" if seen.held == 1 else "are"
        yield (
            f"{count(seen.held, 'mail')} {verb} held: sent perhaps, or not to be sent as they are;"
            " `notifier why` says which. An operator has to decide: `notifier retry --status held`"
            " sends them (again), `notifier cancel --status held` ends them."
        )


def _of_relays(seen: Overview) -> Iterator[str]:
    """Trouble that no mail waits for yet, or that others make up for."""
    told: set[str] = set()
    alive = [worker for worker in seen.workers if worker.is_alive(seen.at)]
    for worker in alive:
        for relay in worker.relays:
            if relay.state == "up" or relay.name in told:
                continue
            told.add(relay.name)
            ready = sum(lane.queued for lane in seen.waiting if lane.route in relay.routes)
            if not (ready and all(_all_down(one, relay.routes[0]) for one in alive)):
                sentence = relay_sentence(relay, seen.at)
                yield f"{sentence[0].upper()}{sentence[1:]}."


def _wait(mails: int, route: str) -> str:
    kind = "mail" if route == "live" else "mail of test keys"
    if mails == 1:
        return f"1 {kind} waits"
    return f"{mails:,} {kind.replace('mail', 'mails', 1)} wait"


def _nobody(seen: Overview) -> str:
    total = sum(lane.total for lane in seen.waiting)
    opening = f"{_wait(total, 'live')}, and no process delivers" if total else "No process delivers"
    remedy = "Start `notifier serve` or `notifier worker`."
    if not seen.workers:
        return f"{opening}. {remedy}"
    last = max(seen.workers, key=lambda worker: worker.seen_at)
    return f"{opening}: {last.name} was not seen since {long_moment(last.seen_at)}. {remedy}"


def blocked(alive: Sequence[Worker], route: str, now: datetime) -> str | None:
    """Why no process can send mail of this route; None: one can."""
    if not any(_relays(worker, route) for worker in alive):
        if route == "test":  # without a capture server it ends as captured in the store
            return None
        return "no relay is configured. Set NOTIFIER_RELAYS__MAIN__URL and start again."
    if not all(_all_down(worker, route) for worker in alive):
        return None
    relays = {relay.name: relay for worker in alive for relay in _relays(worker, route)}
    return "; and ".join(relay_sentence(relay, now) for relay in relays.values()) + "."


def _slow(alive: Sequence[Worker], oldest: datetime, now: datetime) -> str | None:
    if now - oldest < SLOW:
        return None
    seats, busy = sum(one.seats for one in alive), sum(one.busy for one in alive)
    since = f"the oldest for {span(now - oldest)}"
    if busy >= seats:
        return (
            f"{since}. All {seats:,} seats are busy: the relay is slow, or more mail comes than"
            " goes. More `notifier worker` processes or NOTIFIER_DISPATCH__SEATS help if the"
            " relay can take more."
        )
    return (
        f"{since}, while {count(seats - busy, 'seat')} of {seats:,} are free. A relay's"
        " RATE_PER_S or CONNECTIONS may be what holds it back; the log of the workers says more."
    )


def _relays(worker: Worker, route: str) -> Sequence[RelaySeen]:
    return [relay for relay in worker.relays if route in relay.routes]


def all_paused(alive: Sequence[Worker], route: str) -> bool:
    """Whether every relay of a route is paused in every process; default lives stand still then."""
    states = [relay.state for worker in alive for relay in _relays(worker, route)]
    return bool(states) and all(state == "paused" for state in states)


def _all_down(worker: Worker, route: str) -> bool:
    relays = _relays(worker, route)
    return bool(relays) and all(relay.state != "up" for relay in relays)
