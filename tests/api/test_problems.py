"""Every error is a problem (RFC 9457), and says no more than it should."""

import pytest
from fastapi import APIRouter

from notifier.api import refusals
from notifier.api.app import routes_app
from notifier.api.problems import STATUS, problem_responses, status_of
from notifier.core import errors
from notifier.core.errors import NotifierError
from notifier.observe.door_facts import RequestCrashed, RequestServed
from tests.api.door import JSON, assert_problem, dev, form_router


def leaves(kind: type[NotifierError]) -> list[type[NotifierError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


DOOR = (errors.__name__, refusals.__name__)


@pytest.mark.parametrize("kind", leaves(errors.Refused) + leaves(errors.Unavailable))
def test_every_error_a_caller_can_meet_has_a_status(kind: type[NotifierError]) -> None:
    status, title = status_of(kind)
    assert 400 <= status <= 499 or status == 503
    assert title


def test_every_leaf_of_core_is_mapped_by_itself() -> None:
    tree = leaves(errors.Refused) + leaves(errors.Unavailable)
    assert [k for k in tree if k.__module__ == errors.__name__ and k not in STATUS] == []


def test_codes_are_stable_words_and_each_means_one_thing() -> None:
    codes = [k.code for k in leaves(NotifierError) if k.__module__ in DOOR]
    assert len(codes) - len(set(codes)) == 0
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


def test_documented_responses_refer_to_one_schema() -> None:
    found = problem_responses(401, 422)
    assert list(found) == [401, 422]
    schemas = [r["content"]["application/problem+json"]["schema"] for r in found.values()]
    assert schemas == [{"$ref": "#/components/schemas/Problem"}] * 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "status", "code", "headers"),
    [
        ("conflict", 409, "already_claimed", {}),
        ("away", 503, "unavailable", {"retry-after": "3"}),
        (
            "limit",
            429,
            "rate_limited",
            {
                "retry-after": "7",
                "ratelimit": '"default";r=0;t=7',
                "ratelimit-policy": '"default";q=10;w=60',
            },
        ),
    ],
)
async def test_an_error_of_a_route(
    name: str, status: int, code: str, headers: dict[str, str]
) -> None:
    async with dev().client() as http:
        answer = await http.post(f"/v1/things/{name}/stop")
    assert_problem(answer, status, code)
    assert answer.headers.items() >= headers.items()
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_an_unknown_path_is_a_404_problem() -> None:
    async with dev().client() as http:
        for path in ("/nothing", "/v1/nothing", "/v1", "/v1/things/a/b/c", "/docs/nothing"):
            assert_problem(await http.get(path), 404, "not_found")


@pytest.mark.anyio
async def test_a_wrong_method_is_a_405_problem_with_allow() -> None:
    async with dev().client() as http:
        answer = await http.request("DELETE", "/v1/things/a")
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD"
        answer = await http.get("/v1/things")
        assert answer.headers["allow"] == "POST"


@pytest.mark.anyio
async def test_a_bug_is_a_500_problem_that_tells_nothing_and_is_logged_once() -> None:
    door = dev()
    async with door.client() as http:
        answer = await http.post("/v1/things/bug/stop")
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    (crash,) = door.of(RequestCrashed)
    assert (crash.method, crash.route) == ("POST", "/v1/things/{name}/stop")
    assert crash.error == "ZeroDivisionError"
    assert "secret-in-a-message" in crash.traceback
    assert [fact.status for fact in door.of(RequestServed)] == [500]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [b"", b"x=1", b"t=" + b"%00" * 3, b"t=%ed%a0%80", b"\xff\xfe", b"t=a&" * 3000]
)
async def test_a_strange_form_is_never_a_500(body: bytes) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with dev().client() as http:
        answer = await http.post("/confirm", content=body, headers=kind)
    assert answer.status_code in (200, 400, 413, 422)


@pytest.mark.anyio
async def test_a_broken_multipart_form_is_a_400_problem() -> None:
    async with dev().client() as http:
        answer = await http.post(
            "/confirm", content=b"--x\r\nnonsense", headers={"Content-Type": "multipart/form-data"}
        )
    assert_problem(answer, 400)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/v1/things/a"])
async def test_head_has_the_headers_of_get_and_no_body(path: str) -> None:
    async with dev().client() as http:
        get, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.anyio
async def test_head_of_an_error_has_no_body() -> None:
    async with dev().client() as http:
        head = await http.head("/nothing", headers=JSON)
    assert (head.status_code, head.content) == (404, b"")


@pytest.mark.anyio
async def test_head_of_a_stream_ends() -> None:
    async with dev().client() as http:
        head = await http.head("/v1/stream")
    assert head.headers["content-type"].startswith("text/event-stream")


NESTED = b"[" * 100_000


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"\xff", 400), (NESTED, 400), (b'{"x":NaN}', 422), (b"[]", 422)],
)
async def test_a_bad_body_of_an_ordinary_route_is_a_problem_too(body: bytes, status: int) -> None:
    async with dev().client() as http:
        assert_problem(await http.post("/mailbox/echo/1", content=body, headers=JSON), status)


@pytest.mark.anyio
async def test_routes_of_an_included_router_are_like_others() -> None:
    door = dev()
    async with door.client() as http:
        answer = await http.delete("/mailbox/echo/1")
    assert answer.headers["allow"] == "POST"
    assert [fact.route for fact in door.of(RequestServed)] == ["/mailbox/echo/{number}"]


def test_a_prefix_given_at_inclusion_is_refused_for_it_would_be_lost() -> None:
    outer = APIRouter()
    outer.include_router(form_router(), prefix="/late")
    with pytest.raises(TypeError, match="prefix"):
        routes_app(routers=[outer], frame=dev().frame())
