"""Relay reply -> what we do: one pure function of one outcome.

The enhanced code (RFC 3463) beats the basic one (RFC 5321 §4.2), and the message's fault beats
the relay's: a relay is never blamed for one mail, and mails never pay for a relay.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase, Reply

SEVERAL: Final = 3
"""So many mails refused at MAIL in a row with one code concern the relay, not the mails."""


class Action(StrEnum):
    """What becomes of the message."""

    SENT = "sent"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    RETRY = "retry"
    AMBIGUOUS = "ambiguous"
    RELAY_DOWN = "relay_down"
    RELAY_MISCONFIGURED = "relay_misconfigured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision.

    `RELAY_DOWN` and `RELAY_MISCONFIGURED` keep the message as it was, whatever their number.
    `ambiguous`: nobody can know whether it was delivered. `burns_attempt`: it counts towards
    the message's attempts. `relay_fault`: it counts towards the relay's rest. `greylisted`: the
    relay wants to see it again in some minutes. `steps_aside`: others are to be tried before it,
    since it may be what the relay refuses. `alert`: an operator has to look at it. `reason` is a
    short stable code.
    """

    action: Action
    reason: str
    ambiguous: bool = False
    burns_attempt: bool = True
    relay_fault: bool = False
    greylisted: bool = False
    steps_aside: bool = False
    alert: bool = False


