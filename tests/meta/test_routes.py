"""Every route of the API asks who calls, unless it stands on the public list."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import notifier.api
from notifier.api.app import own_routers, routes_app
from notifier.api.auth import PUBLIC_ROUTES, Permit, is_v1
from notifier.api.json_body import StrictRoute
from notifier.api.openapi import document
from tests.api.door import Door, dev


def routers() -> Iterator[APIRouter]:
    """What the functions `*_router()` of the API's modules make, and the frame's own."""
    for found in pkgutil.iter_modules(notifier.api.__path__):
        module = importlib.import_module(f"notifier.api.{found.name}")
        for name, value in vars(module).items():
            made_here = inspect.isfunction(value) and value.__module__ == module.__name__
            if made_here and name.endswith("_router") and not inspect.signature(value).parameters:
                yield value()
    yield from own_routers(dev().frame())


ROUTES = [route for router in routers() for route in router.routes]


def permits(dependant: Dependant) -> Iterator[Permit]:
    if isinstance(dependant.call, Permit):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from permits(inner)


def test_the_walk_finds_the_routes() -> None:
    paths = {route.path for route in ROUTES if isinstance(route, APIRoute)}
    assert {"/v1/notifications", "/v1/registrations", "/confirm", "/healthz", "/docs"} <= paths


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods} {route.path}")
def test_every_route_is_authenticated_or_on_the_public_list(route: APIRoute) -> None:
    assert isinstance(route, APIRoute)
    asked = list(permits(route.dependant))
    if route.path in PUBLIC_ROUTES:
        assert asked == []
    else:
        assert is_v1(route.path), "only what is below /v1 is authenticated"
        assert asked, "no parameter is marked with caller(...)"
        assert all(permit.scopes for permit in asked), "caller() without a scope lets every key in"
        assert isinstance(route, StrictRoute)


def test_a_route_that_forgets_the_caller_would_be_found() -> None:
    router = APIRouter()
    router.get("/v1/open")(lambda: None)
    (route,) = router.routes
    assert isinstance(route, APIRoute)
    assert list(permits(route.dependant)) == []
    with pytest.raises(TypeError, match="v1_router"):
        routes_app(routers=[router], frame=dev().frame())


def test_a_route_elsewhere_that_is_on_no_list_is_refused() -> None:
    router = APIRouter()
    router.get("/back-door")(lambda: None)
    with pytest.raises(TypeError, match="PUBLIC_ROUTES"):
        routes_app(routers=[router], frame=dev().frame())


def test_nothing_on_the_public_list_is_below_v1() -> None:
    assert not [path for path in PUBLIC_ROUTES if is_v1(path)]


def test_operation_ids_are_words_and_unique() -> None:
    door: Door = dev()
    found = document(routes_app(routers=list(routers()), frame=door.frame()), None)
    ids = [
        operation["operationId"] for path in found["paths"].values() for operation in path.values()
    ]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not name.isidentifier() or "__" in name] == []
