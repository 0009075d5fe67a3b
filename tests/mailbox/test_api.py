"""`/mailbox/api` and the pages, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.mailbox.boxes import Mailbox, OpenMailbox, serving

pytestmark = pytest.mark.anyio

HTML_MAIL = (
    b"From: A <a@example.com>\r\nTo: b@example.com\r\nSubject: Hello\r\n"
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n'
    b'--m\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>hi</b><img src="cid:i@x">'
    b'<img src="http://remote.example/x.png"><iframe src="http://remote.example"></iframe>\r\n'
    b"--m\r\nContent-Type: image/svg+xml\r\nContent-ID: <i@x>\r\n\r\n<svg/>\r\n"
    b"--m\r\nContent-Type: text/html\r\nContent-Disposition: attachment; "
    b'filename="..\\..\\\xc3\xa4 \xe2\x80\xaegnp.html"\r\n\r\n'
    b"<script>alert(1)</script>\r\n--m--\r\n"
)
TEXT_MAIL = (
    b"Subject: Text <script>\r\n\r\n</pre><script>alert(1)</script> https://x.example/a?b=1&c\r\n"
)
API = "/mailbox/api"


async def test_a_mail_by_every_address(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(HTML_MAIL, sender="env@example.com")
    listed = (await web.get(f"{API}/messages")).json()
    assert (listed["object"], listed["has_more"], listed["next_cursor"]) == ("list", False, None)
    (mail,) = listed["data"]
    assert mail["object"] == "mailbox.message"
    assert mail["from"] == {"name": "A", "address": "a@example.com"}
    assert mail["envelope"] == {"mail_from": "env@example.com", "rcpt_to": ["ada@example.com"]}
    base = f"{API}/messages/{mail['id']}"
    detail = (await web.get(base)).json()
    assert [part["content_type"] for part in detail["parts"]] == [
        "text/html", "image/svg+xml", "text/html",
    ]  # fmt: skip
    assert (await web.get(f"{base}/raw")).content == HTML_MAIL
    assert (await web.get(f"{base}/html")).text.startswith('<b>hi</b><img src="cid:i@x">')
    headers = (await web.get(f"{base}/headers")).json()["data"]
    assert headers[2] == {"name": "Subject", "value": "Hello"}
    assert (await web.get(f"{base}/parts/2")).content == b"<svg/>"
    assert (await web.get(f"{base}/text")).status_code == 404


async def test_reading_changes_nothing_and_only_a_post_marks(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    await box.send(HTML_MAIL)
    mail = await box.newest()
    page = f"/mailbox/messages/{mail.id}"
    for path in ("", "/pane", "/frame", "/inline/2"):
        assert (await web.get(page + path)).status_code == 200
    for path in ("", "/raw", "/html", "/headers", "/parts/1"):
        assert (await web.get(f"{API}/messages/{mail.id}{path}")).status_code == 200
    assert not (await box.newest()).is_read
    assert (await web.get(f"{page}/read")).status_code == 405
    assert (await web.post(f"{page}/read")).status_code == 204
    assert (await box.newest()).is_read
    assert (await web.post(f"{page}/unread")).status_code == 204
    assert not (await box.newest()).is_read
    assert (await web.post("/mailbox/messages/cap_none/read")).status_code == 404


async def test_every_captured_document_is_sandboxed(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(HTML_MAIL)
    mail = await box.newest()
    paths = [
        f"/mailbox/messages/{mail.id}/{path}" for path in ("frame", "frame?images=true", "inline/2")
    ]
    paths += [f"{API}/messages/{mail.id}/{path}" for path in ("raw", "html", "parts/1", "parts/3")]
    for path in paths:
        answer = await web.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox"), path
        assert "default-src 'none'" in policy
        assert "allow-scripts" not in policy
        assert "allow-same-origin" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if "/api/" in path or answer.headers["content-type"] == "image/svg+xml":
            assert answer.headers["content-disposition"].startswith("attachment")


async def test_the_frame_has_what_the_policy_allows_and_no_more(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    await box.send(HTML_MAIL)
    mail = await box.newest()
    inline = f"/mailbox/messages/{mail.id}/inline/"
    held = await web.get(f"/mailbox/messages/{mail.id}/frame")
    assert held.text == f'<b>hi</b><img src="{inline}2"><img>'
    assert held.headers["content-security-policy"] == (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        f"style-src 'unsafe-inline'; img-src data: http://{web.base_url.netloc.decode()}{inline}"
    )
    loaded = await web.get(f"/mailbox/messages/{mail.id}/frame?images=true")
    assert "http://remote.example/x.png" in loaded.text
    assert "<iframe" not in loaded.text
    assert loaded.headers["content-security-policy"].endswith(" http: https:")
    assert (await web.get(f"/mailbox/messages/{mail.id}/inline/1")).status_code == 404


async def test_a_hostile_host_header_gets_into_no_policy(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    await box.send(HTML_MAIL)
    mail = await box.newest()
    answer = await web.get(
        f"/mailbox/messages/{mail.id}/frame", headers={"host": "x; script-src *"}
    )
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].endswith("img-src data: 'self'")


async def test_a_file_name_cannot_lie_or_climb(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(HTML_MAIL)
    mail = await box.newest()
    disposition = (await web.get(f"{API}/messages/{mail.id}/parts/3")).headers[
        "content-disposition"
    ]
    assert (
        disposition == "attachment; filename=\"_ _gnp.html\"; filename*=UTF-8''%C3%A4%20_gnp.html"
    )


async def test_pages_escape_what_mail_holds(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(TEXT_MAIL)
    mail = await box.newest()
    for tab in ("text", "headers", "raw", "parts", "nonsense"):
        answer = await web.get(f"/mailbox/messages/{mail.id}?tab={tab}")
        assert "alert(1)</script>" not in answer.text
        assert "Text &lt;script&gt;" in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
    text = (await web.get(f"/mailbox/messages/{mail.id}/pane?tab=text")).text
    assert 'href="https://x.example/a?b=1&amp;c" target="_blank" rel="noopener noreferrer"' in text


async def test_the_inbox_searches_pages_and_says_what_is_wrong(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    assert "No mail yet" in (await web.get("/mailbox")).text
    for n in range(3):
        await box.send(b"Subject: number %d\r\n\r\nx\r\n" % n)
    page = (await web.get("/mailbox/list", params={"rows": 2})).text
    assert "number 2" in page
    assert "number 0" not in page
    assert "data-more" in page
    assert "number 1" in (await web.get("/mailbox", params={"q": "number 1"})).text
    assert "No mail matches" in (await web.get("/mailbox", params={"q": "nothing"})).text
    assert "cannot be read" in (await web.get("/mailbox", params={"q": "from:"})).text
    missing = await web.get("/mailbox/messages/cap_none")
    assert missing.status_code == 404
    assert "This mail is gone" in missing.text
    assert (await web.get("/mailbox/")).headers["location"] == "/mailbox"


async def test_the_banner_stands_on_every_page(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(TEXT_MAIL)
    paths = ["/mailbox", f"/mailbox/messages/{(await box.newest()).id}", "/mailbox/messages/cap_x"]
    for path in paths:
        assert "for <b>real" not in (await web.get(path)).text
    box.house.banner = "Mail leaves, for <b>real"
    for path in paths:
        assert "Mail leaves, for &lt;b&gt;real" in (await web.get(path)).text


async def test_static_files_are_named_and_nothing_else(web: httpx2.AsyncClient) -> None:
    page = (await web.get("/mailbox")).text
    for name in ("mailbox.css", "mailbox.js", "icon.svg"):
        assert f"/mailbox/static/{name}?v=" in page
        assert (await web.get(f"/mailbox/static/{name}")).status_code == 200
    assert (await web.get("/mailbox/static/..%2finbox.html")).status_code == 404


async def test_lists_page_by_cursor(box: Mailbox, web: httpx2.AsyncClient) -> None:
    for n in range(5):
        await box.send(b"Subject: n%d\r\n\r\nx\r\n" % n)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"after": cursor} if cursor else {})
        page = (await web.get(f"{API}/messages", params=params)).json()
        seen += [mail["subject"] for mail in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


BAD: list[tuple[str, str, object, int]] = [
    ("GET", "/messages?after=nonsense", None, 422),
    ("GET", "/messages?after=" + "9" * 40, None, 422),
    ("GET", "/messages?limit=0", None, 422),
    ("GET", "/messages?query=from:", None, 422),
    ("GET", "/messages/cap_none", None, 404),
    ("GET", "/messages/%00", None, 404),
    ("GET", "/messages/cap_none/parts/99999999999999999999999", None, 404),
    ("GET", "/wait?timeout=1000", None, 422),
    ("DELETE", "/messages", {}, 422),
    ("DELETE", "/messages", {"all": False}, 422),
    ("DELETE", "/messages", {"all": True, "ids": ["x"]}, 422),
    ("DELETE", "/messages", {"ids": []}, 422),
    ("DELETE", "/messages", {"query": " "}, 422),
    ("DELETE", "/messages", {"everything": True}, 422),
    ("DELETE", "/messages", None, 422),
]


@pytest.mark.parametrize("before", ["0", str(2**63), "9" * 40])
async def test_a_place_that_no_mail_can_have_is_422(web: httpx2.AsyncClient, before: str) -> None:
    assert (await web.get("/mailbox", params={"before": before})).status_code == 422


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
async def test_bad_input_is_refused_and_deletes_nothing(
    box: Mailbox, web: httpx2.AsyncClient, method: str, path: str, body: object, status: int
) -> None:
    await box.send(TEXT_MAIL)
    answer = await web.request(method, API + path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(await box.all()) == 1


async def test_deleting_answers_what_went(box: Mailbox, web: httpx2.AsyncClient) -> None:
    for word in (b"one", b"two", b"two"):
        await box.send(b"Subject: %b\r\n\r\nx\r\n" % word)
    one = (await box.all("one"))[0].id

    async def delete(body: object) -> object:
        return (await web.request("DELETE", f"{API}/messages", json=body)).json()

    assert await delete({"ids": [one, "cap_x"]}) == {"deleted": 1, "not_found": ["cap_x"]}
    assert await delete({"query": "subject:two"}) == {"deleted": 2, "not_found": []}
    assert await delete({"all": True}) == {"deleted": 0, "not_found": []}


async def test_wait_answers_within_50_ms_of_the_arrival(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    loop = asyncio.get_running_loop()
    await web.get(f"{API}/cursor")
    waiting = asyncio.ensure_future(
        web.get(f"{API}/wait?query=subject:hello&timeout=20", timeout=30)
    )
    await asyncio.sleep(0.2)  # so that it really waits
    await box.send(b"Subject: other\r\n\r\nx\r\n")
    assert not waiting.done()
    await box.send(HTML_MAIL)
    acked = loop.time()
    answer = await waiting
    assert answer.json()["data"][0]["subject"] == "Hello"
    assert loop.time() - acked < 0.05 * 4  # a loaded machine; alone it is a few milliseconds


async def test_wait_sees_only_mail_after_the_cursor(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(HTML_MAIL)
    cursor = (await web.get(f"{API}/cursor")).json()["cursor"]
    late = await web.get(f"{API}/wait", params={"query": "hello", "timeout": 0, "after": cursor})
    assert late.status_code == 404
    await box.send(HTML_MAIL)
    found = await web.get(f"{API}/wait", params={"query": "hello", "timeout": 5, "after": cursor})
    assert len(found.json()["data"]) == 1
    assert found.json()["data"][0]["id"] == (await box.newest()).id


async def test_wait_says_why_nothing_matched(box: Mailbox, web: httpx2.AsyncClient) -> None:
    await box.send(b"From: ann@example.com\r\nSubject: Your receipt\r\n\r\nx\r\n")
    answer = await web.get(f"{API}/wait", params={"query": "from:ann welcome", "timeout": 0.05})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (404, "no_match")
    assert "Your receipt" in problem["detail"]
    assert [error["code"] for error in problem["errors"]] == ["near_miss"]
    assert "term 2" in problem["errors"][0]["detail"]
    other = await web.get(f"{API}/wait", params={"query": "from:zoe welcome", "timeout": 0})
    assert [e["code"] for e in other.json()["errors"]] == ["term_unmatched", "term_unmatched"]
    both = await web.get(f"{API}/wait", params={"query": "receipt", "count": 2, "timeout": 0})
    assert "1 of 2 mails" in both.json()["detail"]


class Stream:
    """A reader of `/mailbox/events`."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def event(self) -> tuple[str, str, dict[str, object]]:
        """The next event: id, name, data. Comments and `retry` are passed over."""
        found: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name:
                    found[name] = value
                elif "event" in found:
                    return found["id"], found["event"], json.loads(found["data"])
        raise EOFError


