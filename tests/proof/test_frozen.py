"""A process that is frozen past its lease, as by a debugger, a laptop's lid or a live migration."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notifier.settings.sections import DatabaseSettings
from tests.proof.installation import Installation, installation
from tests.proof.sink import Manner, Session, Step, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
ANN = "ann@example.org"
LEASE_S = 2


class Held:
    """Manners that put off the first answer to one step, and remember whom they put off."""

    def __init__(self, step: Step, *, rejects: bool = False) -> None:
        self.answer = asyncio.Event()
        self.session: Session | None = None
        self.said_more = False
        self._step = step
        self._rejects = rejects

    def __call__(self, step: Step, session: Session) -> Manner:
        if self.session is None and step is self._step:
            self.session = session
            return Wait(self.answer, self._rejects)
        if session is self.session and step is Step.DOT:
            self.said_more = True
        return None


@pytest.fixture
async def site(database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[Installation]:
    """A service that is started, and a worker that is not."""
    roles = (("serve",), ("worker",))
    async with installation(database, tmp_path, *roles, DISPATCH__LEASE_S=LEASE_S) as made:
        await made.processes[0].start()
        yield made


async def frozen_with_a_mail(site: Installation, held: Held) -> None:
    """The service has sent so much of a mail, and stands still; the worker has taken over."""
    site.sink.manners = held
    await site.post(ANN)
    await site.sink.until(lambda: held.session is not None)
    await site.freeze(site.processes[0])
    before = len(site.sink.taken_by(ANN))
    await site.processes[1].start()
    await site.sink.until(lambda: len(site.sink.taken_by(ANN)) > before)


async def test_a_mail_frozen_in_its_dot_is_taken_over_and_its_copy_flagged(
    site: Installation,
) -> None:
    held = Held(Step.DOT)
    await frozen_with_a_mail(site, held)
    held.answer.set()
    site.processes[0].strike(signal.SIGCONT)
    found = await site.drained()
    assert await site.processes[0].terminate() == 0  # what it still had to write is written
    found = await site.drained()
    assert found.violations == ()
    assert (found.duplicates, found.flagged) == (1, 1)


async def test_a_frozen_sender_whose_lease_has_lapsed_sends_no_dot(site: Installation) -> None:
    held = Held(Step.DATA)
    await frozen_with_a_mail(site, held)
    held.answer.set()
    site.processes[0].strike(signal.SIGCONT)
    await site.sink.until(lambda: held.said_more or held.session not in site.sink.sessions)
    assert not held.said_more
    found = await site.drained()
    assert found.violations == ()
    assert (found.sent, found.duplicates) == (1, 0)


async def test_a_process_that_came_back_goes_on_working(site: Installation) -> None:
    held = Held(Step.DATA)
    await frozen_with_a_mail(site, held)
    held.answer.set()
    site.processes[0].strike(signal.SIGCONT)
    assert await site.processes[1].terminate() == 0
    await site.post("bob@example.org")
    found = await site.drained()
    assert found.violations == ()
    assert found.sent == 2


async def test_a_late_refusal_does_not_undo_what_another_has_sent(site: Installation) -> None:
    held = Held(Step.DOT, rejects=True)
    await frozen_with_a_mail(site, held)
    await site.drained()
    held.answer.set()
    site.processes[0].strike(signal.SIGCONT)
    assert await site.processes[0].terminate() == 0
    found = await site.drained()
    assert found.violations == ()
    assert (found.sent, found.duplicates) == (1, 0)
