"""Bytes leave as they are stored, and nothing in them speaks SMTP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.core.envelope import Envelope
from notifier.core.reply import LinkFault
from notifier.core.verdict import Action
from notifier.smtp.parcel import pack
from tests.smtp.desk import ANN, PATIENT, SENDER, desk, short
from tests.support.scripted_smtp import EXTENSIONS, ScriptedSmtp

NASTY = {
    "leading dots": b".\r\n..\r\n...\r\n.x\r\n",
    "a dot first and last": b".a\r\n.",
    "only a dot": b".",
    "empty": b"",
    "empty lines": b"\r\n\r\n\r\n",
    "a lone LF": b"a\nb\r\n",
    "a lone CR": b"a\rb\r\n",
    "lone ends and dots": b"a\n.b\r.c\r\n",
    "LF CR": b"a\n\rb\r\n",
    "an LF at the end": b"a\n",
    "a CR at the end": b"a\r",
    "998 columns and more": b"x" * 5000 + b"\r\n" + b"y" * 998 + b"\r\n",
    "NUL and 8 bits": bytes(range(256)) * 3 + b"\r\n",
    "a dot at each block's edge": (b"x" * 13 + b"\r\n.") * 20_000,
    "a megabyte without line ends": b"z" * 1_048_576,
    "commands": b"\r\nQUIT\r\nMAIL FROM:<x@y>\r\nRSET\r\n",
}

SMUGGLERS = [
    b"a\n.\r\nMAIL FROM:<evil@example.org>\r\n",
    b"a\n.\nMAIL FROM:<evil@example.org>\r\n",
    b"a\r.\r\nMAIL FROM:<evil@example.org>\r\n",
    b"a\r.\rMAIL FROM:<evil@example.org>\r\n",
    b"a\n.",
]


@pytest.mark.anyio
@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("case", NASTY)
async def test_content_arrives_byte_equal(case: str, *, pipelining: bool) -> None:
    content = NASTY[case]
    async with ScriptedSmtp() as server:
        async with desk(server.target(pipelining=pipelining, **PATIENT)) as sender:
            attempt = await sender.send(content)
            await sender.send()  # the connection is still in step
        assert attempt.verdict.action is Action.SENT
        assert len(server.connections) == 1
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert server.accepted[0].content == ended
    assert len(server.accepted) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("content", SMUGGLERS, ids=repr)
async def test_a_dot_that_lax_relays_take_for_the_end_is_not_sent(content: bytes) -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(content)
        assert "MAIL" not in server.connections[0].verbs()
    assert short(attempt.outcome) == "mail unsendable_content"
    assert attempt.verdict.action is Action.REJECTED


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x"])).map(b"".join))
def test_packed_bytes_end_once_and_unstuff_to_the_content(content: bytes) -> None:
    parcel = pack(Envelope(SENDER, ANN), content)
    wire = b"\r\n" + parcel.body + b".\r\n"
    assert wire.index(b"\r\n.\r\n") == len(wire) - 5
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert wire[:-3].replace(b"\r\n.", b"\r\n")[2:] == ended
    assert parcel.size_bytes == len(ended)


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x"])).map(b"".join))
def test_packed_bytes_have_one_end_for_lax_readers_too(content: bytes) -> None:
    parcel = pack(Envelope(SENDER, ANN), content)
    if parcel.fault is None:
        lax = (b"\n" + parcel.body + b".\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert lax.index(b"\n.\n") == len(lax) - 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address",
    [
        "a@example.org> SIZE=1",
        "a@example.org\r\nRSET",
        "a b@example.org",
        "<a@example.org>",
        "a\x00@example.org",
        '"a\r\n"@example.org',
    ],
)
async def test_an_address_cannot_extend_its_command(address: str) -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**PATIENT)) as sender:
            attempt = await sender.send(to=address)
            other = await sender.send(sender=address)
        assert "MAIL" not in server.connections[0].verbs()
    assert short(attempt.outcome) == short(other.outcome) == "mail unsendable_content"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address", ['"a b>c"@example.org', "o'hara+tag@example.org", "x@[127.0.0.1]"]
)
async def test_an_odd_but_lawful_address_is_sent(address: str) -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send(to=address)
        assert f"RCPT TO:<{address}>" in server.connections[0].commands


@pytest.mark.anyio
async def test_the_null_sender_is_sent_as_such() -> None:
    async with ScriptedSmtp() as server:
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send(sender="")
        assert server.connections[0].commands[1].startswith("MAIL FROM:<> ")


@pytest.mark.anyio
async def test_size_is_declared_without_dots_and_checked_before_mail() -> None:
    content = b"..\r\n" * 10
    for limit, fits in ((40, True), (39, False), (0, True)):
        async with ScriptedSmtp(extensions=[f"SIZE {limit}"]) as server:
            async with desk(server.target(**PATIENT)) as sender:
                attempt = await sender.send(content)
            mails = [c for c in server.connections[0].commands if c.startswith("MAIL")]
        assert mails == ([f"MAIL FROM:<{SENDER}> SIZE=40"] if fits else [])
        if not fits:
            assert short(attempt.outcome) == "mail size_exceeded"
            assert attempt.verdict.action is Action.REJECTED
            assert not attempt.reached_mail


@pytest.mark.anyio
@pytest.mark.parametrize("size", ["9" * 6000, "many", "-1", "1 2"])
async def test_a_size_that_is_no_number_is_no_limit(size: str) -> None:
    async with ScriptedSmtp(extensions=[f"SIZE {size}"]) as server:
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send()
        assert len(server.accepted) == 1


@pytest.mark.anyio
async def test_parameters_are_used_only_where_they_are_offered() -> None:
    content = "Subject: h\u00e9\r\n\r\n".encode()
    async with ScriptedSmtp(extensions=["8BITMIME"]) as server:
        async with desk(server.target(**PATIENT)) as sender:
            await sender.send(content)
            await sender.send()
        mails = [c for c in server.connections[0].commands if c.startswith("MAIL")]
    assert mails == [f"MAIL FROM:<{SENDER}> BODY=8BITMIME", f"MAIL FROM:<{SENDER}>"]


@pytest.mark.anyio
async def test_an_international_address_needs_smtputf8() -> None:
    address = "j\u00f6rg@example.org"
    async with ScriptedSmtp() as server, desk(server.target(**PATIENT)) as sender:
        await sender.send(to=address)
    assert server.accepted[0].rcpt_to == address
    assert "SMTPUTF8" in server.accepted[0].options


@pytest.mark.anyio
async def test_an_international_address_is_rejected_where_no_relay_can_take_it() -> None:
    plain = [name for name in EXTENSIONS if name != "SMTPUTF8"]
    async with (
        ScriptedSmtp(extensions=plain) as server,
        desk(server.target(**PATIENT)) as sender,
    ):
        attempt = await sender.send(to="j\u00f6rg@example.org")
    assert short(attempt.outcome) == f"mail {LinkFault.SMTPUTF8.value}"
    assert attempt.verdict.action is Action.REJECTED
