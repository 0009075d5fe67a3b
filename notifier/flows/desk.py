"""What every flow works with, and for whom it works."""

from collections.abc import Callable
from dataclasses import dataclass

from notifier.compose.catalogue import Catalogue
from notifier.core.address import Mailbox
from notifier.core.clock import Clock
from notifier.core.ids import IdSource
from notifier.core.route import Route
from notifier.observe.facts import Observer
from notifier.settings import Settings
from notifier.store.store import Store


@dataclass(frozen=True, slots=True)
class Client:
    """On whose behalf: the project, the route of the key, and the senders it may use."""

    project: str
    route: Route
    from_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Handles that flows share. `secret_keys` are newest first; `entropy(n)` gives n bytes."""

    store: Store
    catalogue: Catalogue
    settings: Settings
    sender: Mailbox
    return_path: str
    public_url: str
    secret_keys: tuple[bytes, ...]
    now: Clock
    new_id: IdSource
    entropy: Callable[[int], bytes]
    observe: Observer
