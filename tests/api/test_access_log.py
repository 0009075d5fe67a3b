"""One fact for each request, without anything secret in it."""

import pytest

from notifier.observe.door_facts import ProbeServed, RequestServed
from tests.api.door import BEARER, JSON, dev, production

pytestmark = pytest.mark.anyio


async def test_a_request_is_one_fact_with_the_route_template() -> None:
    door = production()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with door.client() as http:
        await http.get("/v1/things/tok-secret?limit=5", headers={**BEARER, "traceparent": trace})
    (fact,) = door.of(RequestServed)
    assert (fact.method, fact.route, fact.status) == ("GET", "/v1/things/{name}", 200)
    assert (fact.project, fact.key_id) == ("shop", "key_1")
    assert fact.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert 0 <= fact.ms < 10_000


@pytest.mark.parametrize(
    ("method", "path", "host", "route", "status"),
    [
        ("POST", "/confirm?t=tok-secret", "localhost", "/confirm", 422),
        ("GET", "/tok-secret", "localhost", "-", 404),
        ("GET", "/confirm?t=tok-secret", "evil.org", "-", 400),
        ("GET", "/v1/things/tok-secret", "localhost", "-", 401),
        ("DELETE", "/v1/things/tok-secret", "localhost", "-", 401),
    ],
)
async def test_no_path_and_no_query_is_logged(
    method: str, path: str, host: str, route: str, status: int
) -> None:
    door = production()
    async with door.client() as http:
        await http.request(method, path, headers={"Host": host})
    (fact,) = door.of(RequestServed)
    assert (fact.route, fact.status) == (route, status)
    assert "tok-secret" not in repr(door.facts)


async def test_head_is_logged_as_head() -> None:
    door = dev()
    async with door.client() as http:
        await http.head("/v1/things/a")
    assert [fact.method for fact in door.of(RequestServed)] == ["HEAD"]


async def test_an_invented_method_is_not_logged_as_such() -> None:
    door = dev()
    async with door.client() as http:
        await http.request("TOKSECRET", "/v1/things/a")
    assert [fact.method for fact in door.of(RequestServed)] == ["OTHER"]


async def test_probes_are_facts_of_another_kind() -> None:
    door = dev()
    async with door.client() as http:
        await http.get("/healthz")
        await http.get("/readyz")
    assert [fact.route for fact in door.of(ProbeServed)] == ["/healthz", "/readyz"]
    assert (ProbeServed.level, door.of(RequestServed)) == ("debug", [])


async def test_a_refused_body_is_logged_too() -> None:
    door = dev()
    async with door.client() as http:
        await http.post("/v1/things", content=b"{", headers=JSON)
    assert [fact.status for fact in door.of(RequestServed)] == [400]
