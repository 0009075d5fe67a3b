"""Bad bodies: every one is a 4xx problem that says what to do, and none reaches a route."""

import time
from typing import Any

import pytest

from notifier.api.json_body import MAX_BRACKETS, MAX_NAMES, MAX_TEXT_FAULTS
from tests.api.door import JSON, assert_problem, dev

pytestmark = pytest.mark.anyio

UNREADABLE = {
    "no json": (b"hello", "malformed_json"),
    "cut off": (b'{"to": "a"', "malformed_json"),
    "two values": (b'{"to":"a"} {"to":"b"}', "malformed_json"),
    "single quotes": (b"{'to':'a'}", "malformed_json"),
    "trailing comma": (b'{"to":"a",}', "malformed_json"),
    "a comment": (b'{"to":"a"} // x', "malformed_json"),
    "a raw newline in a string": (b'{"to":"a\nb"}', "malformed_json"),
    "a raw NUL in a string": (b'{"to":"a\0b"}', "malformed_json"),
    "a bad escape": (b'{"to":"\\x41"}', "malformed_json"),
    "blanks only": (b"  \n ", "malformed_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"to":"a"}', "malformed_json"),
    "latin-1": ('{"to":"ü"}'.encode("latin-1"), "malformed_json"),
    "utf-16": ('{"to":"a"}'.encode("utf-16"), "malformed_json"),
    "a surrogate in utf-8": (b'{"to":"\xed\xa0\x80"}', "malformed_json"),
    "NaN": (b'{"to":"a","data":{"x":NaN}}', "not_finite"),
    "Infinity": (b'{"to":"a","data":{"x":Infinity}}', "not_finite"),
    "-Infinity": (b'{"to":"a","data":{"x":-Infinity}}', "not_finite"),
    "a float beyond doubles": (b'{"to":"a","data":{"x":1e999}}', "not_finite"),
    "an endless integer": (b'{"to":"a","data":{"x":' + b"9" * 5000 + b"}}", "malformed_json"),
    "a name twice": (b'{"to":"a","to":"b"}', "duplicate_name"),
    "a name twice, deep": (b'{"to":"a","data":{"x":[{"y":1,"y":1}]}}', "duplicate_name"),
    "a name twice, escaped": (b'{"to":"a","\\u0074o":"b"}', "duplicate_name"),
    "33 arrays": (b'{"to":"a","data":{"x":' + b"[" * 31 + b"]" * 31 + b"}}", "nested_too_deep"),
    "100,000 arrays": (b"[" * 100_000 + b"]" * 100_000, "nested_too_deep"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested_too_deep"),
    "100,000 open arrays": (b"[" * 100_000, "nested_too_deep"),
    "10,001 names": (
        b'{"to":"a","data":{' + b",".join(b'"%d":1' % i for i in range(MAX_NAMES + 1)) + b"}}",
        "too_many_parts",
    ),
    "a million arrays": (
        b'{"to":"a","data":{"x":[' + b"[]," * MAX_BRACKETS + b"[]]}}",
        "too_many_parts",
    ),
}


@pytest.mark.parametrize(("body", "code"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_unreadable_body_is_400(body: bytes, code: str) -> None:
    door = dev()
    async with door.client() as http:
        answer = assert_problem(await http.post("/v1/things", content=body, headers=JSON), 400)
    assert [error["code"] for error in answer["errors"]] == [code]
    assert door.taken == []


UNFIT: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "nothing": (b"{}", [("/to", "missing")]),
    "an array": (b"[]", [("", "wrong_type")]),
    "a string": (b'"a"', [("", "wrong_type")]),
    "null": (b"null", [("", "wrong_type")]),
    "all fields at once": (
        b'{"to":[{}],"count":"x","stream":"slow","at":"noon","extra":1}',
        [
            ("/to/0/email", "missing"),
            ("/count", "wrong_type"),
            ("/stream", "bad_format"),
            ("/at", "bad_time"),
            ("/extra", "unknown_field"),
        ],
    ),
    "range": (b'{"to":"a","count":10}', [("/count", "out_of_range")]),
    "below": (b'{"to":"a","count":-1}', [("/count", "out_of_range")]),
    "length": (b'{"to":[{"email":"a","name":"abcdef"}]}', [("/to/0/name", "too_long")]),
    "a name with a slash": (b'{"to":"a","a/b~c":1}', [("/a~1b~0c", "unknown_field")]),
    "NUL": (b'{"to":"a\\u0000b"}', [("/to", "nul_character")]),
    "NUL, and the rest": (
        b'{"to":["a\\u0000"],"count":"x"}',
        [("/to/0", "nul_character"), ("/count", "wrong_type")],
    ),
    "NUL in a name": (b'{"to":"a","data":{"\\u0000":1}}', [("/data", "nul_character")]),
    "a high surrogate": (b'{"to":"\\ud83d"}', [("/to", "lone_surrogate")]),
    "a low surrogate": (b'{"to":"\\ude00\\ud83d"}', [("/to", "lone_surrogate")]),
    "a surrogate deep down": (
        b'{"to":"a","data":{"x":[1,{"y":"\\uDC00"}]}}',
        [("/data/x/1/y", "lone_surrogate")],
    ),
    "a surrogate in an unknown name": (b'{"to":"a","\\ud800":1}', [("", "lone_surrogate")]),
}


@pytest.mark.parametrize(("body", "expected"), UNFIT.values(), ids=UNFIT)
async def test_unfit_fields_are_422_with_a_pointer_each(
    body: bytes, expected: list[tuple[str, str]]
) -> None:
    door = dev()
    async with door.client() as http:
        answer = assert_problem(await http.post("/v1/things", content=body, headers=JSON), 422)
    assert sorted((e["pointer"], e["code"]) for e in answer["errors"]) == sorted(expected)
    assert all(e["detail"].endswith(".") for e in answer["errors"])
    assert door.taken == []


async def test_the_input_is_never_echoed() -> None:
    body = b'{"to":7,"count":"hunter2","stream":"hunter2","at":"hunter2","data":"hunter2"}'
    async with dev().client() as http:
        answer = await http.post("/v1/things", content=body, headers=JSON)
    assert_problem(answer, 422)
    assert "hunter2" not in answer.text


async def test_no_body_is_422() -> None:
    async with dev().client() as http:
        answer = assert_problem(await http.post("/v1/things"), 422)
    assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [("", "missing")]


FINE: dict[str, tuple[bytes, Any]] = {
    "plain": (b'{"to":"a"}', "a"),
    "a surrogate pair": (b'{"to":"\\ud83d\\ude00"}', "\U0001f600"),
    "blanks around": (b' \r\n\t{"to":"a"}\n', "a"),
    "32 deep": (b'{"to":"a","data":{"x":' + b"[" * 30 + b"]" * 30 + b"}}", "a"),
    "many brackets, not deep": (b'{"to":"a","data":{"x":[' + b"[]," * 99 + b"[]]}}", "a"),
    "brackets in text": (b'{"to":"' + b"[{" * 99 + b'"}', "[{" * 99),
}


@pytest.mark.parametrize(("body", "to"), FINE.values(), ids=FINE)
async def test_an_unusual_but_good_body_is_taken(body: bytes, to: str) -> None:
    door = dev()
    async with door.client() as http:
        answer = await http.post("/v1/things", content=body, headers=JSON)
    assert answer.status_code == 202, answer.text
    assert [thing.to for thing in door.taken] == [to]


NOT_JSON = {
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "text": {"Content-Type": "text/plain"},
    "a lookalike": {"Content-Type": "application/jsonp"},
    "latin-1": {"Content-Type": "application/json; charset=iso-8859-1"},
    "gzip": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    "brotli": {"Content-Type": "application/json", "Content-Encoding": "br"},
    "nothing": {},
}


@pytest.mark.parametrize("headers", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/any/stop"])
async def test_a_body_that_is_not_plain_json_is_415(path: str, headers: dict[str, str]) -> None:
    async with dev().client() as http:
        assert_problem(await http.post(path, content=b'{"to":"a"}', headers=headers), 415)


@pytest.mark.parametrize(
    "media", ["application/json; charset=UTF-8", "Application/JSON", "application/vnd.x+json"]
)
async def test_other_spellings_of_json_are_taken(media: str) -> None:
    async with dev().client() as http:
        answer = await http.post(
            "/v1/things", content=b'{"to":"a"}', headers={"Content-Type": media}
        )
    assert answer.status_code == 202


async def test_a_thousand_unknown_fields_are_counted_but_not_all_listed() -> None:
    body = b'{"to":"a",' + b",".join(b'"f%d":1' % i for i in range(1000)) + b"}"
    async with dev().client() as http:
        answer = assert_problem(await http.post("/v1/things", content=body, headers=JSON), 422)
    assert len(answer["errors"]) == 200
    assert answer["detail"] == "1000 fields do not fit; the first 200 are listed."


async def test_the_most_unknown_fields_are_told_in_linear_time() -> None:
    names = [b'"f%d":1' % i for i in range(MAX_NAMES - 1)]
    began = time.perf_counter()
    async with dev().client() as http:
        answer = await http.post(
            "/v1/things", content=b'{"to":"a",' + b",".join(names) + b"}", headers=JSON
        )
    assert_problem(answer, 422)
    assert time.perf_counter() - began < 3


async def test_texts_that_cannot_be_kept_are_sought_only_until_there_are_enough() -> None:
    body = b'{"to":"a","data":{"x":[' + b'"\\ud800",' * 300_000 + b"1]}}"
    async with dev().client() as http:
        answer = assert_problem(await http.post("/v1/things", content=body, headers=JSON), 422)
    assert answer["detail"].startswith(f"{MAX_TEXT_FAULTS} fields do not fit")
    assert answer["errors"][199]["pointer"] == "/data/x/199"


async def test_a_bad_query_parameter_is_named() -> None:
    async with dev().client() as http:
        answer = assert_problem(await http.get("/v1/things/a?limit=many"), 422)
    assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [("query:limit", "wrong_type")]
