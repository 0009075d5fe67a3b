"""Each phase times each misbehaviour: what is reported, decided and kept, as a table.

`python -m tests.smtp.matrix` runs every row with real `Relays` against the scripted server, in
three modes (MAIL, RCPT and DATA in one write; step by step; behind another mail's final dot), and
prints what came of it. `test_matrix` holds the same runs against what is written here.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Final, Literal

import uvloop

from notifier.core.verdict import Action
from notifier.smtp.relays import Attempt
from tests.smtp.desk import PATIENT, QUICK, Desk, desk, short
from tests.support.scripted_smtp import (
    CLOSING,
    Act,
    Drip,
    Drop,
    Garbage,
    Hang,
    Inject,
    Mail,
    Reset,
    Say,
    ScriptedSmtp,
    Step,
)

Mode = Literal["pipelined", "stepwise", "chained"]
MODES: Final[tuple[Mode, ...]] = ("pipelined", "stepwise", "chained")
AHEAD: Final = "ahead@example.org"
"""The sender of the mail to which the one that meets the fault is chained."""
BEHIND: Final = "behind@example.org"

DOWN, MISSET, RETRY = Action.RELAY_DOWN, Action.RELAY_MISCONFIGURED, Action.RETRY
AMBIGUOUS, REJECTED, BOUNCED, SENT = (
    Action.AMBIGUOUS,
    Action.REJECTED,
    Action.BOUNCED,
    Action.SENT,
)
C, E, M, R, D, B, DOT = (
    Step.CONNECT,
    Step.EHLO,
    Step.MAIL,
    Step.RCPT,
    Step.DATA,
    Step.BODY,
    Step.DOT,
)
NOISE = Garbage()
TWO_CODES = Garbage(b"250-one\r\n550 two\r\n")
ENDLESS = Garbage(b"250-" + b"x" * 500 + b"\r\n" + (b"250-" + b"x" * 500 + b"\r\n") * 100)
LONG_LINE = Garbage(b"250 " + b"x" * 20_000 + b"\r\n")

Row = tuple[Step, Act, str, Action, str, str]
MATRIX: list[Row] = [
    # where, what, outcome, what becomes of the mail, of its attempts, and of the relay
    (C, Say(554, "no service"), "banner 554", MISSET, "kept", "paused"),
    (C, Say(450, "busy"), "banner 450", DOWN, "kept", "resting"),
    (C, Say(250, "hm"), "banner garbage", DOWN, "kept", "resting"),
    (C, CLOSING, "banner 421", DOWN, "kept", "resting"),
    (C, Drop(), "banner dropped", DOWN, "kept", "resting"),
    (C, Reset(), "banner dropped", DOWN, "kept", "resting"),
    (C, Hang(), "banner timeout", DOWN, "kept", "resting"),
    (C, NOISE, "banner garbage", DOWN, "kept", "resting"),
    (C, Garbage(b"HTTP/1.1 400 Bad Request\r\n"), "banner garbage", DOWN, "kept", "resting"),
    (C, Drip(0.03), "banner timeout", DOWN, "kept", "resting"),
    (E, Say(550, "bad name"), "ehlo 550", MISSET, "kept", "paused"),
    (E, Say(451, "later"), "ehlo 451", DOWN, "kept", "resting"),
    (E, CLOSING, "ehlo 421", DOWN, "kept", "resting"),
    (E, Drop(), "ehlo dropped", DOWN, "kept", "resting"),
    (E, Reset(), "ehlo dropped", DOWN, "kept", "resting"),
    (E, Hang(), "ehlo timeout", DOWN, "kept", "resting"),
    (E, NOISE, "ehlo garbage", DOWN, "kept", "resting"),
    (E, TWO_CODES, "ehlo garbage", DOWN, "kept", "resting"),
    (E, ENDLESS, "ehlo garbage", DOWN, "kept", "resting"),
    (E, LONG_LINE, "ehlo garbage", DOWN, "kept", "resting"),
    (E, Drip(0.02), "ehlo timeout", DOWN, "kept", "resting"),
    (M, Say(550, "denied"), "mail 550", RETRY, "burnt", "up"),  # several of them are MISSET
    (M, Say(550, "5.1.8 bad sender"), "mail 550", REJECTED, "burnt", "up"),
    (M, Say(530, "5.7.0 auth first"), "mail 530", MISSET, "kept", "paused"),
    (M, Say(552, "5.3.4 too big"), "mail 552", REJECTED, "burnt", "up"),
    (M, Say(451, "later"), "mail 451", RETRY, "burnt", "up"),
    (M, Say(354, "what"), "mail garbage", RETRY, "burnt", "up"),
    (M, CLOSING, "mail 421", RETRY, "burnt", "up"),
    (M, Drop(), "mail dropped", RETRY, "burnt", "up"),
    (M, Reset(), "mail dropped", RETRY, "burnt", "up"),
    (M, Hang(), "mail timeout", RETRY, "burnt", "up"),
    (M, NOISE, "mail garbage", RETRY, "burnt", "up"),
    (M, Drip(0.03), "mail timeout", RETRY, "burnt", "up"),
    (R, Say(550, "5.1.1 no such user"), "rcpt 550", BOUNCED, "burnt", "up"),
    (R, Say(550, "5.7.1 policy"), "rcpt 550", REJECTED, "burnt", "up"),
    (R, Say(552, "5.2.2 full"), "rcpt 552", RETRY, "burnt", "up"),
    (R, Say(450, "4.7.1 greylisted"), "rcpt 450", RETRY, "burnt", "up"),
    (R, CLOSING, "rcpt 421", RETRY, "burnt", "up"),
    (R, Drop(), "rcpt dropped", RETRY, "burnt", "up"),
    (R, Reset(), "rcpt dropped", RETRY, "burnt", "up"),
    (R, Hang(), "rcpt timeout", RETRY, "burnt", "up"),
    (R, NOISE, "rcpt garbage", RETRY, "burnt", "up"),
    (R, Drip(0.03), "rcpt timeout", RETRY, "burnt", "up"),
    (R, Say(251, "will forward"), "dot 250", SENT, "burnt", "up"),
    (D, Say(451, "later"), "data 451", RETRY, "burnt", "up"),
    (D, Say(554, "no"), "data 554", REJECTED, "burnt", "up"),
    (D, Say(250, "ok?"), "data garbage", RETRY, "burnt", "up"),
    (D, CLOSING, "data 421", RETRY, "burnt", "up"),
    (D, Drop(), "data dropped", RETRY, "burnt", "up"),
    (D, Reset(), "data dropped", RETRY, "burnt", "up"),
    (D, Hang(), "data timeout", RETRY, "burnt", "up"),
    (D, NOISE, "data garbage", RETRY, "burnt", "up"),
    (D, Drip(0.03), "data timeout", RETRY, "burnt", "up"),
    # A reply on the heels of the 354 would be taken for the dot's
    (D, Inject(b"250 ok\r\n"), "body garbage", RETRY, "burnt", "up"),
    (DOT, Say(451, "4.3.0 later"), "dot 451", RETRY, "burnt", "up"),
    (DOT, Say(554, "5.7.1 spam"), "dot 554", REJECTED, "burnt", "up"),
    (DOT, Say(550, "5.1.1 no such user"), "dot 550", BOUNCED, "burnt", "up"),
    (DOT, Say(354, "more?"), "dot 354", AMBIGUOUS, "ambiguous", "up"),
    (DOT, CLOSING, "dot 421", RETRY, "burnt", "up"),
    (DOT, Drop(), "dot dropped", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Drop(taken=True), "dot dropped", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Reset(taken=True), "dot dropped", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Hang(), "dot timeout", AMBIGUOUS, "ambiguous", "up"),
    (DOT, NOISE, "dot garbage", AMBIGUOUS, "ambiguous", "up"),
    (DOT, TWO_CODES, "dot garbage", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Garbage(b"999 what\r\n"), "dot garbage", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Garbage(b"250"), "dot timeout", AMBIGUOUS, "ambiguous", "up"),
    (DOT, Drip(0.04), "dot timeout", AMBIGUOUS, "ambiguous", "up"),
    # The 250 is there: what follows it spoils the connection, not the mail
    (DOT, Inject(b"421 and gone\r\n"), "dot 250", SENT, "burnt", "up"),
    (DOT, Inject(b"nonsense"), "dot 250", SENT, "burnt", "up"),
    (DOT, Say(250, "2.0.0 ok\n2.0.0 and more"), "dot 250", SENT, "burnt", "up"),
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one row. `ahead` is the mail before it, in the mode `chained`."""

    attempt: Attempt
    ahead: Attempt | None
    state: str
    hits: int
    accepted: list[Mail]

    @property
    def outcome(self) -> str:
        return short(self.attempt.outcome)

    @property
    def mark(self) -> str:
        """Whether it counts towards the message's attempts, and whether nobody can know."""
        judged = self.attempt.verdict
        if judged.ambiguous:
            return "ambiguous"
        return "burnt" if judged.burns_attempt else "kept"


