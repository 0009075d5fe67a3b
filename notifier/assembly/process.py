"""One process from start to end: `notifier dev`, `serve`, `worker` or `mailbox`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

import uvloop
from starlette.types import ASGIApp

from notifier.api.app import Frame, create_app
from notifier.api.confirm_page import confirm_router
from notifier.api.deps import DESK, RING
from notifier.api.notifications import notifications_router
from notifier.api.ops import ops_app
from notifier.api.registrations import registrations_router
from notifier.api.server import Server, stop_on_signals
from notifier.assembly.delivery import Delivery, ending, open_delivery
from notifier.assembly.first_steps import first_steps, mailbox_steps
from notifier.assembly.garbage import spare_what_stays
from notifier.assembly.instruments import Instruments, instruments
from notifier.assembly.keys import declared_keys, migrates_itself
from notifier.assembly.last_resort import LastResort, last_resort
from notifier.assembly.listening import Listening, listening, log_listeners
from notifier.assembly.sample import sample_key, send_sample
from notifier.compose.catalogue import Catalogue
from notifier.core.address import parse_mailbox
from notifier.core.api_key import ApiKey
from notifier.core.errors import Misconfigured
from notifier.core.ids import IdSource
from notifier.flows.desk import Desk
from notifier.flows.keys import KnownKeys
from notifier.flows.own_mails import check_own_mails
from notifier.mailbox.house import House, open_mailbox
from notifier.observe.facts import Observer, SchemaMigrated
from notifier.observe.logs import configure
from notifier.settings import Settings
from notifier.settings.defaults import public_url
from notifier.settings.relay_url import relay_targets
from notifier.settings.secrets import secret_keys
from notifier.store import migrate as migrations
from notifier.store.migrate import MigrationReport
from notifier.store.seal import Seal
from notifier.store.store import Store

Role = Literal["dev", "serve", "worker", "mailbox"]

_SERVES: Final = {"dev", "serve"}
_CAPTURES: Final = {"dev", "mailbox"}
_now = partial(datetime.now, UTC)


@dataclass(frozen=True, slots=True)
class Ground:
    """What every role stands on. `delivers`: False where the delivery is left to workers."""

    role: Role
    settings: Settings
    sockets: Listening
    new_id: IdSource
    instruments: Instruments
    stop: asyncio.Event
    delivers: bool

    @property
    def observe(self) -> Observer:
        """Takes all facts of this process."""
        return self.instruments.observe


def run(role: Role, settings: Settings, *, dispatch: bool = True) -> int:
    """Run a role until it is told to stop; returns the exit code. Raises Misconfigured.

    `dispatch` False leaves the delivery wing to workers.
    """
    colours = "NO_COLOR" not in os.environ
    log = configure(settings.log, sys.stderr, colours=colours, now=_now)
    told = instruments(settings, log)
    _make_data_dir(settings)
    serves, captures = role in _SERVES, role in _CAPTURES
    with listening(settings, serves=serves, captures=captures) as sockets:
        if role != "mailbox":
            _prepare_schema(settings, told.observe)
        new_id = IdSource(_now, os.urandom)
        ground = Ground(role, settings, sockets, new_id, told, asyncio.Event(), dispatch)
        grace_s = max(settings.http.grace_s, settings.dispatch.grace_s)
        with (
            last_resort(grace_s, told.observe) as resort,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(_live(ground, resort))


def migrate(settings: Settings) -> MigrationReport:
    """Bring the schema up to date. Raises Misconfigured."""
    _make_data_dir(settings)
    return migrations.migrate(settings.database, settings.data_dir)


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"NOTIFIER_DATA_DIR: {settings.data_dir} cannot be made: {error.strerror}"
        ) from None
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise Misconfigured(f"NOTIFIER_DATA_DIR: {settings.data_dir} cannot be written to")


def _prepare_schema(settings: Settings, observe: Observer) -> None:
    if not migrates_itself(settings):
        migrations.wait_until_current(settings.database, settings.data_dir)
        return
    report = migrations.migrate(settings.database, settings.data_dir)
    if report.changed:
        observe(SchemaMigrated(report.before, report.after))


async def _live(ground: Ground, resort: LastResort) -> int:
    with stop_on_signals(ground.stop):
        async with AsyncExitStack() as stack:
            work = [*await _open(stack, ground), resort.watch(ground.stop)]
            spare_what_stays()
            async with asyncio.TaskGroup() as group:
                for one in work:
                    group.create_task(_stopping_at_its_end(one, ground.stop))
    return 0


async def _stopping_at_its_end(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Nothing of a process goes on without the rest: a dead dispatcher must not accept mail."""
    try:
        await work
    finally:
        stop.set()


