"""A hostile mail in a real Chromium: no script runs, and nothing is asked of anybody."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from notifier.mailbox import documents
from notifier.mailbox.sanitise import Shown
from tests.browser.test_inbox import opened
from tests.mailbox.boxes import Mailbox

pytestmark = pytest.mark.anyio

SETTLE_MS = 700  # how long a page that wanted to call out is given to do so
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==")


@dataclass
class Listener:
    """Somebody else's server: counts connections and remembers what was asked for."""

    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.called.set()
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(request.split()[1].decode())
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nConnection: close\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(PIXEL) + PIXEL)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def elsewhere() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


VECTORS = """<!doctype html><html manifest="{0}/manifest"><head>
<title>hostile</title><base href="{0}/base/"><meta http-equiv="refresh" content="0;url={0}/meta">
<meta http-equiv="Content-Security-Policy" content="default-src *">
<link rel="stylesheet" href="{0}/css"><link rel="preconnect" href="{0}/">
<link rel="icon" href="{0}/i">
<link rel="preload" as="image" href="{0}/preload"><link rel="prefetch" href="{0}/prefetch">
<link rel="prerender" href="{0}/prerender"><link rel="modulepreload" href="{0}/module">
<script type="speculationrules">{{"prefetch":[{{"source":"list","urls":["{0}/spec"]}}]}}</script>
<style>@import url({0}/import); @font-face {{ font-family: f; src: url({0}/font) }}
body {{ background: url({0}/bg); font-family: f; cursor: url({0}/cursor), auto }}
p::after {{ content: url({0}/content) }} li {{ list-style-image: u\\72l({0}/escaped) }}
div {{ background: image-set("{0}/set" 1x); mask-image: url({0}/mask) }}</style></head>
<body background="{0}/body" onload="location='{0}/onload'">
<script>fetch('{0}/fetch'); new Image().src='{0}/image'; parent.postMessage('x', '*');
top.document.title='owned'; alert(1)</script><script src="{0}/script"></script>
<img src="{0}/img"><img srcset="{0}/srcset 1x"><img src="x" onerror="fetch('{0}/onerror')">
<picture><source srcset="{0}/picture"><img></picture><input type="image" src="{0}/input">
<iframe src="{0}/iframe"></iframe><iframe srcdoc="<img src='{0}/srcdoc'>"></iframe>
<frameset><frame src="{0}/frame"></frameset><object data="{0}/object"></object>
<embed src="{0}/embed"><video src="{0}/video" poster="{0}/poster" autoplay></video>
<audio src="{0}/audio" autoplay></audio><track src="{0}/track"><portal src="{0}/portal"></portal>
<svg><image href="{0}/svg"/><use href="{0}/use#a"/><script>fetch('{0}/svgscript')</script>
<animate onbegin="fetch('{0}/begin')" attributeName=x dur=1s />
<style>@import '{0}/svgcss'</style></svg>
<math><mtext><style><img src=x onerror="fetch('{0}/math')"></style></mtext></math>
<form action="{0}/form" id="f"><button autofocus onfocus="f.submit()">x</button></form>
<a href="{0}/ping" ping="{0}/pinged">a</a><table background="{0}/table"><tr><td>x</td></tr></table>
<div style="background:url('{0}/style')">x</div><p>x</p><ul><li>x</ul>
<details open ontoggle="fetch('{0}/toggle')"><summary>x</summary></details>
<noscript><img src="{0}/noscript"></noscript><template><img src="{0}/template"></template>
<script>document.write('<img src={0}/write>')</script>
<!--><img src="{0}/comment">--></body></html>"""


# What only a script that ran would ask for, and what a mail whose images are shown may ask for.
SCRIPTED = set(
    re.findall(r"/\w+", "/fetch /image /onload /onerror /svgscript /begin /toggle /write /math")
)
IMAGES = set(
    re.findall(
        r"/\w+",
        "/img /body /bg /cursor /content /escaped /set /mask /style /table /noscript /comment",
    )
)


def hostile(port: int) -> bytes:
    html = VECTORS.format(f"http://127.0.0.1:{port}").replace("\n", "\r\n")
    return b"Subject: hostile\r\nContent-Type: text/html\r\n\r\n" + html.encode()


def body_of(page: Page) -> Locator:
    """The body of the captured document in the frame."""
    return page.frame_locator(".preview").locator("body")


def watched(page: Page) -> list[str]:
    """Whatever a page may do that it must not."""
    seen: list[str] = []
    page.on("dialog", lambda dialog: seen.append(f"dialog {dialog.message}"))
    page.on("popup", lambda popup: seen.append(f"popup {popup.url}"))
    return seen


