"""One open connection at work: mails one after the other, and which reply is whose.

There is no task here: the answer to a reply is written in the turn of the loop in which it came.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.smtp.blocks import Blocks
from notifier.smtp.chaining import lost_track
from notifier.smtp.client import Client
from notifier.smtp.offers import offers_of
from notifier.smtp.parcel import END_OF_DATA
from notifier.smtp.patience import Patience
from notifier.smtp.replies import failure_of, outcome_of
from notifier.smtp.slip import Slip

if TYPE_CHECKING:
    from notifier.smtp.fleet import Fleet

GIVEN_UP: Final = LinkFailure(Phase.BODY, LinkFault.DROPPED, "given up by us before the final dot")
"""The outcome of a mail whose `abort()` said so; no fault of the relay."""

_CUT_OFF: Final = LinkFailure(Phase.MAIL, LinkFault.DROPPED, "the connection broke before its turn")

_MAIL, _RCPT, _DATA, _BODY, _DOT = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT
_Step = Callable[[], None]
_AFTER: Final = {_MAIL: _RCPT, _RCPT: _DATA}


class Courier:
    """Carries what the fleet hands out, until its connection is used up or breaks.

    `current` is the mail whose dialogue is under way, `phase` how far that got. `chained` is the
    next one, whose MAIL, RCPT and DATA went out with `current`'s final dot (RFC 2920 §3.1): it is
    tried only once the dot has its answer. Each outcome is told as soon as its answer is there.
    After a failure the connection is closed, so that no late reply meets the next mail. `mails`
    counts those begun here.
    """

    def __init__(self, client: Client, fleet: "Fleet", opened_in: float) -> None:
        self.client = client
        self.current: Slip | None = None
        self.chained: Slip | None = None
        self.phase = _MAIL
        self.mails = 0
        self.parked_at = 0.0
        self.is_spent = False
        self.is_closed = False
        self.offers = offers_of(client)
        self._fleet = fleet
        self._wire = client.wire
        self._blocks = Blocks(client.wire)
        self._patience = Patience(client.target.limits, client.wire.expire)
        self._opened_in = opened_in
        self._came_chained = False
        self._needs_reset = False
        self._resetting = False
        self._emptying = False
        self._unsaid: list[bytes] = []
        self._refused: Outcome | None = None
        self._dot_at = 0.0
        self._due: _Step | None = None
        self._wire.courier = self

    # What the fleet asks for

    def work(self, slip: Slip | None = None) -> None:
        """Carry `slip`, then whatever the fleet has, for as long as it has something."""
        while not self.is_closed:
            slip = slip or self._fleet.next_for(self)
            if slip is None:
                self._patience.rest()
                self._fleet.park(self)
                return
            if self._begin(slip):
                self._await_reply()
                return
            slip = None

    def drop(self, slip: Slip) -> None:
        """Nobody waits for `slip` any more: give it up. Another mail on its way is not harmed."""
        if slip is self.current:
            self._end(None)

    def leave(self) -> Client:
        """The connection without its courier, to say QUIT on it."""
        self.is_closed = True
        self._patience.close()
        self._wire.courier = None
        return self.client

    # What the wire tells

    def replied(self, code: int, text: bytes) -> None:
        """One reply, in the order of the commands."""
        if self.phase is _DOT and self._refused is None:
            self._dot_answered(code, text)
        elif self._resetting:
            self._reset_answered(code)
        elif self._emptying:
            self._emptying, self._due = False, self._finish_refused
        elif self.phase is _BODY:
            self._end(outcome_of(_BODY, code, text))  # the relay still waits for the rest
        else:
            self._answered(code, text)

    def proceed(self) -> None:
        """All that came has been told."""
        due, self._due = self._due, None
        if due is not None:
            due()
        self._await_reply()

    def room(self) -> None:
        """The relay reads again."""
        if self.phase is _BODY and self.current is not None:
            self._send_blocks()
            self._await_reply()

    def broken(self, error: BaseException) -> None:
        """The connection is gone, or must not be used any more."""
        if not self.is_closed:
            self._end(failure_of(self.phase, error, garbled=self._wire.garbled))

    # The dialogue

    def _begin(self, slip: Slip) -> bool:
        """Say MAIL, and RCPT and DATA with it where that is allowed. False: it is unfit."""
        unfit = self.offers.unfit(slip.parcel)
        if unfit is not None:
            self._fleet.settle(slip, unfit)
            return False
        now = time.perf_counter()
        # The first mail pays for the connection, as far as it waited for it.
        slip.started_at = now if self.mails else max(slip.put_at, now - self._opened_in)
        self._take_up(slip, chained=False)
        self._resetting = self._needs_reset
        reset = (b"RSET\r\n",) if self._needs_reset else ()
        self._unsaid = [*reset, *self.offers.commands(slip.parcel)]
        self._needs_reset = False
        if self.offers.pipelining:
            group, self._unsaid = self._unsaid, []
            self._wire.say(b"".join(group), replies=len(group))
        else:
            self._say_next()
        return True

    def _take_up(self, slip: Slip, *, chained: bool) -> None:
        self.current, self._came_chained, self.phase = slip, chained, _MAIL
        self.mails += 1
        slip.courier = self
        slip.reached_mail = True
        self._refused = None
        self._patience.begin(self._fleet.longest_s(slip.parcel.size_bytes))

    def _say_next(self) -> None:
        self._wire.say(self._unsaid.pop(0), replies=1)

    def _reset_answered(self, code: int) -> None:
        self._resetting = False
        if code != 250:
            self._end(LinkFailure(_MAIL, LinkFault.DROPPED, f"RSET was answered with {code}"))
        elif self._unsaid:
            self._due = self._say_next

    def _answered(self, code: int, text: bytes) -> None:
        """A reply to MAIL, RCPT or DATA.

        A refusal is final for the mail, but the replies behind it are still read, or they would
        be taken for the next mail's.
        """
        phase = self.phase
        positive = code == 354 if phase is _DATA else code < 300
        if self._refused is None and not positive:
            refused = outcome_of(phase, code, text)
            if isinstance(refused, LinkFailure) or code == 421:
                self._end(refused)
                return
            self._refused = refused
            self._needs_reset = True
            self.is_spent = self.is_spent or (phase is _MAIL and code < 500)
        if phase is not _DATA:
            self.phase = _AFTER[phase]
        if self._came_chained and phase is _MAIL:
            self._fleet.chaining.went_on()
        if self._refused is not None:
            self._due = self._after_refusal(self._refused, phase, code)
        elif phase is _DATA:
            self.phase = _BODY
            self._due = self._send_body
        elif self._unsaid:
            self._due = self._say_next

    def _after_refusal(self, refused: Outcome, phase: Phase, code: int) -> _Step | None:
        """What to do once a reply was read; None: read the next one."""
        if not self.offers.pipelining:
            self._unsaid = []
            return self._finish_refused
        if phase is not _DATA:
            return None
        if code != 354 or refused.phase is _DATA:
            return self._finish_refused
        # DATA was taken although the mail was refused. RFC 2920 §3.1: send a lone dot and read
        # its reply, which says nothing about the mail, not even when it is a 250. That is for a
        # refused RCPT; where the relay may hold a recipient, a lone dot would bring him an empty
        # mail, so the connection is closed instead.
        return self._send_nothing if refused.phase is _RCPT else self.client.abort

    def _send_nothing(self) -> None:
        self.phase, self._emptying = _DOT, True
        self._wire.say(END_OF_DATA, replies=1)

    def _finish_refused(self) -> None:
        slip, refused = self.current, self._refused
        assert slip is not None
        assert refused is not None
        if self._came_chained and refused.phase is _MAIL and lost_track(refused):
            self._end(refused)
            return
        self.current = None
        self._fleet.settle(slip, refused)
        self.work()

    def _send_body(self) -> None:
        assert self.current is not None
        self._blocks.begin(self.current.parcel.body)
        self._send_blocks()

    def _send_blocks(self) -> None:
        last = self._blocks.go_on()
        if last is not None and self.current is not None:
            self._send_last(self.current, last)

    def _send_last(self, slip: Slip, rest: bytes) -> None:
        abort = slip.parcel.abort
        if abort is not None and abort():
            self._end(GIVEN_UP)
            return
        group: tuple[bytes, ...] = ()
        following = self.chained = self._fleet.chain(self)
        if following is not None:
            following.courier = self
            group = self.offers.commands(following.parcel)
        self._wire.say(b"".join((rest, END_OF_DATA, *group)), replies=1 + len(group))
        self.phase = _DOT
        self._dot_at = time.perf_counter()

    def _dot_answered(self, code: int, text: bytes) -> None:
        slip, following = self.current, self.chained
        assert slip is not None
        outcome = outcome_of(_DOT, code, text)
        # 421: it leaves. 3xx: who knows what it waits for.
        if code == 421 or 300 <= code <= 399:
            self._end(outcome)
            return
        self.current = self.chained = None
        now = time.perf_counter()
        self._fleet.chaining.answered(now - self._dot_at)
        self._fleet.settle(slip, outcome)
        if following is None:
            self._due = self.work
            return
        following.started_at = now
        self._take_up(following, chained=True)
        if following.answer.done():  # nobody waits for it any more
            self._end(None)

    def _end(self, outcome: Outcome | None) -> None:
        """Close the connection. `outcome` is the current mail's; None: nobody wants to know."""
        self.is_closed = True
        self._due = None
        self._patience.close()
        slip, following = self.current, self.chained
        self.current = self.chained = None
        self.client.abort()
        self._fleet.gone(self)
        if slip is not None and outcome is not None:
            if not (self._came_chained and self._wire.garbled):  # then whose refusal was it?
                outcome = self._refused or outcome
            if self._untried(outcome):
                self._fleet.again(slip, outcome)
            else:
                self._fleet.settle(slip, outcome)
        if following is not None:
            self._fleet.again(following, _CUT_OFF)
        self._fleet.serve()

    def _untried(self, outcome: Outcome) -> bool:
        """Whether the relay did not look at this mail: then another connection may be tried."""
        if self.mails <= 1 or outcome.phase is not _MAIL:
            return False
        return self._resetting or self._fleet.chaining.untried(outcome, self._came_chained)

    def _await_reply(self) -> None:
        if self.current is not None:
            self._patience.wait(self.phase, chained=self._came_chained)