async def _open(stack: AsyncExitStack, ground: Ground) -> list[Coroutine[Any, Any, None]]:
    """Open everything the role needs; returns what then runs until `stop`."""
    house = None
    if ground.role in _CAPTURES:
        house = await stack.enter_async_context(_mailbox(ground))
        if ground.role == "mailbox":
            frame = _mailbox_frame(ground)
            await stack.enter_async_context(_probes(ground, frame))
            work = _serving(ground, create_app(routers=[house.router], frame=frame), house)
            return [*work, _say(ground, mailbox_steps(ground.settings, ground.sockets))]
    else:
        log_listeners(ground.sockets, ground.observe)
    desk = await stack.enter_async_context(_desk(ground))
    targets = relay_targets(ground.settings, capture_port=ground.sockets.smtp_port)
    delivery = await stack.enter_async_context(open_delivery(desk, targets, ground.role))
    work = [desk.store.keep_time(ground.stop), ending(desk, ground.stop)]
    if ground.delivers:
        work.append(delivery.run(ground.stop))
    if ground.role == "worker":
        await stack.enter_async_context(_probes(ground, _frame(ground, desk, delivery, {})))
        return work
    given: dict[str, ApiKey] = {}
    if ground.role == "dev":
        plaintext, given = sample_key()
        work.append(_first_steps(ground, plaintext))
    frame = _frame(ground, desk, delivery, given)
    routers = [notifications_router(), registrations_router(), confirm_router()]
    if house is not None:
        routers.append(house.router)
    app = create_app(routers=routers, frame=frame)
    await stack.enter_async_context(_probes(ground, frame))
    return [*work, *_serving(ground, app, house)]


@asynccontextmanager
async def _mailbox(ground: Ground) -> AsyncIterator[House]:
    settings = ground.settings
    async with open_mailbox(
        settings.mailbox,
        settings.data_dir,
        now=_now,
        new_id=ground.new_id,
        observe=ground.observe,
    ) as house:
        if ground.role == "dev" and settings.dev.send_for_real:
            house.banner = "SEND_FOR_REAL is on: mail leaves this machine."
        if ground.sockets.smtp is not None:
            await house.listen(ground.sockets.smtp)
        yield house


@asynccontextmanager
async def _desk(ground: Ground) -> AsyncIterator[Desk]:
    settings = ground.settings
    keys = secret_keys(settings)
    sender = parse_mailbox(settings.mail.from_ or "")
    base = public_url(settings, http_port=ground.sockets.http_port)
    catalogue = Catalogue.load(settings.templates.dirs, settings.brand, public_url=base)
    check_own_mails(catalogue)
    store = Store.open(settings.database, settings.data_dir, Seal(keys), ground.observe)
    try:
        await store.read(store.now.correct)
        yield Desk(
            store=store,
            catalogue=catalogue,
            settings=settings,
            sender=sender,
            return_path=settings.mail.return_path or sender.address,
            public_url=base,
            secret_keys=keys,
            now=store.now,
            new_id=ground.new_id,
            entropy=os.urandom,
            observe=ground.observe,
        )
    finally:
        await asyncio.to_thread(store.close)


def _frame(ground: Ground, desk: Desk, delivery: Delivery, given: dict[str, ApiKey]) -> Frame:
    settings = ground.settings
    known = KnownKeys(desk.store, declared_keys(settings) | given)
    health, scrape = ground.instruments.of_service(
        ground.role, desk.store, delivery if ground.delivers else None, ground.stop, settings
    )
    return Frame(
        settings=settings,
        observe=ground.observe,
        now=_now,
        new_id=ground.new_id,
        port=ground.sockets.http_port,
        health=health,
        find_key=known.find,
        scrape=scrape,
        state={DESK: desk, RING: delivery.ring},
    )


def _mailbox_frame(ground: Ground) -> Frame:
    """The mailbox alone knows no keys."""

    async def no_key(_: str) -> None:
        return None

    health, scrape = ground.instruments.of_mailbox(ground.settings, ground.stop)
    return Frame(
        settings=ground.settings,
        observe=ground.observe,
        now=_now,
        new_id=ground.new_id,
        port=ground.sockets.http_port,
        health=health,
        find_key=no_key,
        scrape=scrape,
    )


def _serving(ground: Ground, app: ASGIApp, house: House | None) -> list[Coroutine[Any, Any, None]]:
    sockets = [sock for sock in (ground.sockets.http, ground.sockets.compat) if sock]
    work = [Server(app, ground.settings.http, ground.stop).serve(sockets)]
    if house is not None:
        work.append(house.watch(ground.stop))
    return work


@asynccontextmanager
async def _probes(ground: Ground, frame: Frame) -> AsyncIterator[None]:
    """Answered until all else has ended: while mail under way is finished, `/readyz` says so."""
    if ground.sockets.ops is None:
        yield
        return
    over = asyncio.Event()
    server = Server(ops_app(frame), ground.settings.http, over)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([ground.sockets.ops]))
        try:
            yield
        finally:
            over.set()


async def _first_steps(ground: Ground, plaintext: str) -> None:
    """Say where to look, once the sample has been taken, then stay until the end."""
    sockets, settings = ground.sockets, ground.settings
    sent = await send_sample(sockets, plaintext, settings.data_dir)
    if ground.stop.is_set():
        return  # stopped meanwhile: there is nothing to look at, and the sockets are closed
    await _say(ground, first_steps(settings, sockets, sample_sent=sent))


async def _say(ground: Ground, words: str) -> None:
    with suppress(OSError, ValueError):  # as with log lines: a closed stream costs the words only
        sys.stderr.write(words + "\n")
        sys.stderr.flush()
    await ground.stop.wait()
