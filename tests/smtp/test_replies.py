"""What is read out of replies and errors."""

import socket
import ssl

import pytest
from aiosmtplib import SMTPReadTimeoutError, SMTPResponse, SMTPResponseException
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.reply import LinkFailure, LinkFault, Phase, Reply
from notifier.smtp.replies import failure_of, queue_id_of, reply_of


def read(code: int, text: str) -> Reply:
    reply = reply_of(Phase.DOT, SMTPResponse(code, text))
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize(
    ("text", "enhanced", "rest"),
    [
        ("5.1.1 no such user", "5.1.1", "no such user"),
        ("5.7.26 a\n5.7.26 b\n5.7.26 c", "5.7.26", "a b c"),
        ("5.1.1", "5.1.1", ""),
        ("5.1.1: no", None, "5.1.1: no"),
        ("no 5.1.1 here", None, "no 5.1.1 here"),
        ("3.1.1 no class of RFC 3463", None, "3.1.1 no class of RFC 3463"),
        ("10.0.0.1 is blocked", None, "10.0.0.1 is blocked"),
        ("5.1.1.1 hm", None, "5.1.1.1 hm"),
        ("", None, ""),
    ],
)
def test_the_enhanced_code_is_that_of_the_first_line(
    text: str, enhanced: str | None, rest: str
) -> None:
    reply = read(550, text)
    assert (reply.enhanced, reply.text) == (enhanced, rest)


@given(st.text(max_size=2000))
def test_a_text_is_one_printable_line_of_bounded_length(text: str) -> None:
    reply = read(550, text)
    assert len(reply.text) <= 1000
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in reply.text)
    reply.text.encode()


def test_a_byte_that_is_no_text_does_not_survive() -> None:
    assert read(550, "caf\udce9 \x1b[31mred\r").text == "caf? ?[31mred?"


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("2.0.0 Ok: queued as 4XyZ12AbCd", "4XyZ12AbCd"),  # Postfix
        ("OK id=1tQw2e-000000001Ab-3cDe", "1tQw2e-000000001Ab-3cDe"),  # Exim
        ("2.0.0 49NB1cDe012345 Message accepted for delivery", "49NB1cDe012345"),  # Sendmail
        ("Ok 0100018f2a3b4c5d-1234-000000", "0100018f2a3b4c5d-1234-000000"),  # Amazon SES
        ("2.0.0 OK  1714000000 a1-20020a05b6c7d8e9f0si1234567qtb.99 - gsmtp",
         "a1-20020a05b6c7d8e9f0si1234567qtb.99"),  # Gmail
        ("2.6.0 <abc@host> [InternalId=12345, Hostname=x] Queued mail for delivery", None),
        ("Ok: queued as Ab-Cd_Ef12", "Ab-Cd_Ef12"),  # SendGrid
        ("2.0.0 Ok", None),
        ("great success", None),
        ("queued as " + "x" * 500, "x" * 200),
    ],
)  # fmt: skip
def test_the_queue_id_is_found_where_there_is_one(text: str, queue_id: str | None) -> None:
    assert queue_id_of(read(250, text)) == queue_id


def test_a_refusal_has_no_queue_id() -> None:
    assert queue_id_of(read(550, "5.0.0 queued as 123")) is None


@pytest.mark.parametrize(
    ("phase", "error", "fault"),
    [
        (Phase.CONNECT, ConnectionRefusedError(111, "refused"), LinkFault.REFUSED),
        (Phase.CONNECT, OSError(113, "no route"), LinkFault.REFUSED),
        (Phase.CONNECT, TimeoutError(), LinkFault.TIMEOUT),
        (Phase.CONNECT, socket.gaierror(-2, "unknown"), LinkFault.DNS),
        (Phase.CONNECT, ssl.SSLError(1, "wrong version"), LinkFault.TLS),
        (Phase.CONNECT, ssl.SSLCertVerificationError("bad"), LinkFault.CERTIFICATE),
        (Phase.MAIL, SMTPReadTimeoutError("late"), LinkFault.TIMEOUT),
        (Phase.BODY, ConnectionResetError(), LinkFault.DROPPED),
        (Phase.DOT, SMTPResponseException(-1, "noise"), LinkFault.GARBAGE),
        (Phase.MAIL, SMTPResponseException(334, "hm"), LinkFault.GARBAGE),
    ],
    ids=repr,
)
def test_each_error_has_its_fault(phase: Phase, error: Exception, fault: LinkFault) -> None:
    outcome = failure_of(phase, error)
    assert isinstance(outcome, LinkFailure)
    assert (outcome.phase, outcome.fault) == (phase, fault)
    assert outcome.detail


def test_a_refusal_that_came_as_an_error_is_a_reply() -> None:
    assert failure_of(Phase.AUTH, SMTPResponseException(535, "5.7.8 bad")) == Reply(
        Phase.AUTH, 535, "5.7.8", "bad"
    )
