"""`notifier keys`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from notifier.assembly.keys import open_keys
from notifier.cli.options import taking
from notifier.cli.phrases import length_of, time_text
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.terminal import HELP_OPTIONS, example, put, put_json, put_table, say
from notifier.core.address import AddressError, parse_mailbox
from notifier.core.api_key import ENTROPY_BYTES, SCOPES, ApiKey, mint, unknown_scopes
from notifier.core.route import Route
from notifier.settings.checks import PROJECT_CHARS, is_project

app = typer.Typer(
    help="Create, list and revoke API keys.",
    context_settings=HELP_OPTIONS,
    epilog=example("notifier keys create shop", "notifier keys list", "notifier keys revoke shop"),
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_USUAL: Final = ("send", "read", "templates", "registrations")
_PROJECT_HELP: Final = "The project whose mail it can send and see."


@dataclass(frozen=True, slots=True)
class NewKey:
    """What `notifier keys create` is told."""

    name: Annotated[str, typer.Argument(metavar="NAME", help="A name to know it by, unique.")]
    project: Annotated[str, typer.Option(help=_PROJECT_HELP)] = "default"
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help=f"What it may do: {', '.join(sorted(SCOPES))}. Can be given several times.",
            show_default="all but admin",
        ),
    ] = None
    test: Annotated[
        bool, typer.Option("--test", help="Its mail reaches the capture server only.")
    ] = False
    from_domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN",
            help="A domain it may send from. Can be given several times.",
            show_default="every one that the settings allow",
        ),
    ] = None
    expires_in: Annotated[
        str | None,
        typer.Option(help="Its life, as in 90d; s, m, h, d or w.", show_default="for ever"),
    ] = None
    print_only: Annotated[
        bool,
        typer.Option(
            "--print-only",
            help="Store nothing: it will be declared as NOTIFIER_KEYS__<NAME>__SECRET.",
        ),
    ] = False
    dev: Dev = False
    as_json: AsJson = False

    @property
    def route(self) -> Route:
        """Where its mail may go."""
        return "test" if self.test else "live"


@app.command(
    epilog=example(
        "notifier keys create shop",
        "notifier keys create ci --test --scope send --scope read --expires-in 30d",
        "KEY=$(notifier keys create shop)",
    )
)
@taking(NewKey)
def create(new: NewKey) -> None:
    """Make a key and print it, this once.

    Only its SHA-256 is kept.
    """
    scopes, domains, expires_at = _checked(new, datetime.now(UTC))
    if new.print_only:
        put(mint(os.urandom(ENTROPY_BYTES), new.route).plaintext)
        return
    with open_keys(load_here(is_dev=new.dev, purpose="manage").settings) as desk:
        plaintext, key = desk.create(
            new.name,
            project=new.project,
            scopes=scopes,
            route=new.route,
            from_domains=domains,
            expires_at=expires_at,
        )
    if new.as_json:
        put_json({"key": plaintext, **_json(key)})
        return
    put(plaintext)
    scopes_text = ", ".join(sorted(key.scopes))
    say(f"The key {key.name} ({key.id}) has the scopes {scopes_text}. It is not shown again.")


@app.command(
    "list", epilog=example("notifier keys list", "notifier keys list --project shop --json")
)
def list_keys(
    *,
    project: Annotated[
        str | None, typer.Option(help=_PROJECT_HELP, show_default="all of them")
    ] = None,
    dev: Dev = False,
    as_json: AsJson = False,
) -> None:
    """List keys, oldest first, revoked ones too.

    Those that settings declare (NOTIFIER_KEYS__<NAME>__SECRET) are not among them.
    """
    with open_keys(load_here(is_dev=dev, purpose="manage").settings) as desk:
        keys = desk.list(project)
    if as_json:
        put_json([_json(key) for key in keys])
    elif keys:
        now = datetime.now(UTC)
        put_table(
            ("NAME", "ID", "PROJECT", "PREFIX", "STATE", "SCOPES"), [_row(k, now) for k in keys]
        )
    else:
        say("There are no keys: `notifier keys create NAME` makes one.")


@app.command(epilog=example("notifier keys revoke shop"))
def revoke(
    id_or_name: Annotated[str, typer.Argument(help="Its id or its name.", metavar="ID_OR_NAME")],
    *,
    dev: Dev = False,
    as_json: AsJson = False,
) -> None:
    """Make a key useless, within two seconds and for ever."""
    with open_keys(load_here(is_dev=dev, purpose="manage").settings) as desk:
        key = desk.revoke(id_or_name)
    if as_json:
        put_json(_json(key))
    else:
        say(f"The key {key.name} ({key.id}) is revoked.")


def _checked(new: NewKey, now: datetime) -> tuple[frozenset[str], tuple[str, ...], datetime | None]:
    """Scopes, domains and end of the key. Raises BadParameter."""
    if not is_project(new.name):
        raise typer.BadParameter(f"a name has 1 to {PROJECT_CHARS} characters", param_hint="NAME")
    if not is_project(new.project):
        raise typer.BadParameter(
            f"a project has 1 to {PROJECT_CHARS} characters", param_hint="--project"
        )
    scopes = frozenset(new.scope or _USUAL)
    if unknown_scopes(scopes):
        known = ", ".join(sorted(SCOPES))
        raise typer.BadParameter(f"there are {known}", param_hint="--scope")
    return scopes, _domains(new.from_domain or ()), _end(new.expires_in, now)


def _domains(given: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(parse_mailbox(f"postmaster@{domain}").domain for domain in given)
    except AddressError as error:
        raise typer.BadParameter(error.detail, param_hint="--from-domain") from None


def _end(span: str | None, now: datetime) -> datetime | None:
    if span is None:
        return None
    length = length_of(span)
    if length is None:
        raise typer.BadParameter(
            "write a number and s, m, h, d or w, as in 90d", param_hint="--expires-in"
        )
    try:
        return now + length
    except OverflowError:
        raise typer.BadParameter("that is too long", param_hint="--expires-in") from None


def _row(key: ApiKey, now: datetime) -> tuple[str, ...]:
    scopes = ",".join(sorted(key.scopes))
    return key.name, key.id, key.project, key.prefix + "…", _state(key, now), scopes


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expired(now) else key.route


def _json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "route": key.route,
        "from_domains": list(key.from_domains),
        "created_at": time_text(key.created_at),
        "expires_at": time_text(key.expires_at),
        "revoked_at": time_text(key.revoked_at),
    }
