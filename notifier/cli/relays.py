"""`notifier relays`: how they are, and orders that every process that delivers obeys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from notifier.assembly.operator import open_operator
from notifier.cli.phrases import moment, time_text
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.status import STATES, relay_json
from notifier.cli.terminal import HELP_OPTIONS, Painted, example, put, put_json, put_prose, say
from notifier.flows.operator import Operator
from notifier.settings import Settings
from notifier.settings.relay_url import CAPTURE, shown_url
from notifier.settings.sections import RelaySettings
from notifier.store.relay_commands import MAX_REASON, RelayCommand
from notifier.store.workers import RelaySeen, Worker

app = typer.Typer(
    help="Show the relays, pause them and let them go on.",
    context_settings=HELP_OPTIONS,
    epilog=example(
        "notifier relays list",
        "notifier relays pause main --reason 'their maintenance until 6'",
        "notifier relays resume main",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in the settings.")]

_NO_REASON: Final = "no reason given"


@dataclass(frozen=True, slots=True)
class Known:
    """A relay with all that is known of it: its settings here, who sees it how, the last order."""

    name: str
    settings: RelaySettings | None
    views: Sequence[tuple[Worker, RelaySeen]]
    order: RelayCommand | None


@app.command("list", epilog=example("notifier relays list", "notifier relays list --json"))
def list_relays(*, dev: Dev = False, as_json: AsJson = False) -> None:
    """The relays, their settings, and how each process sees them."""
    settings = load_here(is_dev=dev, purpose="manage").settings
    with open_operator(settings) as operator:
        known = _known(settings, operator)
        now = operator.now()
    if as_json:
        put_json([_json(relay) for relay in known.values()])
        return
    if not known:
        say("There are no relays: set NOTIFIER_RELAYS__MAIN__URL.")
    for relay in known.values():
        _tell(relay, now)


@app.command(
    epilog=example("notifier relays pause main", "notifier relays pause main --reason 'moving'")
)
def pause(
    name: Name,
    *,
    reason: Annotated[
        str, typer.Option(help="Why; it stands in `notifier status` and in the logs.")
    ] = _NO_REASON,
    dev: Dev = False,
) -> None:
    """Let a relay have no more mail until it is resumed.

    Every process obeys within two seconds, also those that start later. What is under way there is
    finished; the rest goes to the other relays, or waits and loses no try.
    """
    if len(reason) > MAX_REASON:
        raise typer.BadParameter(f"at most {MAX_REASON} characters", param_hint="--reason")
    obeying = _order(name, reason, is_dev=dev, paused=True)
    say(f"The relay {name} is paused. {obeying} `notifier relays resume {name}` lets it go on.")


@app.command(epilog=example("notifier relays resume main"))
def resume(name: Name, *, dev: Dev = False) -> None:
    """Let a relay go on, and find out at once whether it works.

    Also for one that was paused because it refused us: after mending the settings and starting
    again, or after mending the account there.
    """
    obeying = _order(name, "resumed", is_dev=dev, paused=False)
    say(f"The relay {name} may go on. {obeying}")


def _order(name: str, reason: str, *, is_dev: bool, paused: bool) -> str:
    """Write the order down; says by whom it is obeyed."""
    settings = load_here(is_dev=is_dev, purpose="manage").settings
    with open_operator(settings) as operator:
        known = _known(settings, operator)
        if name not in known:
            names = ", ".join(known) or "none; set NOTIFIER_RELAYS__MAIN__URL"
            raise typer.BadParameter(
                f"there is no relay {name}; there are: {names}", param_hint="NAME"
            )
        operator.command(name, reason, paused=paused)
        alive = operator.alive()
    if not alive:
        return "No process delivers just now; the next one to start obeys."
    return f"{len(alive)} {'process obeys' if len(alive) == 1 else 'processes obey'} within 2 s."


def _known(settings: Settings, operator: Operator) -> Mapping[str, Known]:
    """By name: those of the settings here, those that processes have, and those spoken of."""
    own = _own(settings)
    alive = operator.alive()
    orders = {order.relay: order for order in operator.relay_commands()}
    seen = {relay.name for worker in alive for relay in worker.relays}
    return {
        name: Known(
            name,
            own.get(name),
            [(worker, one) for worker in alive for one in worker.relays if one.name == name],
            orders.get(name),
        )
        for name in sorted({*own, *seen})
    }


def _own(settings: Settings) -> Mapping[str, RelaySettings]:
    found = dict(settings.relays)
    if settings.smtp_url and not found:
        found["main"] = RelaySettings(url=settings.smtp_url)
    if settings.capture_url:
        found[CAPTURE] = RelaySettings(url=settings.capture_url)
    return found


def _tell(relay: Known, now: datetime) -> None:
    own = relay.settings
    put(Painted(relay.name, "bold"), "" if own is None else f"  {_settings(own)}")
    for worker, view in relay.views:
        since = f" since {moment(view.since, now)}"
        put("  ", Painted(view.state, STATES[view.state]), f"{since}, says {worker.name}")
        if view.reason:
            put_prose(view.reason, indent="    ")
    if not relay.views:
        put("  no process that delivers knows it")
    if relay.order is not None and relay.order.paused:
        put_prose(f"ordered to pause at {moment(relay.order.at, now)}: {relay.order.reason}")


def _settings(own: RelaySettings) -> str:
    url = "without a URL" if own.url is None else shown_url(own.url)
    rate = "" if own.rate_per_s is None else f", {own.rate_per_s:g} mails/s"
    return f"{url}, at most {own.connections} connections{rate}"


def _json(relay: Known) -> dict[str, Any]:
    own, order = relay.settings, relay.order
    return {
        "name": relay.name,
        "url": None if own is None or own.url is None else shown_url(own.url),
        "connections": None if own is None else own.connections,
        "rate_per_s": None if own is None else own.rate_per_s,
        "paused": order is not None and order.paused,
        "ordered_at": time_text(order.at) if order is not None else None,
        "reason": order.reason if order is not None and order.paused else None,
        "seen": [relay_json(worker, view) for worker, view in relay.views],
    }
