"""`notifier dev`, `serve`, `worker` and `mailbox`: the processes that run until stopped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from notifier.assembly.process import Role, run
from notifier.cli.endings import UNUSABLE, complain
from notifier.cli.settings import load_here
from notifier.cli.terminal import HELP_OPTIONS, example
from notifier.core.errors import Misconfigured
from notifier.settings.load import Purpose

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)

Host = Annotated[
    str | None,
    typer.Option(help="Address to listen on (NOTIFIER_HTTP__HOST).", show_default="127.0.0.1"),
]
Port = Annotated[
    int | None,
    typer.Option(help="Port to listen on (NOTIFIER_HTTP__PORT).", show_default="8000"),
]
SmtpPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the capture server (NOTIFIER_MAILBOX__SMTP_PORT).", show_default="1025"
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of queue and mailbox (NOTIFIER_DATA_DIR).", show_default=".data"),
]


@app.command(epilog=example("notifier dev", "notifier dev --port 9000 --data-dir /tmp/notifier"))
def dev(
    *, host: Host = None, port: Port = None, smtp_port: SmtpPort = None, data_dir: DataDir = None
) -> None:
    """Everything in one process, on this machine only.

    API, delivery, capture server and inbox, on SQLite. Mail goes to the inbox and nowhere else.
    Ports that are not set move on when they are busy. Reads .env from this folder.
    """
    options = _options(host, port, smtp_port, data_dir)
    _start("dev", is_dev=True, options=options)


@app.command(epilog=example("notifier serve", "notifier serve --host 0.0.0.0 --no-dispatch"))
def serve(
    *,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    dispatch: Annotated[
        bool, typer.Option(help="Deliver mail too; --no-dispatch leaves that to workers.")
    ] = True,
) -> None:
    """The API, and the delivery of what it accepts.

    Needs NOTIFIER_PUBLIC_URL, NOTIFIER_SECRET_KEY and NOTIFIER_MAIL__FROM, and a relay to deliver
    to. `notifier config check` says what is missing. SIGTERM ends it with exit code 0.
    """
    options = _options(host, port, None, data_dir)
    _start("serve", is_dev=False, options=options, dispatch=dispatch)


@app.command(epilog=example("notifier worker"))
def worker(*, data_dir: DataDir = None) -> None:
    """The delivery alone, beside any number of others.

    Takes the same settings as `notifier serve`, and the same database.
    """
    _start("worker", is_dev=False, options=_options(None, None, None, data_dir))


@app.command(epilog=example("notifier mailbox", "notifier mailbox --smtp-port 2525 --ephemeral"))
def mailbox(
    *,
    host: Host = None,
    port: Port = None,
    smtp_port: SmtpPort = None,
    data_dir: DataDir = None,
    ephemeral: Annotated[
        bool | None,
        typer.Option("--ephemeral", help="Forget the mail at the end.", show_default=False),
    ] = None,
) -> None:
    """The capture server and its inbox alone.

    For any application that sends mail: point it at the capture server's port. Reads .env from
    this folder, as `notifier dev` does.
    """
    options = {
        **_options(host, port, smtp_port, data_dir),
        "NOTIFIER_MAILBOX__EPHEMERAL": ephemeral,
    }
    _start("mailbox", is_dev=True, options=options, purpose="capture")


def _options(
    host: str | None, port: int | None, smtp_port: int | None, data_dir: Path | None
) -> dict[str, object]:
    return {
        "NOTIFIER_HTTP__HOST": host,
        "NOTIFIER_HTTP__PORT": port,
        "NOTIFIER_MAILBOX__SMTP_PORT": smtp_port,
        "NOTIFIER_DATA_DIR": data_dir,
    }


def _start(
    role: Role,
    *,
    is_dev: bool,
    options: Mapping[str, object],
    dispatch: bool = True,
    purpose: Purpose = "serve",
) -> NoReturn:
    try:
        loaded = load_here(is_dev=is_dev, purpose=purpose, options=options)
        code = run(role, loaded.settings, dispatch=dispatch)
    except Misconfigured as error:
        complain("Notifier did not start:", error.problems)
        raise typer.Exit(UNUSABLE) from None
    raise typer.Exit(code)
