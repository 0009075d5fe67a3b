"""What rendering gives: the words of one mail, before they become bytes."""

from dataclasses import dataclass
from typing import Literal

from notifier.core.address import Mailbox

Stream = Literal["urgent", "transactional", "bulk"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Subject and bodies, and what the template says about the mail.

    `template`, `version`, `sender`, `life_s` and `locale` are None where nothing says them;
    `secret` means bytes and variables have to be encrypted and erased early.
    """

    subject: str
    text: str
    html: str | None
    template: str | None = None
    version: str | None = None
    secret: bool = False
    stream: Stream = "transactional"
    life_s: float | None = None
    sender: Mailbox | None = None
    locale: str | None = None
