"""`notifier dev`: from POST to inbox on one machine, through crashes and restarts."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.e2e.process import DEADLINE_S, Service, eventually, free_port, run, started
from tests.support.scripted_smtp import ScriptedSmtp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def test_the_first_start_shows_a_sample_and_the_second_no_other(tmp_path: Path) -> None:
    async with started(tmp_path, "dev") as service:
        (sample,) = await service.captured("to:ada@example.com")
        assert sample["subject"] == "Your first notification"
        assert await service.terminate() == 0
    assert "curl -s http://127.0.0.1:" in service.log
    async with started(tmp_path, "dev") as service:
        await service.send("ann@example.org")
        await service.captured("to:ann@example.org")
        assert [mail["to"][0]["address"] for mail in await service.inbox()] == [
            "ann@example.org",
            "ada@example.com",
        ]


async def test_a_post_is_in_the_inbox_as_it_was_written(tmp_path: Path) -> None:
    async with started(tmp_path, "dev") as service:
        told = await service.post(
            to=["Ann Ünal <ann@example.org>", "bob@example.org"],
            template={
                "name": "notification",
                "variables": {"title": "Größe ✓", "message": "One <b>& two</b>", "name": "Ann"},
            },
            reply_to="help@example.com",
            headers={"X-Entity-Ref-ID": "42"},
        )
        ann, bob = sorted(
            await service.captured("subject:Größe", 2), key=lambda mail: mail["envelope"]["rcpt_to"]
        )
        assert ann["to"] == [{"name": "Ann Ünal", "address": "ann@example.org"}]
        assert (ann["envelope"]["rcpt_to"], bob["envelope"]["rcpt_to"]) == (
            ["ann@example.org"],
            ["bob@example.org"],
        )
        assert (ann["subject"], ann["malformed"]) == ("Größe ✓", None)
        assert "One <b>& two</b>" in await service.text(ann)
        html = (await service.web.get(f"/mailbox/api/messages/{ann['id']}/html")).text
        assert "One &lt;b&gt;&amp; two&lt;/b&gt;" in html
        now = await service.until(told, "captured")
        assert [f"<{mail['message_id']}>" for mail in (ann, bob)] == [
            one["message_id"] for one in now["messages"]
        ]
        assert all(one["relay"] == "capture" and one["sent_at"] for one in now["messages"])
        story = (await service.web.get(told["links"]["events"])).json()["data"]
        assert [event["type"] for event in story] == [
            "notification.accepted",
            "message.captured",
            "message.captured",
        ]


async def test_a_sign_up_by_code_and_by_link_ends_in_one_welcome_each(tmp_path: Path) -> None:
    async with started(tmp_path, "dev") as service:
        for by, address in (("code", "ann@example.org"), ("link", "bob@example.org")):
            begun = await service.post("/v1/registrations", email=address, name="Ann")
            (mail,) = await service.captured(f"to:{address}")
            path = f"/v1/registrations/{begun['id']}"
            if by == "code":
                done = await service.post(f"{path}/confirm", code=mail["code"])
                assert done["status"] == "confirmed"
            else:
                await _press_the_button(service, mail["link"])
            assert (await service.web.get(path)).json()["status"] == "confirmed"
            await service.captured(f"to:{address} subject:Welcome")
            assert len(await service.inbox(query=f"to:{address}")) == 2


async def _press_the_button(service: Service, link: str) -> None:
    async with httpx2.AsyncClient() as browser:
        page = await browser.get(link)
        assert page.status_code == 200
        action = re.search(r'action="([^"]+)"', page.text)
        token = re.search(r'name="t" value="([^"]+)"', page.text)
        assert action
        assert token
        done = await browser.post(page.url.join(action[1]), data={"t": token[1]})
        assert (done.status_code, "Address confirmed" in done.text) == (200, True)


async def test_killed_amid_two_hundred_posts_every_202_has_its_mail(tmp_path: Path) -> None:
    accepted: dict[str, dict[str, Any]] = {}
    async with started(tmp_path, "dev") as service:
        half = asyncio.Event()

        async def post(number: int) -> None:
            address = f"p{number}@example.org"
            try:
                accepted[address] = await service.send(address)
            except httpx2.TransportError:
                return  # no answer: it may have been accepted or not
            if len(accepted) >= 100:
                half.set()

        async def poster(first: int) -> None:
            for number in range(first, 200, 8):
                await post(number)

        posting = asyncio.gather(*map(poster, range(8)))
        await asyncio.wait_for(half.wait(), DEADLINE_S)
        await service.kill()
        await posting
    assert 100 <= len(accepted) < 200
    began = time.monotonic()
    async with started(tmp_path, "dev") as service:
        for told in accepted.values():
            await service.until(told, "captured")
        assert time.monotonic() - began < DEADLINE_S
        await _none_lost_none_twice(service, accepted)


async def _none_lost_none_twice(service: Service, accepted: dict[str, dict[str, Any]]) -> None:
    arrived: dict[str, int] = {}
    for mail in await service.inbox(query="subject:Hello"):
        (address,) = mail["envelope"]["rcpt_to"]
        arrived[address] = arrived.get(address, 0) + 1
    assert accepted.keys() <= arrived.keys()
    for address in (address for address, count in arrived.items() if count > 1):
        story = (await service.web.get(accepted[address]["links"]["events"])).json()["data"]
        assert any(event["data"].get("ambiguous") for event in story), f"{address}: unflagged"


async def test_it_stops_at_once_with_a_stream_open(tmp_path: Path) -> None:
    async with started(tmp_path, "dev") as service:
        headers = {"Accept": "text/event-stream"}
        async with service.web.stream("GET", "/mailbox/events", headers=headers) as stream:
            assert stream.status_code == 200
            began = time.monotonic()
            service.process.terminate()
            async for _ in stream.aiter_raw():
                pass
            assert await asyncio.wait_for(service.process.wait(), DEADLINE_S) == 0
            assert time.monotonic() - began < 3
    assert "Traceback" not in service.log


async def test_mail_waits_for_a_relay_that_is_down(tmp_path: Path) -> None:
    relay = ScriptedSmtp()
    relay.port = free_port()
    url = f"smtp://127.0.0.1:{relay.port}?tls=none"
    settings = {"RELAYS__MAIN__URL": url, "RELAYS__MAIN__REST_S": 0.2}
    async with started(tmp_path, "dev", **settings) as service:
        told = await service.send("ann@example.org")
        await eventually(lambda: _degraded(service), "the relay is seen to be down")
        assert (await service.read(told))["messages"][0]["final"] is False
        async with relay:
            now = await service.until(told, "sent")
        assert [mail.rcpt_to for mail in relay.accepted] == ["ann@example.org"]
        assert now["messages"][0]["relay"] == "main"
        assert await service.inbox(query="to:ann@example.org") == []


async def _degraded(service: Service) -> bool:
    answer = await service.web.get("/readyz")
    assert answer.status_code == 200
    return "relay main is resting" in answer.text


class Keeper:
    """An aiosmtpd handler that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - its name there
        content = envelope.original_content or b""
        self.mails.append((envelope.mail_from or "", envelope.rcpt_tos, content))
        return "250 2.0.0 queued as K1"


async def test_mail_goes_out_through_another_smtp_server(tmp_path: Path) -> None:
    keeper = Keeper()
    server = Controller(keeper, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        async with started(tmp_path, "dev", RELAYS__MAIN__URL=url) as service:
            told = await service.send("ann@example.org")
            now = await service.until(told, "sent")
    finally:
        server.stop()
    ((sender, recipients, content),) = keeper.mails
    assert recipients == ["ann@example.org"]
    assert sender.encode() in content
    assert b"\r\nIt works.\r\n" in content
    assert now["messages"][0]["queue_id"] == "K1"


async def test_a_port_that_was_set_and_is_busy_is_one_sentence(tmp_path: Path) -> None:
    async with ScriptedSmtp() as other:
        code, said = await run(tmp_path, "dev", HTTP__PORT=other.port)
    assert code != 0
    assert str(other.port) in said
    assert "NOTIFIER_HTTP__PORT" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2, said
