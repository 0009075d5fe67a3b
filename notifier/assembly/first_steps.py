"""What `notifier dev` and `notifier mailbox` print when they are ready: where to look."""

from notifier.assembly.listening import Listening
from notifier.settings import Settings
from notifier.settings.defaults import as_seen_from_here, listener_url

_CURL = """\
  curl -s {api}/v1/notifications -H 'Content-Type: application/json' \\
    -d '{{"to": "you@example.com", "subject": "Hello", "text": "It works."}}'"""


def first_steps(settings: Settings, sockets: Listening, *, sample_sent: bool) -> str:
    """A few lines for a person at a terminal, with a line to paste."""
    api = listener_url(settings, http_port=sockets.http_port)
    waiting = "A sample mail is waiting there. Send one of your own:"
    if settings.dev.send_for_real:
        reach = "SEND_FOR_REAL is on: mail to the configured relays leaves this machine."
    else:
        reach = "Nothing leaves this machine. Ctrl-C ends it."
    return _lines(
        *_opening(settings, sockets, "Notifier"),
        waiting if sample_sent else "Send a mail:",
        "",
        _CURL.format(api=api),
        "",
        f"  API reference   {api}/docs",
        *_places(settings, sockets),
        "",
        reach,
    )


def mailbox_steps(settings: Settings, sockets: Listening) -> str:
    """The same for the mailbox alone."""
    return _lines(
        *_opening(settings, sockets, "The mailbox"),
        *_places(settings, sockets),
        "",
        "What it takes goes no further. Ctrl-C ends it.",
    )


def _opening(settings: Settings, sockets: Listening, who: str) -> list[str]:
    inbox = f"{listener_url(settings, http_port=sockets.http_port)}/mailbox"
    moved = [*sockets.moved, ""] if sockets.moved else []
    return [*moved, f"{who} is ready. Open the inbox:  {inbox}", ""]


def _places(settings: Settings, sockets: Listening) -> list[str]:
    smtp = f"{as_seen_from_here(settings.mailbox.smtp_host)}:{sockets.smtp_port}"
    lasting = "" if not settings.mailbox.ephemeral else "; captured mail is forgotten at the end"
    return [
        f"  SMTP capture    {smtp} (any application may send to it)",
        f"  Data            {settings.data_dir}{lasting}",
    ]


def _lines(*lines: str) -> str:
    return "\n".join(["", *lines, ""])
