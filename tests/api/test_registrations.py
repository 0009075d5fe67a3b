"""`/v1/registrations` through the whole door, on a real store."""

from typing import Any

import pytest

from notifier.flows.confirmation import CodeWrong
from tests.api.door import assert_problem
from tests.api.house import House

pytestmark = pytest.mark.anyio
ANN = "ann@example.org"


async def confirm_code(house: House, begun: dict[str, Any], code: str, **options: Any) -> Any:
    return await house.post(f"/v1/registrations/{begun['id']}/confirm", {"code": code}, **options)


async def test_a_sign_up_is_a_202_that_says_nothing_of_the_address(each_house: House) -> None:
    answer = await each_house.post(
        "/v1/registrations", {"email": ANN, "name": "Ada", "data": {"plan": "pro"}, "locale": "de"}
    )
    told = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (
        202, f"/v1/registrations/{told['id']}",
    )  # fmt: skip
    assert told == {
        "id": told["id"], "object": "registration", "status": "pending",
        "resend_at": "2030-01-31T09:31:00.000Z", "created_at": "2030-01-31T09:30:00.000Z",
        "confirmed_at": None, "expires_at": "2030-02-01T09:30:00.000Z",
        "data": {"plan": "pro"}, "hint": None,
    }  # fmt: skip
    assert each_house.rings == ["live"]
    read = await each_house.web.get(answer.headers["location"])
    assert (read.status_code, read.json()) == (200, told)


async def test_the_answer_is_alike_for_an_address_that_is_known(house: House) -> None:
    first = await house.register()
    _, code = await house.office.secrets_of(ANN)
    await confirm_code(house, first, code)
    second = await house.register()
    assert second | {"id": ""} == first | {"id": ""}


async def test_the_code_confirms_and_again_is_a_success_too(each_house: House) -> None:
    begun = await each_house.register()
    _, code = await each_house.office.secrets_of(ANN)
    first = await confirm_code(each_house, begun, f" {code[:3]} {code[3:]} ")
    again = await confirm_code(each_house, begun, code)
    assert (first.status_code, first.json()) == (200, again.json())
    assert first.json() == begun | {
        "status": "confirmed", "confirmed_at": "2030-01-31T09:30:00.000Z", "resend_at": None,
    }  # fmt: skip
    assert len(await each_house.office.mails_to(ANN)) == 2


async def test_the_token_confirms_from_the_callers_own_page(house: House) -> None:
    begun = await house.register()
    token, _ = await house.office.secrets_of(ANN)
    answer = await house.post("/v1/registrations/confirm", {"token": token})
    assert (answer.status_code, answer.json()["id"]) == (200, begun["id"])
    assert answer.json()["status"] == "confirmed"


async def test_a_wrong_code_says_how_many_tries_are_left(each_house: House) -> None:
    begun = await each_house.register()
    _, code = await each_house.office.secrets_of(ANN)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    for left in (4, 3, 2, 1):
        answer = await confirm_code(each_house, begun, wrong)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, CodeWrong.code)
        assert problem["tries_left"] == left
        assert problem["errors"][0]["pointer"] == "/code"
        assert code not in answer.text
    assert_problem(await confirm_code(each_house, begun, wrong), 410, "code_burnt")
    assert_problem(await confirm_code(each_house, begun, code), 410, "code_burnt")


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "1" * 65])
async def test_what_is_no_code_is_a_422_without_a_try(house: House, code: str) -> None:
    begun = await house.register()
    problem = (await confirm_code(house, begun, code)).json()
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/code")
    assert "tries_left" not in problem


async def test_what_is_over_is_a_410_and_reads_as_expired(house: House) -> None:
    begun = await house.register()
    token, _ = await house.office.secrets_of(ANN)
    house.office.clock.move(86_400)
    assert_problem(await house.post("/v1/registrations/confirm", {"token": token}), 410, "expired")
    read = (await house.web.get(f"/v1/registrations/{begun['id']}")).json()
    assert (read["status"], read["resend_at"]) == ("expired", None)


@pytest.mark.parametrize("token", ["x", "A" * 43, "é", "A" * 128])
async def test_an_unknown_token_is_a_404(each_house: House, token: str) -> None:
    answer = await each_house.post("/v1/registrations/confirm", {"token": token})
    assert_problem(answer, 404, "token_unknown")


@pytest.mark.parametrize("tail", ["x", "%00", "reg_" + "0" * 32, "x" * 4000, "ntf_" + "0" * 32])
async def test_an_id_that_is_none_is_a_404(each_house: House, tail: str) -> None:
    assert_problem(await each_house.web.get(f"/v1/registrations/{tail}"), 404, "not_found")
    answer = await each_house.post(f"/v1/registrations/{tail}/confirm", {"code": "123456"})
    assert_problem(answer, 404, "not_found")


async def test_another_project_neither_reads_nor_confirms_it(house: House) -> None:
    begun = await house.register()
    token, code = await house.office.secrets_of(ANN)
    stranger = house.as_("shop")
    path = f"/v1/registrations/{begun['id']}"
    assert_problem(await house.web.get(path, headers=stranger), 404)
    assert_problem(await confirm_code(house, begun, code, headers=stranger), 404)
    by_token = await house.post("/v1/registrations/confirm", {"token": token}, headers=stranger)
    assert_problem(by_token, 404, "token_unknown")
    assert (await house.web.get(path)).json()["status"] == "pending"


async def test_a_long_name_is_dropped_not_refused(house: House) -> None:
    assert (await house.register(name="x" * 10_000))["status"] == "pending"
