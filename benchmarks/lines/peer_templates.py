"""Our `notification` template as a plain Jinja one, so that peers render the same mail."""

import email
import email.policy
import json
from email.message import EmailMessage
from pathlib import Path

from benchmarks.lines.mails import WORDS, one_mail
from benchmarks.rig.figures import Failed
from benchmarks.rig.load import Load, put_under
from benchmarks.rig.machine import free_port
from benchmarks.rig.started import KEY, notifier, settings_for

MARKS = {"title": "MARKEDTITLE", "name": "MARKEDNAME", "message": "MARKEDMESSAGE"}
ORDER = json.dumps(
    {
        "to": "pNNNNNNNN@example.org",
        "title": "Your order has been shipped",
        "name": "Ada",
        "message": WORDS * 6,
    }
)


def peer_templates(folder: Path) -> Path:
    """A folder with `notification.html` and `.txt`: our own mail with blanks. Raises Failed."""
    store, templates = folder / "marked", folder / "templates"
    store.mkdir()
    templates.mkdir()
    with notifier(store, "serve", "--no-dispatch", settings=settings_for(free_port())) as ours:
        words = {"name": "notification", "variables": MARKS}
        body = json.dumps({"to": "pNNNNNNNN@example.org", "template": words})
        put_under(Load([ours.port], body, 1, KEY, connections=1))
    mail = email.message_from_bytes(one_mail(store), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    for kind, name in (("plain", "notification.txt"), ("html", "notification.html")):
        part = mail.get_body((kind,))
        if part is None:
            raise Failed(f"our mail has no {kind} part")
        (templates / name).write_text(with_blanks(part.get_content()), "utf-8")
    return templates


def with_blanks(text: str) -> str:
    """The marks as Jinja's blanks; the preview, which comes first in html, is cut as ours is."""
    for name, mark in MARKS.items():
        if name == "message" and text.count(mark) > 1:
            text = text.replace(mark, "{{ message|truncate(120) }}", 1)
        text = text.replace(mark, "{{ " + name + " }}")
    return text
