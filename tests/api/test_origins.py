"""Other pages change nothing and follow nothing."""

import pytest

from tests.api.door import JSON, assert_problem, dev, production

pytestmark = pytest.mark.anyio

US = "http://localhost:8000"
CASES: dict[str, tuple[dict[str, str], bool]] = {
    "a server": ({}, True),
    "our page": ({"Sec-Fetch-Site": "same-origin", "Origin": US}, True),
    "our page without referrer": ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    "typed by hand": ({"Sec-Fetch-Site": "none"}, True),
    "a foreign page": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.org"}, False),
    "a foreign page with our origin": ({"Sec-Fetch-Site": "cross-site", "Origin": US}, False),
    "another port": ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
    "an unknown word": ({"Sec-Fetch-Site": "galaxy"}, False),
    "old browser, our page": ({"Origin": US}, True),
    "old browser, any case": ({"Origin": "http://LOCALHOST:8000"}, True),
    "old browser, foreign page": ({"Origin": "https://evil.org"}, False),
    "old browser, another port": ({"Origin": "http://localhost:3000"}, False),
    "old browser, default port": ({"Origin": "http://localhost"}, False),
    "old browser, sandboxed": ({"Origin": "null"}, False),
    "an extension": ({"Origin": "moz-extension://abc"}, False),
    "no URL at all": ({"Origin": "http://[oops"}, False),
    "a bad port": ({"Origin": "http://localhost:port"}, False),
    "empty": ({"Origin": ""}, False),
}


@pytest.mark.parametrize(("headers", "ours"), CASES.values(), ids=CASES)
async def test_mutations(headers: dict[str, str], ours: bool) -> None:
    async with dev().client() as http:
        answer = await http.post("/v1/things", content=b'{"to":"a"}', headers={**JSON, **headers})
    if ours:
        assert answer.status_code == 202
    else:
        assert_problem(answer, 403, "origin_not_allowed")


FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.org"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_every_method_that_may_change_something_is_guarded(method: str) -> None:
    async with dev().client() as http:
        answer = await http.request(method, "/mailbox/api/messages", headers=FOREIGN)
    assert_problem(answer, 403, "origin_not_allowed")


async def test_a_stream_is_guarded_though_it_is_a_get() -> None:
    async with dev().client() as http:
        answer = await http.get("/v1/stream", headers={**FOREIGN, "Accept": "text/event-stream"})
    assert_problem(answer, 403, "origin_not_allowed")


@pytest.mark.parametrize("path", ["/mailbox/events", "/v1/events"])
async def test_a_stream_is_guarded_though_the_page_does_not_say_that_it_wants_one(
    path: str,
) -> None:
    async with dev().client() as http:
        answer = await http.get(path, headers={**FOREIGN, "Accept": "*/*"})
    assert_problem(answer, 403, "origin_not_allowed")


async def test_a_link_from_elsewhere_may_lead_to_a_page() -> None:
    async with dev().client() as http:
        assert (
            await http.get("/docs", headers={"Sec-Fetch-Site": "cross-site"})
        ).status_code == 200


async def test_confirm_is_exempt_for_its_token_is_the_credential() -> None:
    async with dev().client() as http:
        assert (await http.post("/confirm", data={"t": "x"}, headers=FOREIGN)).status_code == 200
        answer = await http.post("/confirmed", data={"t": "x"}, headers=FOREIGN)
    assert_problem(answer, 403)


async def test_a_preflight_gets_no_permission() -> None:
    headers = {**FOREIGN, "Access-Control-Request-Method": "POST"}
    async with dev().client() as http:
        answer = await http.options("/v1/things", headers=headers)
    assert_problem(answer, 405)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_the_public_origin_is_ours_behind_a_proxy_that_changes_host() -> None:
    form = {"t": "x"}
    async with production().client() as http:
        ours = await http.delete("/docs", headers={"Origin": "https://notify.example.org"})
        not_ours = await http.delete("/docs", headers={"Origin": "http://notify.example.org"})
        assert (await http.post("/confirm", data=form)).status_code == 200
    assert (ours.status_code, not_ours.status_code) == (405, 403)
