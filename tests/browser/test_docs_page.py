"""The reference at `/docs` in a real browser, with everything but this machine out of reach."""

import asyncio
import shutil

import pytest
from playwright.async_api import async_playwright

from notifier.api.app import create_app
from notifier.api.listen import bind, bound_port
from notifier.api.server import Server
from tests.api.door import dev

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


async def test_the_reference_shows_and_calls_the_api_offline_under_its_policy() -> None:
    door, stop = dev(), asyncio.Event()
    app = create_app(routers=[door.things()], frame=door.frame())
    sock = bind("127.0.0.1", 0, fixed=True, setting="X")
    here = f"http://127.0.0.1:{bound_port(sock)}"
    serving = asyncio.create_task(Server(app, door.settings.http, stop).serve([sock]))
    complaints: list[str] = []
    asked: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{here}/docs")
        await page.click("#operations-Things-read_thing .opblock-summary")
        await page.fill("input[placeholder=name]", "abc")
        await page.click(".execute")
        await page.wait_for_selector(".live-responses-table .response-col_status")
        answer = await page.inner_text(".live-responses-table")
        await browser.close()
    stop.set()
    await serving
    assert '"length": 3' in answer
    assert complaints == []
    assert [url for url in asked if not url.startswith(f"{here}/")] == []
