"""Each request has a name, the caller's if it is a sane one."""

import pytest

from notifier.api.request_ids import valid_traceparent
from tests.api.door import assert_problem, dev

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.anyio
@pytest.mark.parametrize("sane", ["a", "A-b.c_9", "x" * 128])
async def test_a_sane_request_id_is_kept(sane: str) -> None:
    async with dev().client() as http:
        answer = await http.get("/nothing", headers={"X-Request-Id": sane})
    assert assert_problem(answer, 404)["request_id"] == sane


@pytest.mark.anyio
@pytest.mark.parametrize("odd", ["", "x" * 129, "a b", "a\tb", "é", "<b>", "a/b", "a%0a"])
async def test_another_is_replaced(odd: str) -> None:
    async with dev().client() as http:
        headers = [(b"X-Request-Id", odd.encode("latin-1"))]
        answer = await http.get("/nothing", headers=headers)
    assert assert_problem(answer, 404)["request_id"].startswith("req_")


@pytest.mark.anyio
async def test_two_requests_have_two_ids() -> None:
    async with dev().client() as http:
        ids = {(await http.get("/healthz")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.anyio
async def test_traceparent_is_echoed_when_valid() -> None:
    async with dev().client() as http:
        good = await http.get("/healthz", headers={"traceparent": TRACE})
        bad = await http.get("/healthz", headers={"traceparent": "00-x"})
    assert good.headers["traceparent"] == TRACE
    assert "traceparent" not in bad.headers


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (TRACE, True),
        (TRACE.upper(), False),
        ("ff" + TRACE[2:], False),
        ("01" + TRACE[2:] + "-what-ever", True),
        (TRACE + "-extra", False),
        (TRACE[:-1], False),
        ("00-" + "0" * 32 + TRACE[35:], False),
        (TRACE[:36] + "0" * 16 + "-01", False),
        (TRACE + "\n", False),
        ("01" + TRACE[2:] + "-" + "x" * 300, False),
        ("", False),
    ],
)
def test_traceparent_by_the_letter_of_trace_context(text: str, valid: bool) -> None:
    assert valid_traceparent(text) == (text if valid else None)
