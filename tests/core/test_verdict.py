"""Relay reply -> what we do.

Sources: RFC 5321, 3463, 1870, 3207, 4954, 5248, 6531, 6647, 7372, 7504, 7505.
"""

import pytest

from notifier.core.reply import LinkFailure, LinkFault, Phase, Reply
from notifier.core.verdict import SEVERAL, Action, refused_at_mail, verdict

OPENING = [Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH]
TALKING = [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY]
LINK = [LinkFault.REFUSED, LinkFault.TIMEOUT, LinkFault.DROPPED, LinkFault.GARBAGE, LinkFault.TLS]


def reply(phase: Phase, code: int, enhanced: str | None = None, text: str = "") -> Reply:
    return Reply(phase, code, enhanced, text)


def failure(phase: Phase, fault: LinkFault) -> LinkFailure:
    return LinkFailure(phase, fault, "")


# (phase, code, enhanced, text) -> (action, reason)
REPLIES = [
    # RFC 5321 §4.5.3.2: 250 after the dot, and only that, hands over the responsibility
    ("dot", 250, "2.0.0", "Ok: queued", Action.SENT, "accepted"),
    ("dot", 250, None, "ok", Action.SENT, "accepted"),
    # Opening the session: the relay and we, no mail is involved
    ("banner", 554, None, "no service here", Action.RELAY_MISCONFIGURED, "banner_refused"),
    ("banner", 450, None, "too busy", Action.RELAY_DOWN, "banner_deferred"),
    ("banner", 521, None, "no mail here", Action.RELAY_MISCONFIGURED, "banner_refused"),  # RFC 7504
    ("ehlo", 504, None, "bad name", Action.RELAY_MISCONFIGURED, "ehlo_refused"),
    ("ehlo", 550, None, "bad name", Action.RELAY_MISCONFIGURED, "ehlo_refused"),
    ("ehlo", 451, None, "later", Action.RELAY_DOWN, "ehlo_deferred"),
    ("starttls", 554, None, "no", Action.RELAY_MISCONFIGURED, "starttls_refused"),
    # RFC 3207 §4: TLS not available due to temporary reason
    ("starttls", 454, "4.7.0", "later", Action.RELAY_DOWN, "starttls_deferred"),
    # RFC 4954 §6
    ("auth", 535, "5.7.8", "bad", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("auth", 534, "5.7.9", "weak", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("auth", 538, "5.7.11", "tls", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("auth", 500, None, "what", Action.RELAY_MISCONFIGURED, "auth_refused"),
    ("auth", 454, "4.7.0", "later", Action.RELAY_DOWN, "auth_deferred"),
    ("auth", 432, "4.7.12", "transition", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("auth", 500, "5.5.6", "line too long", Action.RELAY_MISCONFIGURED, "auth_refused"),
    # RFC 5248: X.7.13, our account was disabled
    ("mail", 550, "5.7.13", "disabled", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("mail", 530, "5.7.0", "auth first", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("rcpt", 530, "5.7.1", "auth first", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    ("dot", 530, None, "auth first", Action.RELAY_MISCONFIGURED, "auth_required_or_refused"),
    # MAIL: the relay, unless the code says that it is this mail's size, form or sender
    ("mail", 550, None, "denied", Action.RELAY_MISCONFIGURED, "mail_refused"),
    ("mail", 554, "5.7.1", "blocked", Action.RELAY_MISCONFIGURED, "mail_refused"),
    ("mail", 451, "4.3.0", "later", Action.RETRY, "mail_deferred"),
    ("mail", 452, "4.3.1", "disk full", Action.RETRY, "mail_deferred"),
    # RFC 5321 §4.1.1.11: parameters of MAIL, not understood or not just now
    ("mail", 555, None, "parameters", Action.RELAY_MISCONFIGURED, "mail_refused"),
    ("mail", 455, None, "parameters", Action.RETRY, "mail_deferred"),
    ("mail", 503, "5.5.1", "EHLO first", Action.RELAY_MISCONFIGURED, "mail_refused"),
    # RFC 6647 §5 has 4.7.1 for it; at MAIL that may be about us, and only the text tells
    ("mail", 451, "4.7.1", "try later", Action.RETRY, "mail_deferred"),
    ("mail", 451, "4.7.1", "Greylisted for 5 minutes", Action.RETRY, "greylisted"),
    ("mail", 452, "4.5.3", "too many mails", Action.RETRY, "mail_deferred"),
    ("mail", 552, None, "over quota", Action.REJECTED, "too_large"),  # nobody's mailbox yet
    ("mail", 552, None, "too big", Action.REJECTED, "too_large"),  # RFC 1870 §6.1
    ("mail", 552, "5.3.4", "too big", Action.REJECTED, "too_large"),  # RFC 3463 §3.4
    ("mail", 550, "5.6.7", "not ascii", Action.REJECTED, "content_refused"),  # RFC 6531 §3.5
    ("mail", 553, None, "bad sender", Action.REJECTED, "sender_refused"),
    ("mail", 501, "5.1.7", "bad syntax", Action.REJECTED, "sender_refused"),  # RFC 3463 §3.2
    ("mail", 550, "5.1.8", "bad domain", Action.REJECTED, "sender_refused"),
    ("mail", 550, "5.7.27", "null MX", Action.REJECTED, "sender_refused"),  # RFC 7505 §4.2
    ("mail", 550, "5.7.60", "send as", Action.REJECTED, "sender_refused"),
    # RCPT
    ("rcpt", 550, "5.1.1", "no such user", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 550, None, "no such user", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 553, "5.1.3", "syntax", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 501, "5.5.4", "syntax", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 556, "5.1.10", "null MX", Action.BOUNCED, "recipient_refused"),  # RFC 7505 §4.1
    ("rcpt", 550, "5.2.1", "disabled", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 550, "5.4.4", "no route", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 552, "5.2.2", "full", Action.RETRY, "mailbox_full"),  # RFC 3463 §3.3
    ("rcpt", 552, None, "mailbox full", Action.RETRY, "mailbox_full"),  # RFC 5321 §4.2.3
    ("rcpt", 552, None, "User is over quota", Action.RETRY, "mailbox_full"),
    ("rcpt", 552, "5.3.4", "message exceeds quota", Action.REJECTED, "too_large"),
    ("rcpt", 551, None, "user not local", Action.BOUNCED, "recipient_refused"),  # RFC 5321 §3.4
    ("rcpt", 521, None, "no mail here", Action.BOUNCED, "recipient_refused"),  # RFC 7504 §4
    ("rcpt", 550, "5.1.2", "no such domain", Action.BOUNCED, "recipient_refused"),
    ("rcpt", 550, "5.1.6", "moved", Action.BOUNCED, "recipient_refused"),  # RFC 3463 §3.2
    ("rcpt", 553, "5.6.7", "not ascii", Action.REJECTED, "content_refused"),  # RFC 6531 §3.5
    ("rcpt", 550, "5.7.26", "authentication", Action.REJECTED, "policy"),  # RFC 7372 §3.3
    ("rcpt", 452, "4.2.2", "full for now", Action.RETRY, "rcpt_deferred"),
    ("rcpt", 554, "5.7.1", "policy", Action.REJECTED, "policy"),
    ("rcpt", 552, None, "too big", Action.REJECTED, "too_large"),
    ("rcpt", 552, "5.2.3", "too big", Action.REJECTED, "too_large"),
    ("rcpt", 550, "5.3.5", "misconfigured", Action.REJECTED, "rcpt_refused"),
    ("rcpt", 503, None, "EHLO first", Action.RELAY_MISCONFIGURED, "dialogue"),
    ("rcpt", 503, "5.5.1", "sequence", Action.RELAY_MISCONFIGURED, "dialogue"),
    ("rcpt", 450, "4.2.1", "busy", Action.RETRY, "rcpt_deferred"),
    ("rcpt", 452, "4.5.3", "too many", Action.RETRY, "rcpt_deferred"),
    ("rcpt", 451, "4.3.0", "local error", Action.RETRY, "relay_system_status"),
    ("rcpt", 450, "4.7.1", "wait", Action.RETRY, "greylisted"),
    ("rcpt", 451, None, "Greylisted, see postgrey", Action.RETRY, "greylisted"),
    ("rcpt", 450, "4.2.0", "Greylisting in action", Action.RETRY, "greylisted"),
    # DATA
    ("data", 451, "4.3.0", "later", Action.RETRY, "relay_system_status"),
    ("data", 451, None, "later", Action.RETRY, "data_deferred"),
    ("data", 554, "5.5.1", "no", Action.REJECTED, "data_refused"),
    ("data", 550, "5.1.1", "late check", Action.BOUNCED, "recipient_refused"),
    ("data", 503, None, "order", Action.RELAY_MISCONFIGURED, "dialogue"),
    # In the body, before the dot
    ("body", 552, None, "stop", Action.REJECTED, "too_large"),
    ("body", 552, "5.2.2", "full", Action.RETRY, "mailbox_full"),
    ("body", 451, None, "stop", Action.RETRY, "body_deferred"),
    # The dot: a definite answer
    ("dot", 451, "4.7.0", "later", Action.RETRY, "dot_deferred"),
    ("dot", 452, "4.3.1", "disk full", Action.RETRY, "relay_system_status"),
    ("dot", 550, None, "spam", Action.REJECTED, "content_refused"),
    ("dot", 554, "5.7.1", "spam", Action.REJECTED, "policy"),
    ("dot", 552, "5.3.4", "too big", Action.REJECTED, "too_large"),
    ("dot", 550, "5.1.1", "no such user", Action.BOUNCED, "recipient_refused"),
    ("dot", 552, None, "Mailbox is full", Action.RETRY, "mailbox_full"),
    ("dot", 552, None, "too much mail data", Action.REJECTED, "too_large"),  # RFC 5321 §4.3.2
    ("dot", 550, "5.2.1", "disabled", Action.BOUNCED, "recipient_refused"),
    ("dot", 554, "5.6.0", "bad MIME", Action.REJECTED, "content_refused"),  # RFC 3463 §3.7
    ("dot", 554, None, "transaction failed", Action.REJECTED, "content_refused"),
    ("dot", 554, "5.4.6", "loop", Action.REJECTED, "content_refused"),
    ("dot", 451, "4.7.1", "greylisted", Action.RETRY, "greylisted"),
    ("dot", 552, "5.2.2", "full", Action.RETRY, "mailbox_full"),
    # The enhanced code beats the basic one
    ("rcpt", 550, "4.2.1", "for now", Action.RETRY, "rcpt_deferred"),
    ("rcpt", 450, "5.1.1", "forever", Action.BOUNCED, "recipient_refused"),
    ("dot", 554, "4.3.0", "for now", Action.RETRY, "relay_system_status"),
    ("rcpt", 550, "2.1.5", "nonsense", Action.BOUNCED, "recipient_refused"),
]


@pytest.mark.parametrize(("phase", "code", "enhanced", "text", "action", "reason"), REPLIES)
def test_verdict_follows_the_table(
    phase: str, code: int, enhanced: str | None, text: str, action: Action, reason: str
) -> None:
    reached = Phase(phase) not in OPENING
    decided = verdict(reply(Phase(phase), code, enhanced, text), reached_mail=reached)
    assert (decided.action, decided.reason) == (action, reason)
    assert not decided.ambiguous


@pytest.mark.parametrize("phase", [*TALKING, Phase.DOT])
def test_verdict_takes_421_as_the_relays_leave_wherever_it_comes(phase: Phase) -> None:
    decided = verdict(reply(phase, 421, "4.3.2"), reached_mail=True)
    assert decided.action is Action.RETRY
    assert decided.relay_fault
    assert not decided.ambiguous


@pytest.mark.parametrize("phase", OPENING)
@pytest.mark.parametrize("fault", LINK)
def test_verdict_burns_no_attempt_when_the_link_failed_before_mail(
    phase: Phase, fault: LinkFault
) -> None:
    decided = verdict(failure(phase, fault), reached_mail=False)
    assert decided.action is Action.RELAY_DOWN
    assert decided.relay_fault
    assert not decided.burns_attempt


@pytest.mark.parametrize("phase", TALKING)
@pytest.mark.parametrize("fault", LINK)
def test_verdict_retries_plainly_when_the_link_failed_before_the_dot(
    phase: Phase, fault: LinkFault
) -> None:
    decided = verdict(failure(phase, fault), reached_mail=True)
    assert decided.action is Action.RETRY
    assert decided.burns_attempt
    assert not decided.ambiguous


@pytest.mark.parametrize("fault", LINK)
def test_verdict_is_ambiguous_when_the_link_failed_after_the_dot(fault: LinkFault) -> None:
    decided = verdict(failure(Phase.DOT, fault), reached_mail=True)
    assert decided.action is Action.AMBIGUOUS
    assert decided.ambiguous
    assert decided.burns_attempt


@pytest.mark.parametrize(
    "fault", [LinkFault.CERTIFICATE, LinkFault.STARTTLS_MISSING, LinkFault.AUTH_MISSING]
)
def test_verdict_blames_the_settings_for_a_relay_that_cannot_be_trusted(fault: LinkFault) -> None:
    decided = verdict(failure(Phase.STARTTLS, fault), reached_mail=False)
    assert decided.action is Action.RELAY_MISCONFIGURED
    assert decided.alert
    assert not decided.burns_attempt


@pytest.mark.parametrize("fault", [LinkFault.SIZE, LinkFault.SMTPUTF8, LinkFault.UNSENDABLE])
def test_verdict_rejects_what_a_relay_cannot_be_offered(fault: LinkFault) -> None:
    decided = verdict(failure(Phase.MAIL, fault), reached_mail=False)
    assert decided.action is Action.REJECTED
    assert not decided.relay_fault


def test_verdict_does_not_blame_a_relay_that_may_not_be_tried() -> None:
    decided = verdict(failure(Phase.CONNECT, LinkFault.RESTING), reached_mail=False)
    assert decided.action is Action.RELAY_DOWN
    assert not decided.relay_fault


@pytest.mark.parametrize(
    ("code", "enhanced", "single"),
    [
        (550, "5.1.8", Action.REJECTED),
        (553, None, Action.REJECTED),
        (550, None, Action.RETRY),
        (554, "5.7.1", Action.RETRY),
    ],
)
def test_verdict_blames_the_relay_for_several_mails_refused_in_a_row(
    code: int, enhanced: str | None, single: Action
) -> None:
    refused = reply(Phase.MAIL, code, enhanced)
    few = verdict(refused, reached_mail=True, mail_refusals=SEVERAL - 1)
    several = verdict(refused, reached_mail=True, mail_refusals=SEVERAL)
    assert few.action is single
    assert (few.burns_attempt, few.relay_fault, few.alert) == (True, False, True)
    assert several.action is Action.RELAY_MISCONFIGURED
    assert several.steps_aside
    assert not several.burns_attempt


@pytest.mark.parametrize("code", [530, 534, 535, 538])
def test_verdict_needs_no_second_mail_to_see_that_a_login_is_missing(code: int) -> None:
    decided = verdict(reply(Phase.MAIL, code), reached_mail=True, mail_refusals=1)
    assert decided.action is Action.RELAY_MISCONFIGURED
    assert not decided.steps_aside


def test_verdict_never_blames_the_relay_for_the_size_of_several_mails() -> None:
    refused = reply(Phase.MAIL, 552, "5.3.4")
    assert verdict(refused, reached_mail=True, mail_refusals=99).action is Action.REJECTED


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT])
@pytest.mark.parametrize("enhanced", ["5.7.0", "5.7.1", "5.7.25", "5.7.509"])
def test_verdict_calls_for_an_operator_where_a_policy_refuses(phase: Phase, enhanced: str) -> None:
    decided = verdict(reply(phase, 550, enhanced), reached_mail=True)
    assert (decided.action, decided.alert, decided.relay_fault) == (Action.REJECTED, True, False)


def test_verdict_does_not_blame_the_relay_for_greylisting_at_mail() -> None:
    grey = verdict(reply(Phase.MAIL, 451, "4.7.1", "greylisted"), reached_mail=True)
    plain = verdict(reply(Phase.MAIL, 451, "4.7.1"), reached_mail=True)
    assert (grey.greylisted, grey.relay_fault) == (True, False)
    assert (plain.greylisted, plain.relay_fault) == (False, True)


def test_verdict_marks_greylisting_only_for_450_and_451() -> None:
    assert verdict(reply(Phase.RCPT, 451, "4.7.1"), reached_mail=True).greylisted
    assert not verdict(reply(Phase.RCPT, 452, "4.7.1"), reached_mail=True).greylisted


def test_verdict_does_not_trust_a_reply_to_the_dot_that_is_neither_yes_nor_no() -> None:
    assert verdict(reply(Phase.DOT, 354), reached_mail=True).ambiguous


@pytest.mark.parametrize("phase", TALKING)
def test_verdict_never_takes_a_250_before_the_dot_as_sent(phase: Phase) -> None:
    assert verdict(reply(phase, 250), reached_mail=True).action is not Action.SENT


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("code", [421, 450, 451, 452, 500, 503, 530, 535, 550, 552, 553, 554])
def test_verdict_keeps_or_ends_a_message_but_never_both(phase: Phase, code: int) -> None:
    decided = verdict(reply(phase, code), reached_mail=phase not in OPENING)
    if decided.action in {Action.BOUNCED, Action.REJECTED}:
        assert phase not in OPENING
        assert not decided.relay_fault
        assert code >= 500


@pytest.mark.parametrize(
    ("code", "enhanced", "expected"),
    [
        (553, None, True),
        (550, "5.1.8", True),
        (550, None, True),
        (554, "5.7.1", True),
        (552, "5.3.4", False),
        (550, "5.6.7", False),
        (530, "5.1.8", False),
        (550, "5.7.8", False),
        (553, "4.1.8", False),
        (421, None, False),
        (451, None, False),
        (250, None, False),
    ],
)
def test_refused_at_mail_leaves_out_content_login_and_what_passes(
    code: int, enhanced: str | None, *, expected: bool
) -> None:
    assert refused_at_mail(reply(Phase.MAIL, code, enhanced)) is expected
    assert not refused_at_mail(reply(Phase.RCPT, code, enhanced))