@pytest.fixture
async def events(web: httpx2.AsyncClient) -> AsyncIterator[Stream]:
    async with web.stream("GET", "/mailbox/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        yield stream


async def test_the_stream_tells_every_change_in_order(
    box: Mailbox, web: httpx2.AsyncClient, events: Stream
) -> None:
    await box.send(TEXT_MAIL)
    mail = await box.newest()
    await web.post(f"/mailbox/messages/{mail.id}/read")
    await web.request("DELETE", f"{API}/messages", json={"ids": [mail.id]})
    told = [await events.event() for _ in range(3)]
    assert [data["kind"] for _, _, data in told] == ["new", "read", "deleted"]
    assert all(data["ids"] == [mail.id] for _, _, data in told)
    places = [int(place) for place, _, _ in told]
    assert places == sorted(set(places))


async def test_a_stream_that_comes_back_misses_nothing(
    box: Mailbox, web: httpx2.AsyncClient
) -> None:
    await box.send(TEXT_MAIL)
    place = str((await box.newest()).seq)
    for _ in range(3):
        await box.send(TEXT_MAIL)
    async with web.stream("GET", "/mailbox/events", headers={"Last-Event-ID": place}) as response:
        stream = Stream(response)
        told = [await stream.event() for _ in range(3)]
        await box.send(TEXT_MAIL)
        told.append(await stream.event())
    assert [int(each[0]) for each in told] == [int(place) + n for n in range(1, 5)]


@pytest.mark.parametrize("place", ["nonsense", "999999", "-1", "1" * 30])
async def test_a_place_that_is_not_known_resets(web: httpx2.AsyncClient, place: str) -> None:
    async with web.stream("GET", "/mailbox/events", headers={"Last-Event-ID": place}) as response:
        assert (await Stream(response).event())[1] == "reset"


async def test_open_streams_and_waits_end_at_once_when_asked(open_box: OpenMailbox) -> None:
    loop = asyncio.get_running_loop()
    async with open_box() as box, serving(box.house) as base, httpx2.AsyncClient() as client:
        waiting = asyncio.ensure_future(client.get(f"{base}{API}/wait?timeout=60", timeout=70))
        async with client.stream("GET", f"{base}/mailbox/events") as response:
            lines = response.aiter_lines()
            await anext(lines)
            began = loop.time()
            box.house.end_streams()
            async for _ in lines:
                pass
        assert (await waiting).status_code == 503
        assert loop.time() - began < 1
