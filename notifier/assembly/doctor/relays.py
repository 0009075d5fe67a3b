"""The relays: a dialogue with each up to MAIL, so that nothing is sent; all at once."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from notifier.assembly.doctor.check import Check, failed, ok, warning
from notifier.core.errors import Misconfigured
from notifier.core.reply import LinkFailure, LinkFault, Outcome, Phase
from notifier.settings import Settings
from notifier.settings.relay import RelayTarget
from notifier.settings.relay_url import relay_targets
from notifier.smtp.probe import Probe, probe

WITHIN_S: Final = 20.0
_FEW_DAYS: Final = 14

_FAULTS: Final = {
    LinkFault.DNS: "{setting}: does the name exist, and can this machine resolve names?",
    LinkFault.REFUSED: "{setting}: does the relay listen there, and does a firewall let us through?"
    " Many hosters block port 25; take 587 or 465",
    LinkFault.TIMEOUT: "does a firewall swallow the connection? Is it smtp:// for 587 and smtps://"
    " for 465 in {setting}?",
    LinkFault.CERTIFICATE: "mend its certificate, or name its authority in {relay}__CA_FILE",
    LinkFault.TLS: "is it smtp:// for 587 and smtps:// for 465 in {setting}?",
    LinkFault.GARBAGE: "does an SMTP server listen there? Is it smtps:// for 465 in {setting}?",
    LinkFault.STARTTLS_MISSING: "take its port for TLS, or, inside a network you trust, ?tls=none"
    " in {setting}",
    LinkFault.AUTH_MISSING: "it takes no login as we are connected: leave the user name out, or"
    " take its port for submission (587, 465)",
}
_PHASES: Final = {
    Phase.BANNER: "it does not want this machine's address: ask who runs it",
    Phase.EHLO: "set NOTIFIER_MAIL__HELO_NAME to a name of this machine that it accepts",
    Phase.AUTH: "fix {relay}__USERNAME and {relay}__PASSWORD",
    Phase.MAIL: "let it accept the address in NOTIFIER_MAIL__RETURN_PATH, or change that",
}


def of_relays(settings: Settings, mail_from: str) -> Iterator[Check]:
    """Of all at once, in the order of their names. Takes `WITHIN_S` at most."""
    try:
        targets = relay_targets(settings, capture_port=None)
    except Misconfigured:
        return  # said among the settings
    if not any(not target.captures for target in targets) and not settings.is_dev:
        yield warning(
            "relays", "no relay is configured, so that mail waits", "set NOTIFIER_RELAYS__MAIN__URL"
        )
    for target, found in zip(targets, asyncio.run(_ask(targets, settings, mail_from)), strict=True):
        yield from _checks(target, found, mail_from)


async def _ask(
    targets: Sequence[RelayTarget], settings: Settings, mail_from: str
) -> Sequence[Probe]:
    helo_name = settings.mail.helo_name
    return await asyncio.gather(
        *(probe(target, mail_from, helo_name=helo_name, within_s=WITHIN_S) for target in targets)
    )


def _checks(target: RelayTarget, found: Probe, mail_from: str) -> Iterator[Check]:
    about = f"relay {target.name}"
    if found.refusal is not None:
        says = f"{about} ({target.host}:{target.port}): {_says(found.refusal)}"
        yield failed(about, says, _remedy(target, found.refusal))
        return
    login = "the login and " if found.logged_in else ""
    yield ok(
        about,
        f"{about} ({target.host}:{target.port}, {found.peer}) takes {login}the sender {mail_from};"
        f" {found.tls or 'no encryption'}; offers {', '.join(found.extensions) or 'no extensions'}",
    )
    if found.certificate is not None:
        days = (found.certificate.ends_at - datetime.now(UTC)).days
        names = ", ".join(found.certificate.names) or "no name"
        says = f"{about}: its certificate for {names} is good for {days:,} days"
        if days < _FEW_DAYS:
            yield warning(f"{about} certificate", says, "see that it is renewed in time")
        else:
            yield ok(f"{about} certificate", says)


def _says(refusal: Outcome) -> str:
    if isinstance(refusal, LinkFailure):
        words = refusal.fault.value.replace("_", " ")
        return f"{words} at {refusal.phase.value.upper()} ({refusal.detail})"
    codes = f"{refusal.code} {refusal.enhanced}" if refusal.enhanced else str(refusal.code)
    return f"refused at {refusal.phase.value.upper()}: {codes} {refusal.text}"


def _remedy(target: RelayTarget, refusal: Outcome) -> str:
    relay = f"NOTIFIER_RELAYS__{target.name.upper()}"
    setting = "NOTIFIER_CAPTURE_URL" if target.captures else f"{relay}__URL"
    known = _FAULTS.get(refusal.fault) if isinstance(refusal, LinkFailure) else None
    remedy = known or _PHASES.get(refusal.phase) or "look at {setting} and ask who runs the relay"
    return remedy.format(relay=relay, setting=setting)
