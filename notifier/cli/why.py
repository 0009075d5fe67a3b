"""`notifier why`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from notifier.assembly.operator import open_operator
from notifier.cli.endings import FAILED
from notifier.cli.phrases import long_moment, moment, span, time_text
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.story import lines, verdict
from notifier.cli.terminal import (
    HELP_OPTIONS,
    Painted,
    example,
    put,
    put_json,
    put_prose,
    say,
    working,
)
from notifier.core.address import AddressError
from notifier.core.message import who_acts
from notifier.settings.sections import RetentionSettings
from notifier.store.trails import Trail
from notifier.store.workers import Worker

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

_SEVERAL: Final = 10
_MOST_RECIPIENTS: Final = 1000


@app.command(
    epilog=example(
        "notifier why ann@example.org",
        "notifier why ann@example.org --all",
        "notifier why msg_0199b2f3c4d57000a1b2c3d4e5f60718",
    )
)
def why(
    who: Annotated[
        str,
        typer.Argument(metavar="WHO", help="An address, or the id of a message or notification."),
    ],
    *,
    every: Annotated[
        bool, typer.Option("--all", help=f"The last {_SEVERAL} mails, not only the last one.")
    ] = False,
    dev: Dev = False,
    as_json: AsJson = False,
) -> None:
    """The last mail's story in plain sentences, and who has to act.

    The exit code is 1 if there is no such mail.
    """
    settings = load_here(is_dev=dev, purpose="manage").settings
    by_id = who.startswith(("msg_", "ntf_"))
    most = _MOST_RECIPIENTS if by_id else _SEVERAL if every else 1
    try:
        with open_operator(settings) as operator, working("Looking ..."):
            trails = operator.trails(who, most=most)
            alive = operator.alive()
            now = operator.now()
    except AddressError as error:
        raise typer.BadParameter(
            f"this is neither an address nor an id. {error.detail}", param_hint="WHO"
        ) from None
    if as_json:
        put_json([_json(trail, alive, now) for trail in trails])
    for number, trail in enumerate(trails if not as_json else ()):
        if number:
            put()
        _tell(trail, alive, now)
    if not trails:
        say(_nothing(who, settings.retention))
        raise typer.Exit(FAILED)


def _tell(trail: Trail, alive: Sequence[Worker], now: datetime) -> None:
    put(
        Painted(trail.status.value, "bold"),
        f"  {trail.to}  {trail.stream} mail {trail.message_id}",
    )
    about = [f"of {long_moment(trail.created_at)}, {span(now - trail.created_at)} ago"]
    if trail.project != "default":
        about.append(f"project {trail.project}")
    if trail.route == "test":
        about.append("test key")
    if trail.reference:
        about.append(f"reference {trail.reference}")
    put_prose(", ".join(about))
    put()
    for line in lines(trail, now):
        at = moment(line.at, now)
        put_prose(line.says, first=Painted(f"  {at}  ", "dim"), indent=" " * (len(at) + 4))
    put()
    put_prose(verdict(trail, alive, now), first=Painted("→ ", "bold"))


def _nothing(who: str, keep: RetentionSettings) -> str:
    days = keep.notifications_s / 86400
    what = f"There is no mail {who}" if "@" not in who else f"There is no mail to {who}"
    return (
        f"{what} here: nobody asked for one, or it ended more than {days:g} days ago and is"
        " forgotten. Addresses are compared letter by letter before the @."
    )


def _json(trail: Trail, alive: Sequence[Worker], now: datetime) -> dict[str, Any]:
    return {
        "id": trail.message_id,
        "notification_id": trail.notification_id,
        "project": trail.project,
        "route": trail.route,
        "stream": trail.stream,
        "to": trail.to,
        "template": trail.template,
        "reference": trail.reference,
        "status": trail.status,
        "attempts": trail.attempts,
        "created_at": time_text(trail.created_at),
        "expires_at": time_text(trail.expires_at),
        "due_at": time_text(trail.due_at),
        "final_at": time_text(trail.final_at),
        "relay": trail.relay,
        "queue_id": trail.queue_id,
        "bytes_kept": trail.bytes_kept,
        "action": who_acts(trail.status),
        "verdict": verdict(trail, alive, now),
        "events": [
            {
                "at": time_text(event.at),
                "type": event.type,
                "says": line.says,
                "data": dict(event.data),
            }
            for event, line in zip(trail.events, lines(trail, now), strict=True)
        ],
    }
