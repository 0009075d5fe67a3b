"""Mails whose words come with the call instead of from a template."""

from collections.abc import Iterator

from notifier.compose.headers import check_header_text
from notifier.compose.plain import html_to_text
from notifier.compose.rendered import Rendered
from notifier.core.errors import FieldError, Invalid
from notifier.core.text import body_fault


def render_inline(subject: str, html: str | None, text: str | None) -> Rendered:
    """The mail as given, with the text version made from `html` where it is missing.

    Raises `Invalid` with every field that does not fit.
    """
    if errors := tuple(_faults(subject, html, text)):
        raise Invalid("The mail's words do not fit.", errors=errors)
    subject = subject.strip()
    if text is None or not text.strip():
        # A picture alone leaves no words; the subject is better than a blank page.
        text = html_to_text(html or "") or f"{subject}\n"
    return Rendered(subject, text, html)


def _faults(subject: str, html: str | None, text: str | None) -> Iterator[FieldError]:
    if error := check_header_text(subject, "/subject"):
        yield error
    elif not subject.strip():
        yield FieldError("/subject", "blank", "Give the mail a subject.")
    for pointer, body in (("/html", html), ("/text", text)):
        if body is not None and (fault := body_fault(body)):
            yield FieldError(pointer, fault.code, fault.detail)
    if not any(body and body.strip() for body in (html, text)):
        yield FieldError("/text", "missing", "Give text or html with something in it.")