def fits(step: Step, mode: Mode) -> bool:
    """Whether the step can go wrong in this mode."""
    return mode != "chained" or step not in {Step.CONNECT, Step.EHLO}


async def run(step: Step, act: Act, mode: Mode, *, quick: bool) -> Seen:
    """One row in one mode, with a server and relays of its own."""
    limits: dict[str, Any] = {**(QUICK if quick else PATIENT), "rest_s": 3600, "connections": 1}
    async with ScriptedSmtp() as server:
        rule = server.on(step, act, sender=BEHIND if mode == "chained" else None)
        async with desk(server.target(pipelining=mode != "stepwise", **limits)) as sender:
            ahead, attempt = await _send(sender, mode)
            (health,) = sender.relays.health()
        mails = [mail for mail in server.accepted if mail.mail_from != AHEAD]
    return Seen(attempt, ahead, health.state, rule.hits, mails)


async def _send(sender: Desk, mode: Mode) -> tuple[Attempt | None, Attempt]:
    if mode != "chained":
        return None, await sender.send()
    ahead, behind = sender.begin(sender=AHEAD), sender.begin(sender=BEHIND)
    return await ahead, await behind


def told(act: Act) -> str:
    """What the relay does, in a few words."""
    match act:
        case Say(code, text):
            words = f"says {code} {text}"
        case Drop(say, taken):
            words = f"says {say.decode().strip()!r} and closes" if say else "closes"
            words = f"takes the mail and {words}" if taken else words
        case Reset(taken):
            words = "takes the mail and resets" if taken else "resets"
        case Garbage(data):
            words = f"sends {data!r}"
        case Inject(data):
            words = f"answers and adds {data!r}"
        case _:
            words = f"{type(act).__name__.lower()}s"
    return " ".join(words.split())[:42]