_OPENING: Final = {Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
_UNFIT: Final = {LinkFault.SIZE, LinkFault.SMTPUTF8, LinkFault.UNSENDABLE}
_MISSET: Final = {LinkFault.CERTIFICATE, LinkFault.STARTTLS_MISSING, LinkFault.AUTH_MISSING}
# RFC 4954 §6: what a server says when it does not know who we are; 432 does not pass by itself.
_AUTH_CODES: Final = {432, 530, 534, 535, 538}
# RFC 5248 has X.7.13: our account was disabled.
_AUTH_ENHANCED: Final = {"5.7.8", "5.7.9", "5.7.11", "5.7.13"}
_SIZE_ENHANCED: Final = {"5.2.3", "5.3.4"}
# RFC 7505 §4.2 (sender without a mail exchanger); Exchange Online's "may not send as".
_SENDER_ENHANCED: Final = {"5.7.27", "5.7.60"}
_SENDER_CODES: Final = {501, 553}
# RFC 5321 §4.2.4: the relay did not understand a command that it should know.
_DIALOGUE_CODES: Final = {500, 502, 503, 504}
_GREY_TEXT: Final = re.compile(r"gr[ae]y-?list|postgrey|try again in \d+ ?(s|m)", re.IGNORECASE)
# RFC 5321 §4.2.3 gives 552 for any storage; only the text tells a full mailbox from a long mail.
_FULL_TEXT: Final = re.compile(r"quota|(mail)?box (is )?full|full (mail)?box", re.IGNORECASE)
_ACCEPTED: Final = Verdict(Action.SENT, "accepted")


def verdict(outcome: Outcome, *, reached_mail: bool, mail_refusals: int | None = None) -> Verdict:
    """What `outcome` means for the message and for the relay.

    `reached_mail` is whether MAIL was written, that is, whether this was an attempt at all.
    `mail_refusals` is how many different mails in a row, with this one, the relay refused at
    MAIL; None: not known, then the code alone decides whom it concerns.
    """
    if isinstance(outcome, LinkFailure):
        return _of_failure(outcome, reached_mail=reached_mail)
    if outcome.code == 421:  # RFC 5321 §3.8: the service goes away, at whatever point
        return _link("closing", reached_mail=reached_mail)
    if outcome.code < 400:
        return _of_positive(outcome, reached_mail=reached_mail)
    if _about_login(outcome):
        return _misconfigured("auth_required_or_refused")
    if outcome.phase in _OPENING:
        return _of_opening(outcome)
    if not permanent(outcome):
        return _of_temporary(outcome)
    if outcome.phase is Phase.MAIL:
        return _of_mail_refused(outcome, mail_refusals)
    return _of_refused(outcome)


def permanent(reply: Reply) -> bool:
    """Whether a negative reply is final: RFC 3463 §2's class where there is one, else the code's
    first digit.
    """
    if reply.enhanced is not None and reply.enhanced[0] in "45":
        return reply.enhanced[0] == "5"
    return reply.code >= 500


def refused_at_mail(outcome: Outcome) -> bool:
    """Whether the relay refused at MAIL for good, for no reason that lies in the mail's content
    or in our login: then it is the mail's sender, or everything that we send.
    """
    return (
        isinstance(outcome, Reply)
        and outcome.phase is Phase.MAIL
        and outcome.code != 421
        and outcome.code >= 400
        and permanent(outcome)
        and not _about_login(outcome)
        and _content_fault(outcome) is None
    )


def _about_login(reply: Reply) -> bool:
    return reply.code in _AUTH_CODES or reply.enhanced in _AUTH_ENHANCED


def _about_sender(reply: Reply) -> bool:
    enhanced = reply.enhanced
    if enhanced is None or enhanced.startswith("5.5."):
        return reply.code in _SENDER_CODES
    return enhanced.startswith("5.1.") or enhanced in _SENDER_ENHANCED


def _of_failure(failure: LinkFailure, *, reached_mail: bool) -> Verdict:
    if failure.fault in _UNFIT:
        return Verdict(Action.REJECTED, failure.fault.value, burns_attempt=False)
    if failure.fault in _MISSET:
        return _misconfigured(failure.fault.value)
    if failure.fault is LinkFault.RESTING:
        return Verdict(Action.RELAY_DOWN, failure.fault.value, burns_attempt=False)
    if failure.phase is Phase.DOT:  # RFC 5321 §4.5.3.2.6: it may have been delivered
        reason = f"dot_{failure.fault.value}"
        return Verdict(Action.AMBIGUOUS, reason, ambiguous=True, relay_fault=True)
    return _link(failure.fault.value, reached_mail=reached_mail)


def _of_positive(reply: Reply, *, reached_mail: bool) -> Verdict:
    if reply.phase is not Phase.DOT:
        return _link("unexpected_reply", reached_mail=reached_mail)
    if reply.ok:
        return _ACCEPTED
    return Verdict(Action.AMBIGUOUS, "dot_unexpected_reply", ambiguous=True, relay_fault=True)


def _of_opening(reply: Reply) -> Verdict:
    if permanent(reply):
        return _misconfigured(f"{reply.phase.value}_refused")
    return _link(f"{reply.phase.value}_deferred", reached_mail=False)


def _of_temporary(reply: Reply) -> Verdict:
    if _greylisted(reply):
        return Verdict(Action.RETRY, "greylisted", greylisted=True)
    if reply.phase is Phase.MAIL:
        return Verdict(Action.RETRY, "mail_deferred", relay_fault=True)
    if reply.enhanced is not None and reply.enhanced.startswith("4.3."):
        return Verdict(Action.RETRY, "relay_system_status", relay_fault=True)
    return Verdict(Action.RETRY, f"{reply.phase.value}_deferred")


def _greylisted(reply: Reply) -> bool:
    """RFC 6647 §5: 451, and 4.7.1, which at MAIL says too little: it may be about us."""
    if reply.code not in {450, 451}:
        return False
    by_code = reply.enhanced == "4.7.1" and reply.phase is not Phase.MAIL
    return by_code or _GREY_TEXT.search(reply.text) is not None


def _of_mail_refused(reply: Reply, mail_refusals: int | None) -> Verdict:
    """The message's own fault beats its sender's, and that beats the relay's.

    One refusal that does not say whom it concerns is tried again: if it was the relay, the next
    mails will tell, and nothing is lost meanwhile.
    """
    content = _content_fault(reply)
    if content is not None:
        return content
    single = mail_refusals is not None and mail_refusals < SEVERAL
    if _about_sender(reply) and (single or mail_refusals is None):
        return Verdict(Action.REJECTED, "sender_refused", alert=True)
    if single:
        return Verdict(Action.RETRY, "mail_refused", alert=True)
    return _misconfigured("mail_refused", steps_aside=True)


def _of_refused(reply: Reply) -> Verdict:
    """A permanent refusal at RCPT, DATA or the final dot."""
    if _mailbox_full(reply):
        return Verdict(Action.RETRY, "mailbox_full")
    content = _content_fault(reply)
    if content is not None:
        return content
    enhanced = reply.enhanced or ""
    if enhanced.startswith("5.7."):
        return Verdict(Action.REJECTED, "policy", alert=True)
    if reply.phase is Phase.DOT:
        return _of_dot_refused(enhanced)
    if reply.code in _DIALOGUE_CODES and enhanced[:4] in {"", "5.5."}:
        return _misconfigured("dialogue")
    if reply.phase is Phase.RCPT and not enhanced.startswith("5.3."):
        return Verdict(Action.BOUNCED, "recipient_refused")
    if enhanced.startswith("5.1."):
        return Verdict(Action.BOUNCED, "recipient_refused")
    return Verdict(Action.REJECTED, f"{reply.phase.value}_refused")


def _mailbox_full(reply: Reply) -> bool:
    """For good by its code (RFC 3463 §3.3), but mailboxes are emptied: retried while it lives."""
    if reply.enhanced is not None:
        return reply.enhanced == "5.2.2"
    return reply.code == 552 and _FULL_TEXT.search(reply.text) is not None


def _of_dot_refused(enhanced: str) -> Verdict:
    if enhanced.startswith("5.1.") or enhanced == "5.2.1":
        return Verdict(Action.BOUNCED, "recipient_refused")
    return Verdict(Action.REJECTED, "content_refused")


def _content_fault(reply: Reply) -> Verdict | None:
    """The message's own fault: its size (RFC 1870 §6) or its form (RFC 3463 §3.7, RFC 6531)."""
    if reply.enhanced in _SIZE_ENHANCED or (reply.code == 552 and reply.enhanced is None):
        return Verdict(Action.REJECTED, "too_large")
    if reply.enhanced is not None and reply.enhanced.startswith("5.6."):
        return Verdict(Action.REJECTED, "content_refused")
    return None


def _link(reason: str, *, reached_mail: bool) -> Verdict:
    action = Action.RETRY if reached_mail else Action.RELAY_DOWN
    return Verdict(action, reason, burns_attempt=reached_mail, relay_fault=True)


def _misconfigured(reason: str, *, steps_aside: bool = False) -> Verdict:
    return Verdict(
        Action.RELAY_MISCONFIGURED,
        reason,
        burns_attempt=False,
        relay_fault=True,
        steps_aside=steps_aside,
        alert=True,
    )
