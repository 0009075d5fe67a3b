"""The inbox in a real Chromium: live, by keyboard, narrow, dark, and legible."""

import asyncio
from email.message import EmailMessage

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.mailbox.boxes import Mailbox, serving

pytestmark = pytest.mark.anyio

LIVE = "#live[data-state=live]"


def mail(subject: str, html: str | None = None, text: str = "Plain text") -> bytes:
    message = EmailMessage()
    message["From"] = "Ann Example <ann@example.com>"
    message["To"] = "ada@example.com"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()


async def opened(page: Page, address: str) -> Page:
    await page.goto(address)
    await page.wait_for_selector(LIVE)
    return page


async def test_a_mail_shows_in_an_open_page_within_250_ms(
    box: Mailbox, inbox: str, page: Page
) -> None:
    await opened(page, inbox)
    await expect(page.get_by_role("heading", name="Waiting for the first mail")).to_be_visible()
    loop = asyncio.get_running_loop()
    delays = []
    for n in range(5):
        await box.send(mail(f"number {n}"))
        acked = loop.time()
        await page.wait_for_selector(f".row-subject:text-is('number {n}')")
        delays.append(loop.time() - acked)
    assert min(delays) < 0.25, delays  # the best of five: a busy machine must not fail it
    assert await page.title() == "(5) Mailbox"
    await expect(page.locator(".unread-count")).to_have_text("5 unread")


async def test_opening_marks_read_in_every_open_page(
    box: Mailbox, inbox: str, page: Page, context: BrowserContext
) -> None:
    await box.send(mail("shared"))
    other = await opened(await context.new_page(), inbox)
    await opened(page, inbox)
    await page.locator(".row").click()
    await expect(page.locator(".subject")).to_have_text("shared")
    await expect(other.locator(".row.is-unread")).to_have_count(0)
    assert (await box.newest()).is_read
    await page.keyboard.press("m")
    await expect(other.locator(".row.is-unread")).to_have_count(1)


async def test_everything_by_keyboard(box: Mailbox, inbox: str, page: Page) -> None:
    for n in range(3):
        await box.send(mail(f"number {n}", html=f"<p>number {n}</p>"))
    await opened(page, inbox)
    for key in ("j", "j", "k", "Enter"):
        await page.keyboard.press(key)
    await expect(page.locator(".subject")).to_have_text("number 2")
    assert await page.locator(".row[aria-current]").count() == 1
    await page.keyboard.press("j")
    await expect(page.locator(".subject")).to_have_text("number 1")
    for key, tab in zip("12345", ("HTML", "Text", "Headers", "Raw", "Parts"), strict=True):
        await page.keyboard.press(key)
        await expect(page.locator(".tab[aria-current]")).to_contain_text(tab)
    await page.keyboard.press("x")
    await expect(page.locator(".subject")).to_have_text("number 0")
    await expect(page.locator(".row")).to_have_count(2)
    await page.keyboard.press("u")
    await expect(page.get_by_role("heading", name="Pick a mail")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("number 2")
    await expect(page.locator(".row")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".row")).to_have_count(2)
    assert len(await box.all()) == 2


async def test_keys_work_after_a_click_into_the_preview(
    box: Mailbox, inbox: str, page: Page
) -> None:
    for n in range(2):
        await box.send(mail(f"number {n}", html="<p>text to click on</p>"))
    await opened(page, inbox)
    await page.locator(".row").first.click()
    await page.wait_for_selector(".preview")
    await page.mouse.click(850, 500)
    async with asyncio.timeout(5):  # the page's policy allows no wait_for_function
        while await page.evaluate("document.activeElement.tagName") != "BODY":
            await page.wait_for_timeout(20)
    await page.keyboard.press("j")
    await expect(page.locator(".subject")).to_have_text("number 0")


async def test_a_mail_is_reached_and_read_by_tab_alone(
    box: Mailbox, inbox: str, page: Page
) -> None:
    await box.send(mail("by tab"))
    await opened(page, inbox)
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.matches('.row')"):
            break
    await page.keyboard.press("Enter")
    await expect(page.locator(".subject")).to_have_text("by tab")