async def line_of(row: Row) -> tuple[str, bool]:
    """A row as printed, and whether every mode brought what is written."""
    step, act, outcome, action, mark, state = row
    modes = [mode for mode in MODES if fits(step, mode)]
    quick = outcome.endswith("timeout")
    seen = await asyncio.gather(*[run(step, act, mode, quick=quick) for mode in modes])
    found = {(one.outcome, one.attempt.verdict.action, one.mark, one.state) for one in seen}
    line = f"{step:8} {told(act):42} {outcome:15} {action:19} {mark:9} {state}"
    # An RST lets the kernel throw away replies that were not read yet, so its phase may differ.
    if found == {(outcome, action, mark, state)} or isinstance(act, Reset):
        return line, True
    return f"{line}   BUT {found}", False


async def main() -> int:
    """Print the table; 1 when a row is not as written."""
    head = f"{'phase':8} {'the relay':42} {'outcome':15} {'mail':19} {'attempt':9} relay"
    lines = [await line_of(row) for row in MATRIX]
    wrong = sum(not good for _, good in lines)
    foot = f"{len(MATRIX)} rows in {len(MODES)} modes, {wrong} not as written"
    sys.stdout.write("\n".join([head, *(line for line, _ in lines), foot, ""]))
    return min(wrong, 1)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main()))
