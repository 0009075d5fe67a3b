"""What the door is given by the composition root, and how a route gets at it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from notifier.core.api_key import ApiKey
from notifier.core.clock import Clock
from notifier.core.ids import IdSource
from notifier.observe.exposition import Page
from notifier.observe.facts import Observer
from notifier.settings import Settings

KeyLookup = Callable[[str], Awaitable[ApiKey | None]]
"""Finds a key by its SHA-256 in hex, revoked and expired ones too. May remember for seconds."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this process can do its work. `reasons` are sentences for the operator.

    `ready` and `degraded` (a sick relay, a backlog) take traffic; `draining` and `unavailable`
    (store away, schema behind) do not.
    """

    status: Literal["ready", "degraded", "draining", "unavailable"]
    reasons: tuple[str, ...] = ()


HealthCheck = Callable[[], Awaitable[Health]]

Scrape = Callable[[str], Awaitable[Page]]
"""The metrics as they stand, in the format that an `Accept` header asks for."""


@dataclass(frozen=True)
class Frame:
    """Everything the door needs from outside.

    `port` is the one that is really bound. `mounts` are whole ASGI applications below a path;
    they get the same guards (hosts, origins, limits), but check their own callers.
    `state` is put on `app.state` for the routes' dependencies. `scrape` None: no `/metrics`.
    """

    settings: Settings
    observe: Observer
    now: Clock
    new_id: IdSource
    port: int
    health: HealthCheck
    find_key: KeyLookup
    scrape: Scrape | None = None
    mounts: Mapping[str, ASGIApp] = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)


def frame_of(connection: HTTPConnection) -> Frame:
    """The frame of the application that serves `connection`."""
    return cast(Frame, connection.app.state.frame)
