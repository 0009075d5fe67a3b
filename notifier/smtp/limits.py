"""How long a mail can take, by the sum of its phases' limits."""

from notifier.settings.sections import RelaySettings
from notifier.smtp.wire import BLOCK_BYTES


def opening_s(limits: RelaySettings) -> float:
    """A connection until it is fit for mails: banner, EHLO twice, STARTTLS and AUTH in up to two
    steps each have the command's limit.
    """
    return limits.connect_timeout_s + 6 * limits.command_timeout_s


def dialogue_s(limits: RelaySettings, size_bytes: int) -> float:
    """A mail of so many bytes over an open connection: RSET, MAIL and RCPT each have the
    command's limit, every block its own.
    """
    blocks = size_bytes // BLOCK_BYTES + 1
    envelope = 3 * limits.command_timeout_s + limits.data_timeout_s
    return envelope + blocks * limits.block_timeout_s + limits.dot_timeout_s


def deadline_s(limits: RelaySettings, size_bytes: int) -> float:
    """The longest time a mail can take over one connection that is opened for it."""
    return opening_s(limits) + dialogue_s(limits, size_bytes)
