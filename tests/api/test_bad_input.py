"""What a caller can get wrong: always a 4xx problem that names every place, never a stored half."""

import json
from typing import Any

import pytest

from tests.api.door import assert_problem
from tests.api.house import BODY, House

pytestmark = pytest.mark.anyio

TITLE = {"title": "T", "message": "M"}
ENCODED = "=?utf-8?q?hello=0ABcc:_evil@x?="
BAD_IN_HEADERS = {
    "nul": "a\0b",
    "newline": "a\nBcc: eve@example.org",
    "return": "a\rBcc: eve@example.org",
    "both": "a\r\n\r\nbody",
    "tab": "a\tb",
    "vertical": "a\x0bb",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
    "c1": "a\x85b",
    "line": "a\u2028b",
    "paragraph": "a\u2029b",
    "surrogate": "a\ud800b",
    "encoded word": ENCODED,
}
HEADER_FIELDS: dict[str, Any] = {
    "/subject": lambda bad: {"subject": bad},
    "/to": lambda bad: {"to": {"email": "a@example.org", "name": bad}},
    "/to/1": lambda bad: {"to": ["b@example.org", {"email": "a@example.org", "name": bad}]},
    "/reply_to": lambda bad: {"reply_to": {"email": "a@example.org", "name": bad}},
    "/from": lambda bad: {"from": {"email": "a@example.com", "name": bad}},
    "/headers/Keywords": lambda bad: {"headers": {"Keywords": bad}},
    "/headers/List-Id": lambda bad: {"headers": {"List-Id": bad}},
    "/template/variables/title": lambda bad: {
        "subject": None, "text": None,
        "template": {"name": "notification", "variables": {"title": bad, "message": "M"}},
    },
}  # fmt: skip