async def test_the_code_and_the_link_stand_on_top(
    box: Mailbox, inbox: str, page: Page, context: BrowserContext
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await box.send(
        mail("code", "<a href='https://x.example/confirm?t=1'>Confirm</a>", "Your code: 482193")
    )
    await opened(page, inbox)
    await page.locator(".row").click()
    await expect(page.locator(".chip-link a")).to_have_attribute(
        "href", "https://x.example/confirm?t=1"
    )
    await page.keyboard.press("c")
    await expect(page.locator(".toast")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "482193"


async def test_delete_all_asks_first(box: Mailbox, inbox: str, page: Page) -> None:
    for n in range(3):
        await box.send(mail(f"number {n}"))
    await opened(page, inbox)
    await page.get_by_role("button", name="Delete all mails").click()
    await expect(page.locator("#confirm-all")).to_contain_text("All 3 mails")
    await page.get_by_role("button", name="Keep").click()
    assert len(await box.all()) == 3
    await page.get_by_role("button", name="Delete all mails").click()
    await page.get_by_role("button", name="Delete all", exact=True).click()
    await expect(page.get_by_role("heading", name="Waiting for the first mail")).to_be_visible()
    assert await box.all() == []


async def test_a_mail_deleted_elsewhere_says_so(
    box: Mailbox, inbox: str, context: BrowserContext
) -> None:
    await box.send(mail("short life"))
    page = await opened(await context.new_page(), inbox)
    await page.locator(".row").click()
    await page.wait_for_selector(".subject")
    await box.house.store.delete_all()
    await expect(page.get_by_role("heading", name="This mail is gone")).to_be_visible()


async def test_search_that_finds_nothing_says_so_and_clears(
    box: Mailbox, inbox: str, page: Page
) -> None:
    await box.send(mail("something"))
    await opened(page, inbox)
    await page.fill("#q", "nothing like it")
    await expect(page.get_by_text("No mail matches")).to_be_visible()
    await box.send(mail("nothing like it"))
    await expect(page.locator(".row")).to_have_count(1)
    await page.get_by_role("link", name="Clear search").click()
    await expect(page.locator(".row")).to_have_count(2)


async def test_back_and_reload_keep_the_place(box: Mailbox, inbox: str, page: Page) -> None:
    await box.send(mail("one"))
    await box.send(mail("two"))
    await opened(page, inbox)
    await page.locator(".row").nth(0).click()
    await expect(page.locator(".subject")).to_have_text("two")
    await page.locator(".row").nth(1).click()
    await expect(page.locator(".subject")).to_have_text("one")
    await page.go_back()
    await expect(page.locator(".subject")).to_have_text("two")
    await page.reload()
    await expect(page.locator(".subject")).to_have_text("two")
    await expect(page.locator(".row[aria-current] .row-subject")).to_have_text("two")


async def test_the_preview_keeps_its_width_and_colours(
    box: Mailbox, inbox: str, page: Page
) -> None:
    for n in range(2):
        await box.send(mail(f"number {n}", html="<p>hi</p>"))
    await opened(page, inbox)
    await page.locator(".row").first.click()
    await page.get_by_role("button", name="375 pixels wide").click()
    await page.keyboard.press("d")
    await page.keyboard.press("j")
    await expect(page.locator(".subject")).to_have_text("number 0")
    preview = page.locator(".preview")
    await expect(preview).to_have_css("width", "375px")
    await expect(preview).to_have_css("color-scheme", "dark")


@pytest.mark.parametrize("width", [320, 360, 768])
async def test_narrow_screens_scroll_one_way_only(
    box: Mailbox, inbox: str, page: Page, width: int
) -> None:
    await box.send(mail("w" * 300, html="<p>hi</p>", text="Your code is 482193 " + "x" * 400))
    await page.set_viewport_size({"width": width, "height": 640})
    await opened(page, inbox)
    overflow = "document.scrollingElement.scrollWidth - innerWidth"
    assert await page.evaluate(overflow) <= 0
    await page.locator(".row").click()
    await page.wait_for_selector(".subject")
    assert await page.evaluate(overflow) <= 0
    assert await page.evaluate(CUT_OFF) == []
    if width < 720:
        await expect(page.locator(".list-pane")).to_be_hidden()
        await page.get_by_role("link", name="Back to the list").click()
        await expect(page.locator(".row")).to_be_visible()


# The summary's hint is cut off on purpose, with an ellipsis.
CUT_OFF = """() => [...document.querySelectorAll('.message :not(summary *)')]
  .filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.className)"""

# The ratio of WCAG 2.2 §1.4.3 for every visible piece of text over its nearest opaque ground.
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => { const v = c[i] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255, 255]; };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest('script, template, .visually-hidden, .skip')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgba(style.color)), light(ground(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), bold = parseInt(style.fontWeight) >= 700;
    const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < needed) poor.push(`${element.className}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
NAMELESS = """() => [...document.querySelectorAll('a, button, input, summary, iframe')]
  .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.title || e.innerText?.trim() ||
    (e.labels && e.labels.length))).map((e) => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_is_legible_and_every_control_has_a_name(
    box: Mailbox, inbox: str, page: Page, scheme: str
) -> None:
    dark = scheme == "dark"
    await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    box.house.banner = "Mail leaves this machine."
    await opened(page, inbox)
    assert await page.evaluate(CONTRAST) == []
    for n in range(8):
        raw = mail(f"n{n}", html="<p>hi</p>", text="Your code is 482193")
        await box.send(raw.replace(b"ann@", b"ann%d@" % n))
    head = b"Subject: broken\r\nX-Notifier-Template: welcome\r\n"
    await box.send(head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx")
    await expect(page.locator(".row")).to_have_count(9)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".notice")
    for tab in "1234":
        await page.keyboard.press(tab)
        await page.wait_for_selector(f".tab:nth-child({tab})[aria-current]")
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(NAMELESS) == []
    await page.locator(".row").nth(1).click()
    await page.wait_for_selector(".chip-code")
    await page.keyboard.press("?")
    assert await page.evaluate(CONTRAST) == []
    assert await page.evaluate(NAMELESS) == []


async def test_a_lost_connection_is_shown(box: Mailbox, context: BrowserContext) -> None:
    page = await context.new_page()
    async with serving(box.house) as base:
        await opened(page, f"{base}/mailbox")
        await box.send(mail("before"))
        await expect(page.locator(".row")).to_have_count(1)
    await expect(page.locator("#live")).to_have_attribute("data-state", "lost")
    await expect(page.locator("#live-word")).to_have_text("Reconnecting")


async def test_the_dark_preview_is_the_mails_own_dark_css(
    box: Mailbox, inbox: str, chromium: Browser
) -> None:
    # An emulated scheme would win over the frame's: this one follows the machine's.
    context = await chromium.new_context(color_scheme="null")
    page = await opened(await context.new_page(), inbox)
    await box.send(mail("dark", html="<p>hi</p>"))
    await page.locator(".row").click()
    preview = await page.locator(".preview").element_handle()
    frame = await preview.content_frame()
    assert frame is not None
    is_dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    for key, dark in (("", False), ("d", True), ("d", False)):
        if key:
            await page.keyboard.press(key)
        async with asyncio.timeout(5):
            while await frame.evaluate(is_dark) is not dark:
                await page.wait_for_timeout(20)
    await context.close()
