"""All checks, one after the other; the relays at once."""

from collections.abc import Iterator, Sequence

from notifier.assembly.doctor.check import Check, failed, ok
from notifier.assembly.doctor.listeners import of_listeners
from notifier.assembly.doctor.machine import of_machine
from notifier.assembly.doctor.relays import of_relays
from notifier.assembly.doctor.store import of_store
from notifier.compose.catalogue import Catalogue
from notifier.core.address import AddressError, parse_mailbox
from notifier.core.errors import Misconfigured
from notifier.settings import Settings


def of_settings(problems: Sequence[str], warnings: Sequence[str]) -> Iterator[Check]:
    """What `notifier config check` says."""
    # Each says itself what to do.
    for problem in problems:
        yield Check("settings", "failed", problem.rstrip("."))
    for one in warnings:
        yield Check("settings", "warning", one.rstrip("."))
    if not problems:
        yield ok("settings", "the settings are complete for a service")


def examine(settings: Settings) -> Iterator[Check]:
    """Everything but the settings themselves; each check as soon as it is made."""
    yield from of_machine(settings.data_dir)
    yield from of_store(settings)
    yield _templates(settings)
    yield from of_listeners(settings)
    mail_from = _return_path(settings)
    if mail_from is not None:
        yield from of_relays(settings, mail_from)


def _templates(settings: Settings) -> Check:
    # Only its form matters here: what is wrong with the real one is said among the settings.
    base = settings.public_url or "http://127.0.0.1"
    try:
        catalogue = Catalogue.load(settings.templates.dirs, settings.brand, public_url=base)
    except Misconfigured as error:
        problems = " ".join(error.problems)
        return failed("templates", f"templates do not load: {problems}", "mend them")
    return ok("templates", f"{len(catalogue.names())} templates load and render with their samples")


def _return_path(settings: Settings) -> str | None:
    """The address that MAIL names; None: there is none, which is said among the settings."""
    mail = settings.mail
    try:
        return mail.return_path or parse_mailbox(mail.from_ or "").address
    except AddressError:
        return None
