"""Encryption and its proofs: STARTTLS, smtps, certificates."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from notifier.core.reply import LinkFailure, LinkFault
from notifier.core.verdict import Action
from notifier.settings.relay import Tls
from tests.smtp.authority import YESTERDAY, ca_file, server_context
from tests.smtp.desk import PATIENT, QUICK, desk, short
from tests.support.scripted_smtp import Drop, Garbage, Hang, Inject, Say, ScriptedSmtp, Step

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    return {**PATIENT, "ca_file": ca_file(authority, tmp_path)}


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_good_certificate_is_taken(
    authority: trustme.CA, trusting: dict[str, Any], *, implicit: bool
) -> None:
    tls: Tls = "implicit" if implicit else "required"
    context = server_context(authority)
    async with (
        ScriptedSmtp(tls=context, implicit=implicit) as server,
        desk(server.target(tls=tls, **trusting)) as sender,
    ):
        attempt = await sender.send()
    assert attempt.verdict.action is Action.SENT
    assert server.accepted[0].encrypted


async def test_the_dialogue_starts_anew_after_starttls(
    authority: trustme.CA, trusting: dict[str, Any]
) -> None:
    async with ScriptedSmtp(tls=server_context(authority)) as server:
        async with desk(server.target(tls="required", **trusting)) as sender:
            await sender.send()
        assert server.connections[0].verbs()[:3] == ["EHLO", "STARTTLS", "EHLO"]


BAD = {
    "expired": {"not_after": YESTERDAY},
    "wrong name": {"name": "other.example.org"},
    "self-signed": {},
}


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("case", BAD)
async def test_a_bad_certificate_pauses_the_relay_and_keeps_the_mail(
    authority: trustme.CA, trusting: dict[str, Any], case: str, *, implicit: bool
) -> None:
    issuer = trustme.CA() if case == "self-signed" else authority
    context = server_context(issuer, **BAD[case])  # type: ignore[arg-type]
    async with ScriptedSmtp(tls=context, implicit=implicit) as server:
        tls: Tls = "implicit" if implicit else "required"
        async with desk(server.target(tls=tls, **trusting)) as sender:
            attempt = await sender.send()
            assert sender.told() == ["relay.paused"]
    assert isinstance(attempt.outcome, LinkFailure)
    assert attempt.outcome.fault is LinkFault.CERTIFICATE
    assert attempt.verdict.action is Action.RELAY_MISCONFIGURED
    assert all("MAIL" not in connection.verbs() for connection in server.connections)


async def test_a_stripped_starttls_is_not_answered_in_the_clear() -> None:
    async with ScriptedSmtp(users={"u": "secret"}) as server:
        target = server.target(tls="required", user=("u", "secret"), **PATIENT)
        async with desk(target) as sender:
            attempt = await sender.send()
        assert server.connections[0].verbs() == ["EHLO"]
    assert short(attempt.outcome) == "starttls starttls_not_offered"
    assert attempt.verdict.action is Action.RELAY_MISCONFIGURED


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (Say(554, "5.7.3 no"), "starttls 554"),
        (Say(454, "4.7.0 later"), "starttls 454"),
        (Drop(), "starttls dropped"),
        (Garbage(), "starttls garbage"),
        (Hang(), "starttls timeout"),
        # Plain text behind the 220 would be read as if it had come under TLS (CVE-2011-0411)
        (Inject(b"250 injected\r\n"), "starttls garbage"),
        (Inject(b"250-half a li"), "starttls garbage"),
        (Drop(b"220 go ahead\r\n"), "starttls dropped"),
    ],
    ids=repr,
)
async def test_starttls_that_fails_ends_the_connection(
    authority: trustme.CA, trusting: dict[str, Any], act: Any, outcome: str
) -> None:
    limits = {**trusting, **QUICK} if outcome.endswith("timeout") else trusting
    async with ScriptedSmtp(tls=server_context(authority)) as server:
        server.on(Step.STARTTLS, act)
        async with desk(server.target(tls="required", **limits)) as sender:
            attempt = await sender.send()
        assert server.connections[0].verbs() == ["EHLO", "STARTTLS"]
    assert short(attempt.outcome) == outcome
    assert not attempt.reached_mail


async def test_opportunistic_takes_any_certificate() -> None:
    context = server_context(trustme.CA(), "other.example.org")
    async with ScriptedSmtp(tls=context) as server:
        async with desk(server.target(tls="opportunistic", **PATIENT)) as sender:
            await sender.send()
        assert server.accepted[0].encrypted


@pytest.mark.parametrize("refuses", [True, False])
async def test_opportunistic_goes_on_in_the_clear(*, refuses: bool) -> None:
    context = server_context(trustme.CA()) if refuses else None
    async with ScriptedSmtp(tls=context) as server:
        server.on(Step.STARTTLS, Say(454, "not now"))
        async with desk(server.target(tls="opportunistic", **PATIENT)) as sender:
            await sender.send()
        assert [mail.encrypted for mail in server.accepted] == [False]


async def test_plain_text_on_an_smtps_port_is_a_fault_of_the_link() -> None:
    async with ScriptedSmtp() as server, desk(server.target(tls="implicit", **PATIENT)) as sender:
        attempt = await sender.send()
    assert short(attempt.outcome) == "connect tls"
    assert attempt.verdict.action is Action.RELAY_DOWN


async def test_a_ca_file_that_is_none_is_the_operators_to_mend(tmp_path: Path) -> None:
    async with ScriptedSmtp() as server:
        limits = {**PATIENT, "ca_file": tmp_path / "absent.pem"}
        async with desk(server.target(tls="implicit", **limits)) as sender:
            attempt = await sender.send()
    assert short(attempt.outcome) == "connect certificate"
    assert attempt.verdict.action is Action.RELAY_MISCONFIGURED


async def test_one_context_serves_all_connections(
    authority: trustme.CA, trusting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []
    original = ssl.create_default_context

    def counting(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        made.append(original(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counting)
    async with ScriptedSmtp(tls=server_context(authority)) as server:
        target = server.target(tls="required", mails_per_connection=1, **trusting)
        async with desk(target) as sender:
            for _ in range(3):
                await sender.send()
        assert len(server.connections) == 3
    assert len(made) == 1
