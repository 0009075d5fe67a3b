"""What `notifier dev` prints when it is ready: where to look, and a line to paste."""

from notifier.assembly.listening import Listening
from notifier.settings import Settings
from notifier.settings.defaults import listener_url

_CURL = """\
  curl -s {api}/v1/notifications -H 'Content-Type: application/json' \\
    -d '{{"to": "you@example.com", "subject": "Hello", "text": "It works."}}'"""


def first_steps(settings: Settings, sockets: Listening, *, sample_sent: bool) -> str:
    """A few lines for a person at a terminal."""
    api = listener_url(settings, http_port=sockets.http_port)
    inbox = f"{api}/mailbox"
    lines = ["", f"Notifier is ready. Open the inbox:  {inbox}", ""]
    if sample_sent:
        lines += ["A sample mail is waiting there. Send one of your own:", ""]
    else:
        lines += ["Send a mail:", ""]
    lines += [
        _CURL.format(api=api),
        "",
        f"  API reference   {api}/docs",
        f"  SMTP capture    127.0.0.1:{sockets.smtp_port} (any application may send to it)",
        f"  Data            {settings.data_dir}",
        "",
    ]
    if settings.dev.send_for_real:
        lines += ["SEND_FOR_REAL is on: mail to the configured relays leaves this machine.", ""]
    else:
        lines += ["Nothing leaves this machine. Ctrl-C ends it.", ""]
    lines[1:1] = [*sockets.moved, ""] if sockets.moved else []
    return "\n".join(lines)
