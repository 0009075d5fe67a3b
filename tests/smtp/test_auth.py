"""Logging in."""

import pytest

from notifier.core.verdict import Action
from tests.smtp.desk import PATIENT, QUICK, desk, short
from tests.support.scripted_smtp import (
    CLOSING,
    Act,
    Drop,
    Garbage,
    Hang,
    Say,
    ScriptedSmtp,
    Step,
)

pytestmark = pytest.mark.anyio
USERS = {"user": "p\u00e4ss word"}
LOGIN = ("user", "p\u00e4ss word")


async def test_auth_plain_is_used_first() -> None:
    async with ScriptedSmtp(users=USERS) as server:
        async with desk(server.target(user=LOGIN, **PATIENT)) as sender:
            await sender.send()
        assert server.connections[0].commands[1].startswith("AUTH PLAIN ")
        assert server.accepted[0].user == "user"


async def test_auth_login_is_used_where_plain_is_not_offered() -> None:
    async with ScriptedSmtp(users=USERS, mechanisms=("LOGIN",)) as server:
        async with desk(server.target(user=LOGIN, **PATIENT)) as sender:
            await sender.send()
        assert server.connections[0].commands[1].startswith("AUTH LOGIN ")
        assert server.accepted[0].user == "user"


async def test_auth_happens_once_for_a_connection() -> None:
    async with ScriptedSmtp(users=USERS) as server:
        async with desk(server.target(user=LOGIN, **PATIENT)) as sender:
            await sender.send()
            await sender.send()
        assert server.connections[0].verbs().count("AUTH") == 1


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("LOGIN",)])
async def test_a_wrong_password_pauses_the_relay_after_one_try(mechanisms: tuple[str]) -> None:
    async with ScriptedSmtp(users=USERS, mechanisms=mechanisms) as server:
        async with desk(server.target(user=("user", "wrong"), **PATIENT)) as sender:
            attempt = await sender.send()
            assert sender.told() == ["relay.paused"]
        # A second mechanism would be a second failed login: accounts get locked that way.
        assert server.connections[0].verbs().count("AUTH") == 1
    assert short(attempt.outcome) == "auth 535"
    assert attempt.verdict.action is Action.RELAY_MISCONFIGURED
    assert "wrong" not in repr(attempt)


async def test_a_relay_without_auth_cannot_take_a_password() -> None:
    async with ScriptedSmtp() as server, desk(server.target(user=LOGIN, **PATIENT)) as sender:
        attempt = await sender.send()
    assert short(attempt.outcome) == "auth auth_not_offered"
    assert attempt.verdict.action is Action.RELAY_MISCONFIGURED


async def test_a_password_is_not_sent_in_the_clear_unless_told_to() -> None:
    async with ScriptedSmtp(users=USERS) as server:
        target = server.target(tls="opportunistic", user=LOGIN, **PATIENT)
        async with desk(target) as sender:
            attempt = await sender.send()
        assert server.connections[0].verbs() == ["EHLO"]
    assert short(attempt.outcome) == "auth starttls_not_offered"


@pytest.mark.parametrize(
    ("act", "outcome", "action"),
    [
        (Say(535, "5.7.8 no"), "auth 535", Action.RELAY_MISCONFIGURED),
        (Say(454, "4.7.0 later"), "auth 454", Action.RELAY_DOWN),
        (Say(250, "ok?"), "auth garbage", Action.RELAY_DOWN),
        (CLOSING, "auth 421", Action.RELAY_DOWN),
        (Drop(), "auth dropped", Action.RELAY_DOWN),
        (Garbage(), "auth garbage", Action.RELAY_DOWN),
        (Hang(), "auth timeout", Action.RELAY_DOWN),
    ],
    ids=repr,
)
async def test_auth_that_fails(act: Act, outcome: str, action: Action) -> None:
    limits = QUICK if outcome.endswith("timeout") else PATIENT
    async with ScriptedSmtp(users=USERS) as server:
        server.on(Step.AUTH, act)
        async with desk(server.target(user=LOGIN, **limits)) as sender:
            attempt = await sender.send()
        assert "MAIL" not in server.connections[0].verbs()
    assert short(attempt.outcome) == outcome
    assert attempt.verdict.action is action
