"""`notifier send`."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from notifier.cli.door import Door
from notifier.cli.endings import FAILED
from notifier.cli.options import taking
from notifier.cli.settings import AsJson, load_here
from notifier.cli.terminal import HELP_OPTIONS, example, put, put_json, say, working
from notifier.settings import defaults

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

_ARRIVED: Final = frozenset({"sent", "captured"})
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_LONGEST_HOLD_S: Final = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """What `notifier send` is told."""

    to: Annotated[
        list[str], typer.Argument(metavar="TO", help="Whom to: a@example.org or 'Name <a@b.org>'.")
    ]
    subject: Annotated[str | None, typer.Option(help="The subject, unless a template has it.")] = (
        None
    )
    text: Annotated[str | None, typer.Option(help="The text; - reads it from standard input.")] = (
        None
    )
    html: Annotated[str | None, typer.Option(help="The HTML; - reads it from standard input.")] = (
        None
    )
    template: Annotated[str | None, typer.Option(help="A template, in place of these three.")] = (
        None
    )
    var: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A variable, as name=text or name:=JSON. Can be given several times.",
        ),
    ] = None
    locale: Annotated[str | None, typer.Option(help="The template's language, as in de-AT.")] = None
    from_: Annotated[str | None, typer.Option("--from", help="The sender.")] = None
    reference: Annotated[str | None, typer.Option(help="Your own id of it.")] = None
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key sends the same mail once, however often.")
    ] = None
    wait: Annotated[bool, typer.Option("--wait", help="Stay until every mail has its end.")] = False
    timeout: Annotated[
        float, typer.Option(help="Longest wait in seconds, under --wait.", min=0, max=86400)
    ] = 60.0
    url: Annotated[
        str | None, typer.Option(help="Where Notifier answers.", show_default="this machine")
    ] = None
    key: Annotated[
        str | None, typer.Option(help="An API key. It shows in lists of processes: see --key-file.")
    ] = None
    key_file: Annotated[Path | None, typer.Option(help="A file with an API key.")] = None
    as_json: AsJson = False


@app.command(
    epilog=example(
        "notifier send ada@example.org --subject Hello --text 'It works.'",
        "notifier send ada@example.org --template welcome --var name=Ada --wait",
        "date | notifier send ada@example.org --subject Report --text -",
    )
)
@taking(Letter)
def send(letter: Letter) -> None:
    """Send a mail through a running Notifier.

    By default it is the one of `notifier dev` on this machine. Prints the notification's id; under
    --wait also each mail's status, and the exit code is 1 if one did not arrive at its relay.
    """
    body = _body(letter, sys.stdin.read)
    door = Door(_url(letter.url), _key(letter))
    deadline = time.monotonic() + letter.timeout
    with working("Sending ..."):
        found = door.post("/v1/notifications", body, _headers(letter))
        if letter.wait:
            found = _followed(door, found, deadline)
    if letter.as_json:
        put_json(found)
    else:
        _report(found, with_messages=letter.wait)
    if letter.wait and not all(one.get("status") in _ARRIVED for one in _messages(found)):
        raise typer.Exit(FAILED)


def _body(letter: Letter, read: Callable[[], str]) -> dict[str, Any]:
    """The request. Raises BadParameter for what cannot be right whatever the server says."""
    words = {"subject": letter.subject, "html": letter.html, "text": letter.text}
    if letter.template is None and (letter.var or letter.locale):
        raise typer.BadParameter(
            "belongs to --template", param_hint="--var" if letter.var else "--locale"
        )
    if letter.template is not None and any(words.values()):
        raise typer.BadParameter("brings subject, text and html itself", param_hint="--template")
    if letter.template is None and not (letter.subject and (letter.text or letter.html)):
        raise typer.BadParameter("give --template, or --subject with --text or --html")
    if letter.text == letter.html == "-":
        raise typer.BadParameter("only one can be standard input", param_hint="--text, --html")
    template = None
    if letter.template is not None:
        variables = dict(map(_variable, letter.var or ()))
        template = {"name": letter.template, "variables": variables, "locale": letter.locale}
    body: dict[str, Any] = {
        "to": letter.to,
        "template": template and {k: v for k, v in template.items() if v is not None},
        **{name: read() if text == "-" else text for name, text in words.items()},
        "from": letter.from_,
        "reference": letter.reference,
    }
    return {name: value for name, value in body.items() if value is not None}


def _variable(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name.removesuffix(":"):
        raise typer.BadParameter("write name=text, or name:=JSON", param_hint="--var")
    if not name.endswith(":"):
        return name, value
    try:
        return name.removesuffix(":"), json.loads(value)
    except ValueError:
        raise typer.BadParameter(
            f"{name}= has to be followed by JSON", param_hint="--var"
        ) from None


def _headers(letter: Letter) -> dict[str, str]:
    headers = {}
    if letter.idempotency_key is not None:
        headers["Idempotency-Key"] = letter.idempotency_key
    if letter.wait:
        # RFC 7240: spares the asking again, where the server holds the answer.
        headers["Prefer"] = f"wait={min(int(letter.timeout), _LONGEST_HOLD_S)}"
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise typer.BadParameter("has to be printable ASCII", param_hint=name)
    return headers


def _url(given: str | None) -> str:
    if given is None:
        settings = load_here(is_dev=True, purpose="manage").settings
        port = settings.http.port or defaults.HTTP_PORT
        return defaults.listener_url(settings, http_port=port)
    try:
        url = urlsplit(given)
        fits = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        fits = False
    if not fits or not given.isascii() or not given.isprintable() or set(given) & set(" ?#@"):
        raise typer.BadParameter("write it as https://notify.example.org", param_hint="--url")
    return given.rstrip("/")


def _key(letter: Letter) -> str | None:
    if letter.key is not None and letter.key_file is not None:
        raise typer.BadParameter("give one of the two", param_hint="--key, --key-file")
    key = letter.key
    if letter.key_file is not None:
        try:
            key = letter.key_file.read_text(encoding="ascii").strip()
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise typer.BadParameter(reason, param_hint="--key-file") from None
        except UnicodeDecodeError:
            raise typer.BadParameter("holds no API key", param_hint="--key-file") from None
    if key is not None and not (key.isascii() and key.isprintable() and key):
        raise typer.BadParameter("is no API key", param_hint="--key")
    return key


def _followed(door: Door, found: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The notification once all its mails are final, or as it stands when the time is over."""
    pause_s = _FIRST_PAUSE_S
    while not all(one.get("final") for one in _messages(found)):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            say("The time is over; Notifier goes on without you.")
            break
        time.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        found = door.get(f"/v1/notifications/{found['id']}")
    return found


def _report(found: dict[str, Any], *, with_messages: bool) -> None:
    put(str(found["id"]))
    for message in _messages(found) if with_messages else ():
        put(f"{message.get('status')} {message.get('to')}")


def _messages(found: dict[str, Any]) -> list[dict[str, Any]]:
    messages = found.get("messages")
    return messages if isinstance(messages, list) else []
