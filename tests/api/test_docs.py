"""The reference works offline and tells the truth."""

import re
from typing import Any

import pytest

from notifier.api.app import routes_app
from notifier.api.openapi import document
from tests.api.door import Door, dev, form_router, production

pytestmark = pytest.mark.anyio


def described(door: Door) -> dict[str, Any]:
    app = routes_app(routers=[door.things(), form_router()], frame=door.frame())
    return document(app, door.settings.public_url)


async def test_the_page_loads_only_its_own_files() -> None:
    async with dev().client() as http:
        page = await http.get("/docs")
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        answers = [await http.get("/" + link) for link in links]
    assert len(links) == 6
    assert {answer.status_code for answer in answers} == {200}
    assert not [link for link in links if ":" in link or link.startswith("//")]


async def test_page_and_files_have_a_strict_policy() -> None:
    async with dev().client() as http:
        for path in ("/docs", "/docs/docs.js", "/docs/swagger-ui.css"):
            headers = (await http.get(path)).headers
            assert headers["content-security-policy"].startswith(
                "default-src 'none'; script-src 'self';"
            )
            assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asset", ["../app.py", "..%2fapp.py", "LICENSE", "docs.html", "%00"])
async def test_no_other_file_is_served(asset: str) -> None:
    async with dev().client() as http:
        assert (await http.get(f"/docs/{asset}")).status_code == 404


async def test_the_document_is_the_same_each_time() -> None:
    async with production().client() as http:
        first, second = await http.get("/openapi.json"), await http.get("/openapi.json")
    assert first.content == second.content
    found = first.json()
    assert found["openapi"].startswith("3.1")
    assert found["servers"] == [{"url": "https://notify.example.org"}]


def test_the_body_of_a_strict_route_is_described() -> None:
    found = described(dev())
    operation = found["paths"]["/v1/things"]["post"]
    assert operation["operationId"] == "create_thing"
    body = operation["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/Thing"


def test_errors_are_described_as_problems_and_as_nothing_else() -> None:
    found = described(dev())
    assert "HTTPValidationError" not in str(found)
    post = found["paths"]["/v1/things"]["post"]["responses"]
    assert list(post) == sorted(post)
    for path in ("/v1/things", "/confirm"):
        answer = found["paths"][path]["post"]["responses"]["422"]
        assert list(answer["content"]) == ["application/problem+json"]
    assert "Problem" in found["components"]["schemas"]
    assert "ProblemError" in found["components"]["schemas"]


def test_a_route_is_described_by_its_docstring() -> None:
    operation = described(dev())["paths"]["/v1/things/{name}"]["get"]
    assert (operation["summary"], operation["description"]) == ("Reads one", "Or says why not.")


def test_keys_are_asked_for_below_v1_only() -> None:
    found = described(dev())
    assert found["paths"]["/v1/things"]["post"]["security"] == [{"apiKey": []}]
    assert found["paths"]["/confirm"]["post"]["security"] == []


def test_every_reference_leads_somewhere() -> None:
    found = described(dev())
    names = set(re.findall(r"#/components/schemas/([A-Za-z0-9_]+)", str(found)))
    assert names <= set(found["components"]["schemas"])
