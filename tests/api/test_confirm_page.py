"""`/confirm`: looking changes nothing, the button confirms, and neither leaks anything."""

import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from notifier.api.confirm_page import with_registration
from tests.api.door import assert_problem
from tests.api.house import REDIRECT, House

pytestmark = pytest.mark.anyio
ANN = "ann@example.org"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def sign_up(house: House, **more: Any) -> str:
    """The token of a new confirmation mail."""
    await house.register(**more)
    return (await house.office.secrets_of(ANN))[0]


async def status(house: House) -> str:
    token, _ = await house.office.secrets_of(ANN)
    answer = await house.web.get("/confirm", params={"t": token})
    return str(heading(answer))


def heading(answer: httpx2.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text)
    assert found is not None
    return found[1]


def assert_private(answer: httpx2.Response) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def press(house: House, token: str, **headers: str) -> httpx2.Response:
    return await house.web.post("/confirm", data={"t": token}, headers=headers)


async def test_the_page_has_one_button_and_nothing_from_elsewhere(house: House) -> None:
    token = await sign_up(house, name="Zebulon")
    answer = await house.web.get("/confirm", params={"t": token}, headers={"Authorization": ""})
    assert (answer.status_code, heading(answer)) == (200, "Confirm your address")
    assert answer.text.count("<button") == answer.text.count("<form") == 1
    assert "<script" not in answer.text
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text)
    assert "Zebulon" not in answer.text
    assert ANN not in answer.text
    assert_private(answer)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.endswith("form-action 'self'")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_never_confirms(each_house: House, method: str) -> None:
    token = await sign_up(each_house)
    before = await each_house.office.counts()
    for _ in range(3):
        answer = await each_house.web.request(method, "/confirm", params={"t": token})
        assert (answer.status_code, answer.content == b"") == (200, method == "HEAD")
    assert await each_house.office.counts() == before
    assert await status(each_house) == "Confirm your address"


async def test_the_button_confirms_once_and_then_says_so(each_house: House) -> None:
    token = await sign_up(each_house)
    each_house.rings.clear()
    first, second = await press(each_house, token), await press(each_house, token)
    assert [first.status_code, second.status_code] == [200, 200]
    assert (heading(first), heading(second)) == ("Address confirmed", "Already confirmed")
    assert len(await each_house.office.mails_to(ANN)) == 2
    assert each_house.rings
    for answer in (first, second):
        assert_private(answer)
        assert token not in answer.text
    looked = await each_house.web.get("/confirm", params={"t": token})
    assert heading(looked) == "Already confirmed"


async def test_the_browser_is_sent_on_with_an_id_that_proves_nothing(house: House) -> None:
    begun = await house.register(redirect_to=f"{REDIRECT}?flag&x=a%20b#top")
    token, _ = await house.office.secrets_of(ANN)
    page = await house.web.get("/confirm", params={"t": token})
    assert page.headers["content-security-policy"].endswith(
        "form-action 'self' https://app.example.com"
    )
    for _ in range(2):
        answer = await press(house, token)
        assert answer.status_code == 303
        assert answer.headers["location"] == (
            f"{REDIRECT}?flag&x=a%20b&registration_id={begun['id']}#top"
        )
        assert_private(answer)


async def test_an_app_is_opened_by_its_scheme(house: House) -> None:
    begun = await house.register(redirect_to="myapp://done")
    token, _ = await house.office.secrets_of(ANN)
    page = await house.web.get("/confirm", params={"t": token})
    assert page.headers["content-security-policy"].endswith("form-action 'self' myapp:")
    answer = await press(house, token)
    assert answer.headers["location"] == f"myapp://done?registration_id={begun['id']}"


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("https://a.example", "https://a.example?registration_id=reg_1"),
        ("https://a.example/?b=c", "https://a.example/?b=c&registration_id=reg_1"),
        ("https://a.example/#b?c", "https://a.example/?registration_id=reg_1#b?c"),
        ("myapp:///done", "myapp:///done?registration_id=reg_1"),
        ("myapp:done", "myapp:done?registration_id=reg_1"),
        ("https://a.example/?b=%2B+%20&c", "https://a.example/?b=%2B+%20&c&registration_id=reg_1"),
    ],
)
def test_the_target_stays_as_it_was(target: str, where: str) -> None:
    assert with_registration(target, "reg_1") == where


async def test_json_confirms_too(house: House) -> None:
    begun = await house.register(redirect_to=REDIRECT)
    token, _ = await house.office.secrets_of(ANN)
    first = await house.post("/confirm", {"t": token})
    assert (first.status_code, first.json()) == (200, {
        "object": "confirmation", "status": "confirmed", "already": False,
        "registration_id": begun["id"], "redirect_to": REDIRECT,
    })  # fmt: skip
    assert (await house.post("/confirm", {"t": token})).json()["already"]
    assert_private(first)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 5000, "\0", "é", "<script>alert(1)"])
