"""One mail over an open connection: MAIL, RCPT, DATA, the body, the final dot."""

from collections.abc import Sequence
from typing import Final

from aiosmtplib import SMTPResponse

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.smtp.client import Client
from notifier.smtp.parcel import END_OF_DATA, Parcel
from notifier.smtp.replies import LINK_ERRORS, reply_of
from notifier.smtp.wire import BLOCK_BYTES

GIVEN_UP: Final = LinkFailure(Phase.BODY, LinkFault.DROPPED, "given up by us before the final dot")
"""The outcome of a mail whose `abort()` said so; no fault of the relay."""

_ORDER: Final = (Phase.MAIL, Phase.RCPT, Phase.DATA)


async def deliver(client: Client, parcel: Parcel) -> Outcome:
    """Offer one mail, and say how that ended.

    A positive `Reply` in phase `DOT` is the only outcome that means "taken". After a failure of
    the link the connection is closed, so that no late reply meets the next mail. When this is
    cancelled the caller closes it. A relay that puts a mail off at MAIL may only want a new
    connection (some count mails with a 452), so this one carries no more.
    """
    client.mail_written = False
    client.phase = Phase.MAIL
    unfit = _unfit(client, parcel)
    if unfit is not None:
        return unfit
    try:
        outcome = await _transact(client, parcel)
    except LINK_ERRORS as error:
        outcome = client.failed(error)
        client.abort()
    # 421: it leaves. 3xx at the dot: who knows what it waits for.
    if isinstance(outcome, LinkFailure) or outcome.code == 421 or 300 <= outcome.code <= 399:
        client.abort()
    elif outcome.phase is Phase.MAIL and outcome.code < 500:
        client.is_spent = True
    return outcome


def _unfit(client: Client, parcel: Parcel) -> LinkFailure | None:
    """Why this relay cannot be offered this mail; known before MAIL."""
    if parcel.fault is not None:
        return LinkFailure(Phase.MAIL, LinkFault.UNSENDABLE, parcel.fault)
    if parcel.utf8 and not client.offers("smtputf8"):
        return LinkFailure(Phase.MAIL, LinkFault.SMTPUTF8, "the relay does not offer SMTPUTF8")
    limit = client.esmtp_extensions.get("size", "")
    # RFC 1870 §4: no number or 0 is no fixed limit; it has 20 digits at most.
    if limit.isdecimal() and len(limit) <= 20 and 0 < int(limit) < parcel.size_bytes:
        detail = f"{parcel.size_bytes} bytes, the relay takes {limit}"
        return LinkFailure(Phase.MAIL, LinkFault.SIZE, detail)
    return None


async def _transact(client: Client, parcel: Parcel) -> Outcome:
    refused = await _envelope(client, parcel)
    if refused is not None:
        return refused
    client.phase = Phase.BODY
    early = await _body(client, parcel)
    if early is not None:
        return early
    client.phase = Phase.DOT
    response = await client.wire.read_response(client.target.limits.dot_timeout_s)
    return reply_of(Phase.DOT, response)


async def _envelope(client: Client, parcel: Parcel) -> Outcome | None:
    """Say the three commands, in one write where RFC 2920 allows it. None: 354 came."""
    if client.needs_reset:
        await _reset(client)
    commands = _commands(client, parcel)
    pipelined = client.target.limits.pipelining and client.offers("pipelining")
    groups = [commands] if pipelined else [[command] for command in commands]
    phases = iter(_ORDER)
    for group in groups:
        client.phase = phase = next(phases)
        client.mail_written = True
        client.wire.send(b"".join(group), replies=len(group))
        refused = await _answers(client, [phase, *(next(phases) for _ in group[1:])])
        if refused is not None:
            return refused
    return None


async def _answers(client: Client, phases: Sequence[Phase]) -> Outcome | None:
    """Read one reply for each command of a group. None: all were positive.

    A refusal is final for the mail, but the replies behind it are still read, or they would
    be taken for the next mail's.
    """
    refused: Outcome | None = None
    last: SMTPResponse | None = None
    for phase in phases:
        if refused is None:
            client.phase = phase
        try:
            last = await client.wire.read_response(_timeout(client, phase))
        except LINK_ERRORS:
            if refused is None:
                raise
            client.abort()
            return refused
        if refused is None and not _positive(phase, last):
            refused = reply_of(phase, last)
            client.needs_reset = True
            if isinstance(refused, LinkFailure) or refused.code == 421:
                client.abort()
                return refused
    if refused is not None and last is not None and last.code == 354:
        await _end_empty(client, refused)
    return refused


async def _end_empty(client: Client, refused: Outcome) -> None:
    """DATA was taken although the mail was refused: end it with nothing in it.

    RFC 2920 §3.1: send a lone dot and read its reply, which says nothing about the mail, not
    even when it is a 250. That is for a refused RCPT; where the relay may hold a recipient, a
    lone dot would bring him an empty mail, so the connection is closed instead.
    """
    if refused.phase is not Phase.RCPT:
        client.abort()
        return
    try:
        client.wire.send(END_OF_DATA, replies=1)
        await client.wire.read_response(client.target.limits.dot_timeout_s)
    except LINK_ERRORS:
        client.abort()


async def _body(client: Client, parcel: Parcel) -> Outcome | None:
    """Send the body and the final dot. An outcome: it ended before the dot was sent."""
    wire, view = client.wire, memoryview(parcel.body)
    last = max(0, (len(view) - 1) // BLOCK_BYTES * BLOCK_BYTES)
    for start in range(0, last, BLOCK_BYTES):
        block = view[start : start + BLOCK_BYTES]
        if not await wire.send_block(block, timeout_s=client.target.limits.block_timeout_s):
            break
    if wire.early is not None:
        client.abort()  # the relay still waits for the rest of the body
        return reply_of(Phase.BODY, wire.early)
    if parcel.abort is not None and parcel.abort():
        client.abort()
        return GIVEN_UP
    wire.send_end(b"".join((view[last:], END_OF_DATA)))
    return None


async def _reset(client: Client) -> None:
    client.mail_written = False
    await client.rset()
    client.needs_reset = False


def _commands(client: Client, parcel: Parcel) -> list[bytes]:
    coding = "utf-8" if parcel.utf8 else "ascii"
    mail = [b"MAIL FROM:<", parcel.envelope.mail_from.encode(coding), b">"]
    if client.offers("size"):
        mail.append(b" SIZE=%d" % parcel.size_bytes)
    if parcel.eight_bit and client.offers("8bitmime"):
        mail.append(b" BODY=8BITMIME")
    if parcel.utf8:
        mail.append(b" SMTPUTF8")
    recipient = parcel.envelope.rcpt_to.encode(coding)
    return [b"".join((*mail, b"\r\n")), b"RCPT TO:<" + recipient + b">\r\n", b"DATA\r\n"]


def _positive(phase: Phase, response: SMTPResponse) -> bool:
    return response.code == 354 if phase is Phase.DATA else 200 <= response.code <= 299


def _timeout(client: Client, phase: Phase) -> float:
    limits = client.target.limits
    return limits.data_timeout_s if phase is Phase.DATA else limits.command_timeout_s
