"""`notifier retry` and `notifier cancel`: many messages at once, or those that are named."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import typer

from notifier.assembly.operator import open_operator
from notifier.cli.endings import FAILED
from notifier.cli.options import taking
from notifier.cli.phrases import count, long_moment, time_given
from notifier.cli.settings import load_here
from notifier.cli.terminal import HELP_OPTIONS, counting, example, put_json, say, working
from notifier.core.address import AddressError, parse_mailbox
from notifier.core.ids import is_id
from notifier.core.message import Status
from notifier.flows.operator import CANCELABLE, RETRYABLE, Act
from notifier.store.operations import Decided
from notifier.store.selection import Selected, Selection

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

_WHEN: Final = "how long ago, as in 30m, 2h or 2d, or RFC 3339"
_MOST_NAMES: Final = 1000
_ASKED: Final[Mapping[Act, str]] = {"retry": "Send {} again?", "cancel": "Cancel {}?"}
_DONE: Final[Mapping[Act, str]] = {
    "retry": "{} put back into the queue.",
    "cancel": "{} canceled.",
}
_LEFT: Final[Mapping[Decided, str]] = {
    Decided.NOT_FOUND: "not found",
    Decided.BEING_SENT: "being sent just now, which nothing can stop any more",
    Decided.BYTES_ERASED: "without its bytes, which are erased: it has to be posted again",
    Decided.NOT_POSSIBLE: "in a status in which this cannot be done",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages `notifier retry` and `notifier cancel` are told."""

    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Ids of messages or notifications, in place of these."),
    ] = None
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Their status. Can be given several times."),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Ended, or waiting and accepted, since then: {_WHEN}."),
    ] = None
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="And before then, in the same forms.")
    ] = None
    project: Annotated[str | None, typer.Option(help="Of this project only.")] = None
    relay: Annotated[
        str | None, typer.Option(help="Ended at this relay only (those that wait had none yet).")
    ] = None
    to_domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="To this domain only.")
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False
    dev: Annotated[bool, typer.Option("--dev", help="On the store of `notifier dev`.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False


@app.command(
    epilog=example(
        "notifier retry --status failed --status expired --since 2h",
        "notifier retry --status bounced --since 2d --to-domain example.org --dry-run",
        "notifier retry msg_0199b2f3c4d57000a1b2c3d4e5f60718",
    )
)
@taking(Wanted)
def retry(wanted: Wanted) -> None:
    """Put mail that ended, or is held, back into the queue.

    It begins a new life, with all its tries and the default life's length, and keeps its bytes and
    its Message-ID. STATUS is held, bounced, rejected, failed or expired. Asks first. The exit code
    is 1 if any was left as it was.
    """
    _act("retry", wanted, RETRYABLE)


@app.command(
    epilog=example(
        "notifier cancel --status scheduled --project shop",
        "notifier cancel --status queued --status deferred --since 30m --yes",
        "notifier cancel ntf_0199b2f3c4d57000a1b2c3d4e5f60718",
    )
)
@taking(Wanted)
def cancel(wanted: Wanted) -> None:
    """End mail that waits, or is held, without sending it.

    STATUS is scheduled, queued, deferred or held. What a process is sending just then is left to
    it. Asks first. The exit code is 1 if any was left as it was.
    """
    _act("cancel", wanted, CANCELABLE)


def _act(act: Act, wanted: Wanted, possible: Sequence[Status]) -> None:
    names = _names(wanted)
    settings = load_here(is_dev=wanted.dev, purpose="manage").settings
    with open_operator(settings) as operator:
        if names:
            ids = operator.meant(names)
            total, work = len(ids), partial(operator.decide, act, ids)
        else:
            selection = _selection(wanted, possible, operator.now())
            with working("Counting ..."):
                selected = operator.count(selection)
            _describe(selected)
            total, work = selected.total, partial(operator.decide_selected, act, selection)
        done: Mapping[Decided, int] = {}
        if _goes_on(act, wanted, total):
            with counting(f"{act} ...", total) as progress:
                done = work(progress)
    if wanted.as_json:
        put_json(_json(total, done))
    else:
        _conclude(act, done)
    if any(number for decided, number in done.items() if decided is not Decided.DONE):
        raise typer.Exit(FAILED)


def _names(wanted: Wanted) -> Sequence[str]:
    """The ids that were named. Raises BadParameter for a call that cannot be meant."""
    names = wanted.ids or []
    filters = (wanted.since, wanted.until, wanted.project, wanted.relay, wanted.to_domain)
    if names and (wanted.status or any(filters)):
        raise typer.BadParameter("give ids, or --status and what narrows it, but not both")
    if not names and not wanted.status:
        raise typer.BadParameter("give --status, or ids")
    for name in names:
        if not is_id(name, "msg") and not is_id(name, "ntf"):
            raise typer.BadParameter("an id is msg_ or ntf_ with 32 hex digits", param_hint="ID")
    if len(names) > _MOST_NAMES:
        raise typer.BadParameter(f"at most {_MOST_NAMES:,} in one call", param_hint="ID")
    return names


def _selection(wanted: Wanted, possible: Sequence[Status], now: datetime) -> Selection:
    known = {status.value: status for status in possible}
    given = [word for entry in wanted.status or () for word in entry.split(",")]
    if unknown := [word for word in given if word not in known]:
        raise typer.BadParameter(
            f"{unknown[0]!r} cannot be; there are {', '.join(known)}", param_hint="--status"
        )
    return Selection(
        statuses=frozenset(known[word] for word in given),
        at=now,
        since=time_given(wanted.since, now, "--since"),
        until=time_given(wanted.until, now, "--until"),
        project=wanted.project,
        relay=wanted.relay,
        to_domain=_domain(wanted.to_domain),
    )


def _domain(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return parse_mailbox(f"postmaster@{given}").domain
    except AddressError as error:
        raise typer.BadParameter(error.detail, param_hint="--to-domain") from None


def _describe(selected: Selected) -> None:
    if selected.oldest_at is None or selected.newest_at is None:
        return
    numbers = ", ".join(f"{number:,} {status.value}" for status, number in selected.counts.items())
    oldest, newest = long_moment(selected.oldest_at), long_moment(selected.newest_at)
    when = f"at {oldest}" if oldest == newest else f"between {oldest} and {newest}"
    say(f"{numbers}: accepted {when}.")


def _goes_on(act: Act, wanted: Wanted, total: int) -> bool:
    """Whether it is to be done. Raises BadParameter where nobody can be asked."""
    if total == 0:
        say("There is no such mail.")
        return False
    if wanted.dry_run:
        say(f"{count(total, 'mail')} would be meant; nothing was done (--dry-run).")
        return False
    if wanted.yes:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"this means {count(total, 'mail')}, and nobody can be asked here: give --yes",
            param_hint="--yes",
        )
    if typer.confirm(_ASKED[act].format(count(total, "mail")), err=True):
        return True
    say("Nothing was done.")
    raise typer.Exit(FAILED)


def _conclude(act: Act, done: Mapping[Decided, int]) -> None:
    if not done:
        return
    say(_DONE[act].format(count(done.get(Decided.DONE, 0), "mail")))
    for decided, why in _LEFT.items():
        if number := done.get(decided):
            say(f"  {count(number, 'mail')} left as before: {why}")


def _json(total: int, done: Mapping[Decided, int]) -> dict[str, Any]:
    left = {decided.value: done[decided] for decided in _LEFT if decided in done}
    return {"selected": total, "done": done.get(Decided.DONE, 0), "left": left}