async def test_an_unknown_token_is_a_404_page(each_house: House, token: str) -> None:
    looked = await each_house.web.get("/confirm", params={"t": token})
    pressed = await press(each_house, token)
    for answer in (looked, pressed):
        assert (answer.status_code, heading(answer)) == (404, "This link does not work")
        assert "<button" not in answer.text
        assert_private(answer)
        assert "<script" not in answer.text
    assert_problem(await each_house.post("/confirm", {"t": token or "x"}), _json_status(token))


def _json_status(token: str) -> int:
    return 400 if "\0" in token else 404


async def test_a_dead_link_is_a_410_page(house: House) -> None:
    token = await sign_up(house)
    house.office.clock.move(86_400)
    looked, pressed = (
        await house.web.get("/confirm", params={"t": token}),
        await press(house, token),
    )
    for answer in (looked, pressed):
        assert (answer.status_code, heading(answer)) == (410, "This link has expired")
    assert_problem(await house.post("/confirm", {"t": token}), 410, "expired")
    assert len(await house.office.mails_to(ANN)) == 1


async def test_a_store_that_is_away_is_a_page_for_people_and_a_problem_for_programs(
    house: House,
) -> None:
    token = await sign_up(house)
    with house.office.desk.store.database.engine.begin() as connection:
        connection.execute(text("DROP TABLE registration_mail"))
    looked, pressed = (
        await house.web.get("/confirm", params={"t": token}),
        await press(house, token),
    )
    for answer in (looked, pressed):
        assert (answer.status_code, heading(answer)) == (503, "Not possible right now")
        assert answer.headers["retry-after"] == "1"
        assert_private(answer)
    assert_problem(await house.post("/confirm", {"t": token}), 503, "store_away")


@pytest.mark.parametrize(
    ("body", "kind", "status_code"),
    [
        (b'{"t": 7}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"t": "\\ud800"}', "application/json", 400),
        (b'{"t": [[[[]]]]}', "application/json", 400),
        (b"t=x", "text/plain", 415),
        (b"t=x", "multipart/form-data; boundary=x", 415),
        (b"t=\xff", FORM["Content-Type"], 400),
        (b"&".join([b"a=1"] * 50), FORM["Content-Type"], 400),
        (b"", FORM["Content-Type"], 404),
        (b"t=%ff%fe", FORM["Content-Type"], 404),
    ],
)
async def test_a_form_that_is_none(house: House, body: bytes, kind: str, status_code: int) -> None:
    answer = await house.web.post("/confirm", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status_code, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": "https://mail.example.net"},
        {"Authorization": ""},
    ],
)
async def test_the_token_is_the_credential_whatever_the_origin(
    house: House, headers: dict[str, str]
) -> None:
    token = await sign_up(house)
    assert heading(await press(house, token, **headers)) == "Address confirmed"


@pytest.mark.parametrize(
    ("locale", "accepts", "lang"),
    [
        (None, "", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr, de;q=0.5", "de"),
        (None, "x" * 5000, "en"),
        ("de-CH", "en", "de"),
        ("fr", "de", "de"),
        ("en", "de", "en"),
    ],
)
async def test_the_page_speaks_the_persons_language(
    house: House, locale: str | None, accepts: str, lang: str
) -> None:
    token = await sign_up(house, **({"locale": locale} if locale else {}))
    headers = {"Accept-Language": accepts}
    looked = await house.web.get("/confirm", params={"t": token}, headers=headers)
    assert f'<html lang="{lang}">' in looked.text
    assert heading(await press(house, token, **headers)) == (
        "Adresse bestätigt" if lang == "de" else "Address confirmed"
    )


async def test_its_only_asset_is_served(house: House) -> None:
    answer = await house.web.get("/confirm/page.css", headers={"Authorization": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "url(" not in answer.text


async def test_it_works_below_a_path_of_the_public_url(house: House) -> None:
    """A proxy may serve us under a prefix, so the page names nothing from the root."""
    token = await sign_up(house)
    page = (await house.web.get("/confirm", params={"t": token})).text
    assert set(re.findall(r'(?:href|action)="([^"]*)"', page)) == {"confirm", "confirm/page.css"}


async def test_no_token_reaches_the_log(house: House) -> None:
    token = await sign_up(house)
    await house.web.get("/confirm", params={"t": token})
    await press(house, token)
    assert token not in repr(house.office.facts)
    assert ANN not in repr(house.office.facts)