async def refused(house: House, status: int, body: Any, **options: Any) -> dict[str, Any]:
    """The problem that a body is answered with, after which nothing is stored."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | options.pop("headers", {})
    path = options.pop("path", "/v1/notifications")
    answer = await house.web.post(path, content=body, headers=headers)
    assert await house.office.counts() == {}
    assert house.rings == []
    return assert_problem(answer, status)


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**BODY, **changes}.items() if value is not None}


def places(problem: dict[str, Any]) -> list[str]:
    return sorted(error["pointer"] for error in problem["errors"])


@pytest.mark.parametrize("field", HEADER_FIELDS)
@pytest.mark.parametrize("bad", BAD_IN_HEADERS)
async def test_what_must_not_reach_a_header(house: House, field: str, bad: str) -> None:
    problem = await refused(house, 422, changed(**HEADER_FIELDS[field](BAD_IN_HEADERS[bad])))
    assert all(place.startswith(field) for place in places(problem)), problem
    assert "eve@example.org" not in json.dumps(problem)


@pytest.mark.parametrize("bidi", ["\u202e", "\u202a", "\u2066", "\u2069"])
@pytest.mark.parametrize("field", ["/to", "/reply_to", "/from"])
async def test_a_name_must_not_turn_the_writing_direction(
    house: House, field: str, bidi: str
) -> None:
    problem = await refused(house, 422, changed(**HEADER_FIELDS[field](f"moc.knab{bidi}")))
    assert [error["code"] for error in problem["errors"]] == ["bidi_character"]


@pytest.mark.parametrize(
    "name",
    ["Bcc", "bcc", "From", "To", "Received", "DKIM-Signature", "Subject", "Message-ID", "X-SES-X",
     "X-SMTPAPI", "X-MC-Tags", "Content-Type", "Return-Path", "X-Unknown", "", " ", "A\r\nBcc",
     "Bcc:x", "Keywords ", "Keywörds", "Keywords\0", "\ud800"],
)  # fmt: skip
async def test_headers_that_cannot_be_set(house: House, name: str) -> None:
    problem = await refused(house, 422, changed(headers={name: "x"}))
    assert all(place.startswith("/headers") for place in places(problem))


@pytest.mark.parametrize(
    "address",
    ["", " ", "a", "a@", "@b.org", "a@b@c.org", "a b@c.org", "a@b..org", "a@-b.org", "a@b.org.",
     " a@b.org", "a@b.org ", "a@b.org\n", "a@b.org\r\nRCPT TO:<x@y.z>", "<a@b.org", "a@b.org>",
     "A <a@b.org> B <c@d.org>", "a@b.org, c@d.org", "a@[127.0.0.1]", "a@127.0.0.1",
     "x" * 65 + "@b.org", "a@" + "x" * 64 + ".org", "a@b.org\0", "a\ud800@b.org",
     "undisclosed:;", "A, B <a@b.org>", ENCODED + " <a@b.org>", "a@b_c.org", "x" * 5000,
     None, 1, True, 1.5, [], {}, {"email": 1}, {"name": "A"}, {"email": "a@b.org", "x": 1},
     [["a@b.org"]], [None], {"email": "A <a@b.org>"}, {"email": "a@b.org", "name": 7}],
)  # fmt: skip
async def test_addresses_that_are_none(house: House, address: Any) -> None:
    problem = await refused(house, 422, {**BODY, "to": address})
    assert all(place.startswith("/to") for place in places(problem))
    assert len(places(problem)) >= 1


async def test_every_bad_address_of_a_list_is_named(house: House) -> None:
    problem = await refused(house, 422, changed(to=["a@example.org", "x", "b@example.org", "y"]))
    assert places(problem) == ["/to/1", "/to/3"]


async def test_a_list_without_end_is_refused_before_it_is_read(house: House) -> None:
    problem = await refused(house, 422, changed(to=["x"] * 200_000))
    assert [error["code"] for error in problem["errors"]][-1] == "too_many"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": None}, ["/to"]),
        ({"subject": None}, ["/subject"]),
        ({"text": None}, ["/text"]),
        ({"text": " ", "subject": " "}, ["/subject", "/text"]),
        ({"bcc": "a@b.org"}, ["/bcc"]),
        ({"sujbect": "x"}, ["/sujbect"]),
        ({"template": {"name": "notification", "variables": TITLE}}, ["/subject", "/text"]),
        ({"template": {}, "subject": None, "text": None}, ["/template/name"]),
        ({"tags": {str(n): "" for n in range(21)}}, ["/tags"]),
        ({"tags": {"a": 1}}, ["/tags/a"]),
        ({"tags": {"a": "x" * 257}}, ["/tags/a"]),
        ({"tags": {"": "x"}}, ["/tags/"]),
        ({"metadata": []}, ["/metadata"]),
        ({"metadata": {"x": "y" * 5000}}, ["/metadata"]),
        ({"reference": ""}, ["/reference"]),
        ({"reference": "x" * 256}, ["/reference"]),
        ({"reference": "a\0"}, ["/reference"]),
        ({"stream": "fast"}, ["/stream"]),
        ({"scheduled_at": "tomorrow"}, ["/scheduled_at"]),
        ({"scheduled_at": "2030-02-01T00:00:00"}, ["/scheduled_at"]),
        ({"scheduled_at": 1900000000}, ["/scheduled_at"]),
        ({"scheduled_at": "9999-12-31T23:59:59Z"}, ["/scheduled_at"]),
        ({"scheduled_at": "9999-12-31T23:59:59-12:00"}, ["/scheduled_at"]),
        ({"scheduled_at": "0001-01-01T00:00:00+12:00"}, ["/scheduled_at"]),
        ({"expires_at": "2030-01-31T09:30:00Z"}, ["/expires_at"]),
        ({"headers": {"X-Entity-Ref-ID": 1}}, ["/headers/X-Entity-Ref-ID"]),
        ({"from": "boss@example.net"}, ["/from"]),
        ({"to": "x", "subject": 1, "stream": "y", "html": []},
         ["/html", "/stream", "/subject", "/to"]),
        ({"from": "boss@example.net", "expires_at": "2030-01-01T00:00:00Z", "subject": ENCODED},
         ["/expires_at", "/from", "/subject"]),
    ],
)  # fmt: skip
async def test_fields_that_do_not_fit(
    house: House, changes: dict[str, Any], expected: list[str]
) -> None:
    assert places(await refused(house, 422, changed(**changes))) == expected


@pytest.mark.parametrize(
    ("template", "pointer", "hint"),
    [
        ({"name": "notificaton", "variables": TITLE}, "/template/name", "notification"),
        ({"name": "../../etc/passwd"}, "/template/name", ""),
        ({"name": "x" * 65}, "/template/name", ""),
        ({"name": "notification", "variables": {"title": "T"}}, "/template/variables/message", ""),
        ({"name": "notification", "variables": {**TITLE, "titel": "x"}},
         "/template/variables/titel", "title"),
        ({"name": "notification", "variables": {**TITLE, "title": 7}},
         "/template/variables/title", "string"),
        ({"name": "notification", "variables": {**TITLE, "title": None}},
         "/template/variables/title", ""),
        ({"name": "notification", "variables": {**TITLE, "message": " "}},
         "/template/variables/message", ""),
        ({"name": "notification", "variables": {**TITLE, "action_url": "javascript:alert(1)"}},
         "/template/variables/action_url", "https"),
        ({"name": "notification", "variables": {**TITLE, "name": "evil.example"}},
         "/template/variables/name", ""),
        ({"name": "notification", "variables": []}, "/template/variables", ""),
        ({"name": "notification", "variables": TITLE, "locale": "no language"},
         "/template/locale", ""),
    ],
)  # fmt: skip
async def test_templates_and_variables_that_do_not_fit(
    house: House, template: Any, pointer: str, hint: str
) -> None:
    problem = await refused(house, 422, {"to": "ann@example.org", "template": template})
    assert places(problem) == [pointer]
    assert hint in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b'{"to": NaN}', b'{"metadata": {"x": Infinity}}', b"\xef\xbb\xbf{}",
     b'{"to": "\xff"}', b'{"a": 1, "a": 2}', b'{"metadata": {"x": 1e999}}', b"[" * 100_000,
     b'{"metadata": {"x": ' + b"9" * 5000 + b"}}", b'{"to": "a\0b"}', b"{}{}"],
)  # fmt: skip
async def test_what_is_no_json(house: House, body: bytes) -> None:
    status = 422 if body == b"" else 400
    await refused(house, status, body)


@pytest.mark.parametrize("body", [[], "x", 1, None, True, [BODY]])
async def test_json_that_is_no_object(house: House, body: Any) -> None:
    await refused(house, 422, body)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
     {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Encoding": "gzip"},
     {"Content-Type": "application/json; charset=utf-16"}, {"Content-Type": ""}],
)  # fmt: skip
async def test_a_body_that_is_not_plain_json(house: House, headers: dict[str, str]) -> None:
    await refused(house, 415, BODY, headers=headers)


async def test_a_body_over_the_limit(house: House) -> None:
    limit = house.office.desk.settings.http.max_body_bytes
    await refused(house, 413, b" " * (limit + 1))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"email": None}, ["/email"]),
        ({"email": "Ann <ann@example.org>"}, ["/email"]),
        ({"email": "x", "locale": 7, "data": [], "zip": 1}, ["/data", "/email", "/locale", "/zip"]),
        ({"email": {"email": "a@b.org"}}, ["/email"]),
        ({"email": "a@b.org\0"}, ["/email"]),
        ({"name": 7}, ["/name"]),
        ({"name": "\0"}, ["/name"]),
        ({"data": {"x": "y" * 5000}}, ["/data"]),
        ({"locale": "x" * 36}, ["/locale"]),
        ({"locale": "no language"}, ["/locale"]),
        ({"redirect_to": "https://evil.example"}, ["/redirect_to"]),
        ({"redirect_to": "https://[x"}, ["/redirect_to"]),
    ],
)
async def test_sign_ups_that_do_not_fit(
    house: House, changes: dict[str, Any], expected: list[str]
) -> None:
    body = {
        name: value for name, value in {"email": "a@b.org", **changes}.items() if value is not None
    }
    assert places(await refused(house, 422, body, path="/v1/registrations")) == expected


@pytest.mark.parametrize(
    "wild",
    ["Zoë 🎉", "a\u200db", "=?", "?=", "%0d%0aBcc: x", "{{ 7*7 }}", "<script>", "'; DROP TABLE--"],
)
async def test_what_is_odd_but_fine_is_taken_as_it_is(house: House, wild: str) -> None:
    told = await house.notify(subject=wild, text=f"{wild}\0".replace("\0", "\n.\n"))
    (mail,) = await house.office.mails_to("ann@example.org")
    assert mail["Subject"] == wild
    assert told["status"] == "queued"
