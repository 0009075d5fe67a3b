"""`/v1/notifications` through the whole door, on a real store."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection

from notifier.store.schema import notification
from tests.api.door import assert_problem
from tests.api.house import BODY, House

pytestmark = pytest.mark.anyio

UNKNOWN = "ntf_" + "0" * 32


async def test_a_post_is_a_202_with_location_and_the_notification(each_house: House) -> None:
    answer = await each_house.post("/v1/notifications", BODY)
    told = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/notifications/{told['id']}" == told["links"]["self"]
    (message,) = told.pop("messages")
    assert told == {
        "id": told["id"], "object": "notification", "status": "queued", "counts": {"queued": 1},
        "reference": None, "template": None, "stream": "transactional", "tags": {},
        "metadata": {}, "created_at": "2030-01-31T09:30:00.000Z", "scheduled_at": None,
        "expires_at": "2030-02-01T09:30:00.000Z",
        "links": {"self": answer.headers["location"],
                  "events": answer.headers["location"] + "/events"},
    }  # fmt: skip
    assert message | {"id": "", "message_id": ""} == {
        "id": "", "to": "ann@example.org", "status": "queued", "final": False, "action": None,
        "next_attempt_at": None, "sent_at": None, "message_id": "", "relay": None,
        "queue_id": None,
    }  # fmt: skip
    assert each_house.rings == ["live"]


async def test_a_get_right_after_it_says_the_same(each_house: House) -> None:
    told = await each_house.notify(
        to=["Zoe <zoe@example.org>", {"email": "ann@example.org", "name": "Ann"}],
        subject=None, text=None,
        template={"name": "notification", "variables": {"title": "T", "message": "M"}},
        tags={"b": "2", "a": "1"}, metadata={"z": 1.5, "a": [None, {"deep": True}]},
        reference="order 7", stream="bulk", scheduled_at="2030-02-01T00:00:00+01:00",
    )  # fmt: skip
    read = await each_house.web.get(told["links"]["self"])
    assert (read.status_code, read.json()) == (200, told)
    assert [one["to"] for one in told["messages"]] == ["zoe@example.org", "ann@example.org"]
    assert (told["status"], told["counts"]) == ("scheduled", {"scheduled": 2})
    assert told["template"]["name"] == "notification"
    assert told["messages"][0]["next_attempt_at"] == "2030-01-31T23:00:00.000Z"


async def test_the_story_begins_with_its_acceptance(each_house: House) -> None:
    told = await each_house.notify()
    page = (await each_house.web.get(told["links"]["events"])).json()
    (event,) = page["data"]
    assert (page["object"], page["has_more"], page["next_cursor"]) == ("list", False, None)
    assert (event["type"], event["notification_id"]) == ("notification.accepted", told["id"])


async def test_a_story_is_read_in_pages(house: House) -> None:
    told = await house.notify()
    path = told["links"]["events"]
    (first,) = (await house.web.get(path, params={"limit": 1})).json()["data"]
    rest = (await house.web.get(path, params={"after": first["id"]})).json()
    assert (rest["data"], rest["has_more"]) == ([], False)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=x", "after=%00", "after=ntf_" + "0" * 32]
)
async def test_a_page_that_cannot_be_is_refused(each_house: House, query: str) -> None:
    told = await each_house.notify()
    problem = assert_problem(await each_house.web.get(f"{told['links']['events']}?{query}"), 422)
    assert problem["errors"][0]["pointer"] == f"query:{query.partition('=')[0]}"


async def test_the_same_key_and_body_get_the_same_answer_to_the_letter(each_house: House) -> None:
    key = {"Idempotency-Key": '"k 1"'}
    first = await each_house.post("/v1/notifications", BODY, headers=key)
    each_house.office.clock.move(60)
    shuffled = dict(reversed(BODY.items()))
    again = await each_house.post("/v1/notifications", shuffled, headers=key)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await each_house.office.counts())["message"] == 1


async def test_another_body_under_the_key_is_a_422(house: House) -> None:
    key = {"Idempotency-Key": "k"}
    await house.post("/v1/notifications", BODY, headers=key)
    other = await house.post("/v1/notifications", {**BODY, "text": "Other"}, headers=key)
    assert_problem(other, 422, "idempotency_key_reused")
    assert (await house.office.counts())["message"] == 1


async def test_fifty_at_once_under_one_key_are_one(each_house: House) -> None:
    key = {"Idempotency-Key": "k"}
    posts = (each_house.post("/v1/notifications", BODY, headers=key) for _ in range(50))
    answers = await asyncio.gather(*posts)
    assert {(one.status_code, one.content) for one in answers} == {(202, answers[0].content)}
    replays = [one for one in answers if "idempotency-replayed" in one.headers]
    assert len(replays) == 49
    assert (await each_house.office.counts())["message"] == 1


@pytest.mark.parametrize("key", ["", " ", '""', "a b", 'a"b', "a\\b", "x" * 257, "é", "a\tb"])
async def test_a_bad_key_is_a_400(house: House, key: str) -> None:
    headers = [("Idempotency-Key", key.encode("latin-1"))]
    answer = await house.web.post("/v1/notifications", json=BODY, headers=headers)  # type: ignore[arg-type]
    assert_problem(answer, 400, "idempotency_key_malformed")
    assert await house.office.counts() == {}


async def test_two_keys_are_a_400(house: House) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = await house.web.post("/v1/notifications", json=BODY, headers=headers)
    assert_problem(answer, 400, "idempotency_key_malformed")


async def test_a_project_reads_only_its_own(house: House) -> None:
    told = await house.notify()
    for path in told["links"].values():
        assert_problem(await house.web.get(path, headers=house.as_("shop")), 404, "not_found")


async def test_projects_do_not_share_idempotency_keys(house: House) -> None:
    key = {"Idempotency-Key": "k"}
    first = await house.post("/v1/notifications", BODY, headers=key)
    other = await house.post("/v1/notifications", BODY, headers=key | house.as_("shop"))
    assert first.json()["id"] != other.json()["id"]


@pytest.mark.parametrize(("name", "route"), [("default", "live"), ("test", "test")])
async def test_the_key_decides_where_its_mail_may_go(house: House, name: str, route: str) -> None:
    await house.post("/v1/notifications", BODY, headers=house.as_(name))

    def read(connection: Connection) -> Any:
        return connection.execute(notification.select()).one().route

    assert await house.office.desk.store.read(read) == route


@pytest.mark.parametrize(
    ("method", "path", "missing"),
    [
        ("POST", "/v1/notifications", "send"),
        ("GET", f"/v1/notifications/{UNKNOWN}", "read"),
        ("GET", f"/v1/notifications/{UNKNOWN}/events", "read"),
        ("POST", "/v1/registrations", "registrations"),
        ("GET", "/v1/registrations/reg_1", "registrations"),
        ("POST", "/v1/registrations/reg_1/confirm", "registrations"),
        ("POST", "/v1/registrations/confirm", "registrations"),
    ],
)
async def test_no_key_is_a_401_and_one_without_the_scope_a_403(
    house: House, method: str, path: str, missing: str
) -> None:
    keyless = {"Authorization": ""}
    assert_problem(await house.web.request(method, path, headers=keyless), 401, "key_malformed")
    lacking = house.as_("reader" if missing == "send" else "sender")
    body = BODY if path.endswith("notifications") else {}
    answer = await house.web.request(
        method, path, headers=lacking, json=body if method == "POST" else None
    )
    assert missing in assert_problem(answer, 403, "scope_missing")["detail"]
    assert await house.office.counts() == {}


@pytest.mark.parametrize(
    "tail",
    [UNKNOWN, "x", "ntf_", "%00", "a%00b", "%ff", "x" * 4000, "..%2f..", "reg_" + "0" * 32, "%20"],
)
async def test_an_id_that_is_none_is_a_404(each_house: House, tail: str) -> None:
    for path in (f"/v1/notifications/{tail}", f"/v1/notifications/{tail}/events"):
        assert_problem(await each_house.web.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/notifications/", 404),
        ("POST", "/v1/notifications/", 404),
        ("POST", "/v1/notification", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/registrations/x/y", 404),
        ("DELETE", "/v1/notifications", 405),
        ("PUT", f"/v1/notifications/{UNKNOWN}", 405),
        ("POST", f"/v1/notifications/{UNKNOWN}/events", 405),
        ("GET", "/v1/registrations", 405),
    ],
)
async def test_paths_and_methods_that_do_not_exist(
    house: House, method: str, path: str, status: int
) -> None:
    answer = await house.web.request(method, path, json={} if method != "GET" else None)
    assert_problem(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


async def test_head_is_get_without_a_body(house: House) -> None:
    told = await house.notify()
    answer = await house.web.head(told["links"]["self"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await house.web.head("/v1/notifications/x")).status_code == 404


async def test_query_parameters_that_nobody_asked_for_change_nothing(house: House) -> None:
    told = await house.notify()
    assert (await house.web.get(told["links"]["self"] + "?x=1&limit=-1")).json() == told
