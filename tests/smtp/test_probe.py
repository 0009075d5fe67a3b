"""Asking a relay whether it would take our mail, without sending any."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from notifier.core.reply import LinkFailure, LinkFault, Phase, Reply
from notifier.settings.relay import RelayTarget
from notifier.smtp.probe import Probe, probe
from tests.smtp.authority import YESTERDAY, ca_file, server_context
from tests.smtp.desk import PATIENT
from tests.support.scripted_smtp import Garbage, Hang, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio
LOGIN = ("user", "right")


async def asked(target: RelayTarget, within_s: float = 10) -> Probe:
    return await probe(target, "bounces@example.com", helo_name="client.test", within_s=within_s)


async def test_a_probe_offers_the_sender_takes_it_back_and_sends_nothing() -> None:
    async with ScriptedSmtp(users={"user": "right"}) as server:
        found = await asked(server.target(user=LOGIN, **PATIENT))
        assert (found.refusal, found.logged_in, found.peer) == (None, True, "127.0.0.1")
        assert server.connections[0].verbs() == ["EHLO", "AUTH", "MAIL", "RSET", "QUIT"]
        assert server.connections[0].commands[2] == "MAIL FROM:<bounces@example.com>"
        assert server.accepted == []


async def test_a_probe_names_the_extensions_that_matter() -> None:
    async with ScriptedSmtp() as server:
        found = await asked(server.target(**PATIENT))
    assert found.extensions == ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8")


async def test_a_refused_password_is_the_refusal_at_auth() -> None:
    async with ScriptedSmtp(users={"user": "right"}) as server:
        found = await asked(server.target(user=("user", "wrong"), **PATIENT))
    assert isinstance(found.refusal, Reply)
    assert (found.refusal.phase, found.refusal.code) == (Phase.AUTH, 535)
    assert not found.logged_in


async def test_a_refused_sender_is_the_refusal_at_mail() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.MAIL, Say(553, "5.7.1 not yours"))
        found = await asked(server.target(**PATIENT))
        assert isinstance(found.refusal, Reply)
        assert (found.refusal.phase, found.refusal.code) == (Phase.MAIL, 553)
        assert "QUIT" in server.connections[0].verbs()


async def test_a_probe_reads_the_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    trusting = {**PATIENT, "ca_file": ca_file(authority, tmp_path)}
    async with ScriptedSmtp(tls=server_context(authority)) as server:
        found = await asked(server.target(tls="required", **trusting))
    assert found.tls == "TLSv1.3"
    assert found.certificate is not None
    assert "127.0.0.1" in found.certificate.names
    assert found.certificate.ends_at > datetime.now(UTC)


async def test_an_expired_certificate_ends_the_probe(tmp_path: Path) -> None:
    authority = trustme.CA()
    trusting = {**PATIENT, "ca_file": ca_file(authority, tmp_path)}
    async with ScriptedSmtp(tls=server_context(authority, not_after=YESTERDAY)) as server:
        found = await asked(server.target(tls="required", **trusting))
    assert isinstance(found.refusal, LinkFailure)
    assert found.refusal.fault is LinkFault.CERTIFICATE


@pytest.mark.parametrize("step", [Step.CONNECT, Step.EHLO, Step.MAIL])
async def test_a_relay_that_says_nothing_costs_a_bounded_time(step: Step) -> None:
    async with ScriptedSmtp() as server:
        server.on(step, Hang())
        async with asyncio.timeout(5):
            found = await asked(server.target(**PATIENT), within_s=0.2)
    assert isinstance(found.refusal, LinkFailure)
    assert found.refusal.fault is LinkFault.TIMEOUT


async def test_nonsense_is_a_value_too() -> None:
    async with ScriptedSmtp() as server:
        server.on(Step.EHLO, Garbage())
        found = await asked(server.target(**PATIENT))
    assert isinstance(found.refusal, LinkFailure)
    assert found.refusal.fault is LinkFault.GARBAGE


async def test_nobody_there_is_refused_on_connecting() -> None:
    async with ScriptedSmtp() as server:
        target = server.target(**PATIENT)
    found = await asked(target)
    assert isinstance(found.refusal, LinkFailure)
    assert (found.refusal.phase, found.refusal.fault) == (Phase.CONNECT, LinkFault.REFUSED)
    assert found.banner is None