async def test_a_hostile_mail_runs_no_script_and_asks_nobody(
    box: Mailbox, inbox: str, context: BrowserContext, elsewhere: Listener
) -> None:
    await box.send(hostile(elsewhere.port))
    page = await context.new_page()
    seen = watched(page)
    await opened(page, inbox)
    await page.locator(".row").click()
    await body_of(page).wait_for(state="attached")
    for tab in "12345":
        await page.keyboard.press(tab)
        await page.wait_for_selector(f".tab:nth-child({tab})[aria-current]") if tab < "5" else None
    await page.keyboard.press("1")
    await page.wait_for_timeout(SETTLE_MS)
    assert (elsewhere.connections, elsewhere.asked, seen) == (0, [], [])
    assert await page.title() == "Mailbox"


@pytest.mark.parametrize("path", ["frame", "inline/1"])
async def test_opened_directly_it_does_no_more(
    box: Mailbox, inbox: str, context: BrowserContext, elsewhere: Listener, path: str
) -> None:
    await box.send(hostile(elsewhere.port))
    page = await context.new_page()
    seen = watched(page)
    await page.goto(f"{inbox}/messages/{(await box.newest()).id}/{path}")
    await page.wait_for_timeout(SETTLE_MS)
    assert (elsewhere.connections, elsewhere.asked, seen) == (0, [], [])


async def test_the_api_gives_its_html_as_a_download_only(
    box: Mailbox, inbox: str, context: BrowserContext, elsewhere: Listener
) -> None:
    await box.send(hostile(elsewhere.port))
    page = await context.new_page()
    await opened(page, inbox)
    mail = await box.newest()
    async with page.expect_download():
        await page.evaluate(f"location = '/mailbox/api/messages/{mail.id}/html'")
    await page.wait_for_timeout(SETTLE_MS)
    assert elsewhere.connections == 0


async def test_the_wall_holds_when_the_sanitiser_lets_everything_through(
    box: Mailbox,
    inbox: str,
    context: BrowserContext,
    elsewhere: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "sanitise", lambda source, *_, **__: Shown(source, 0))
    await box.send(hostile(elsewhere.port))
    page = await context.new_page()
    seen = watched(page)
    await opened(page, inbox)
    await page.locator(".row").click()
    await body_of(page).wait_for(state="attached")
    await page.wait_for_timeout(SETTLE_MS)
    assert seen == []
    assert await page.title() == "Mailbox"
    assert not SCRIPTED & set(elsewhere.asked)


async def test_remote_images_come_on_request_and_nothing_else_does(
    box: Mailbox, inbox: str, context: BrowserContext, elsewhere: Listener
) -> None:
    await box.send(hostile(elsewhere.port))
    page = await context.new_page()
    await opened(page, inbox)
    await page.locator(".row").click()
    await body_of(page).wait_for(state="attached")
    assert elsewhere.connections == 0
    await page.get_by_role("button", name="remote images").click()
    async with asyncio.timeout(10):
        await elsewhere.called.wait()
    await page.wait_for_timeout(SETTLE_MS)
    assert "/img" in elsewhere.asked
    assert set(elsewhere.asked) <= IMAGES


async def test_a_link_opens_a_new_tab_that_knows_nothing_of_us(
    box: Mailbox, inbox: str, context: BrowserContext, elsewhere: Listener
) -> None:
    link = f"http://127.0.0.1:{elsewhere.port}/target"
    html = f"<a href='{link}' style='display:block;height:90vh'>go</a>"
    await box.send(b"Subject: link\r\nContent-Type: text/html\r\n\r\n" + html.encode())
    page = await context.new_page()
    await opened(page, inbox)
    await page.locator(".row").click()
    async with context.expect_page() as popped:
        await page.frame_locator(".preview").locator("a").click()
    popup = await popped.value
    await popup.wait_for_load_state()
    assert popup.url == link
    assert await popup.evaluate("window.opener") is None
    assert await popup.evaluate("document.referrer") == ""
    await expect(page.locator(".subject")).to_have_text("link")


async def test_an_image_of_the_mail_itself_is_shown(box: Mailbox, inbox: str, page: Page) -> None:
    raw = (
        b'Subject: own\r\nContent-Type: multipart/related; boundary="b"\r\n\r\n'
        b'--b\r\nContent-Type: text/html\r\n\r\n<img src="cid:own@x">\r\n'
        b"--b\r\nContent-Type: image/gif\r\nContent-ID: <own@x>\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(PIXEL) + b"\r\n--b--\r\n"
    )
    await box.send(raw)
    await opened(page, inbox)
    await page.locator(".row").click()
    image = page.frame_locator(".preview").locator("img")
    assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
