"""Relays from their settings: URL and credentials joined, dev's loopback rule kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import SecretStr

from notifier.core.errors import Misconfigured
from notifier.settings.catalogue import SMTP_URL
from notifier.settings.loopback import is_loopback
from notifier.settings.relay import RelayTarget
from notifier.settings.sections import RelaySettings, Settings
from notifier.settings.smtp_url import BadUrl, SmtpUrl, parse_smtp_url

CAPTURE: Final = "capture"
"""Name of the target that takes mail for the inbox; no relay may have it."""


def relay_targets(settings: Settings, *, capture_port: int | None) -> tuple[RelayTarget, ...]:
    """Every relay, by name, and last the capture server if there is one.

    `capture_port` is where this process's own capture server listens; without one,
    `NOTIFIER_CAPTURE_URL` may name another. Raises `Misconfigured` with every problem.
    """
    found: list[RelayTarget] = []
    problems: list[str] = []
    for relay in _given(settings, with_capture=capture_port is None):
        try:
            found.append(relay.target(settings))
        except BadUrl as error:
            problems.append(f"{relay.setting} {error}{relay.way_out(str(error))}")
    if problems:
        raise Misconfigured("A relay's settings cannot be used.", problems=problems)
    if capture_port is not None:
        url = SmtpUrl("127.0.0.1", capture_port, "none", None, None)
        found.append(_target(CAPTURE, url, RelaySettings(), stands_in=True))
    return tuple(found)


def exposed(targets: Sequence[RelayTarget]) -> tuple[RelayTarget, ...]:
    """Those whose password can be read, or had, by whoever stands between us and the relay."""
    return tuple(
        target
        for target in targets
        if target.password
        and target.tls in {"none", "opportunistic"}
        and not is_loopback(target.host)
    )


def shown_url(secret: SecretStr) -> str:
    """A relay's URL fit to be shown: without credentials, and `***` if it is broken."""
    try:
        return parse_smtp_url(secret.get_secret_value()).shown()
    except BadUrl:
        return "***"


@dataclass(frozen=True, slots=True)
class _Given:
    """One relay's settings, and the environment name of its URL."""

    name: str
    setting: str
    limits: RelaySettings

    def target(self, settings: Settings) -> RelayTarget:
        if self.name == CAPTURE and self.setting != _CAPTURE_SETTING:
            raise BadUrl("cannot be: the name `capture` is the inbox's own. Choose another name.")
        if self.limits.url is None:
            raise BadUrl("is missing: the relay has other settings, but no URL.")
        url = self._url(self.limits.url.get_secret_value())
        if settings.is_dev and not settings.dev.send_for_real and not is_loopback(url.host):
            raise BadUrl(
                "is not on this machine, and in dev no mail may leave it. Use a relay on 127.0.0.1"
                " or none; to send to real people set NOTIFIER_DEV__SEND_FOR_REAL=true."
            )
        return _target(self.name, url, self.limits, stands_in=settings.is_dev)

    def _url(self, text: str) -> SmtpUrl:
        if self.setting == _CAPTURE_SETTING:
            return parse_smtp_url(text, tls="none", port=1025)
        url = parse_smtp_url(text)
        username, password = self.limits.username, self.limits.password
        url = replace(
            url,
            username=username.get_secret_value() if username else url.username,
            password=password.get_secret_value() if password else url.password,
        )
        if (url.username is None) != (url.password is None):
            missing = "user name" if url.username is None else "password"
            raise BadUrl(f"and the settings beside it give no {missing}: give both or neither.")
        return url

    def way_out(self, fault: str) -> str:
        """For a password that is hard to escape."""
        if "unescaped" not in fault or not self.setting.endswith("__URL"):
            return ""
        other = self.setting.removesuffix("URL") + "PASSWORD"
        return f" Or leave the password out of the URL and set {other} or {other}_FILE."


_CAPTURE_SETTING: Final = "NOTIFIER_CAPTURE_URL"


def _given(settings: Settings, *, with_capture: bool) -> Iterator[_Given]:
    for name, limits in sorted(settings.relays.items()):
        yield _Given(name, f"NOTIFIER_RELAYS__{name.upper()}__URL", limits)
    if settings.smtp_url and not settings.relays and not settings.is_dev:
        yield _Given("main", SMTP_URL, RelaySettings(url=settings.smtp_url))
    if settings.capture_url and with_capture:
        yield _Given(CAPTURE, _CAPTURE_SETTING, RelaySettings(url=settings.capture_url))


def _target(name: str, url: SmtpUrl, limits: RelaySettings, *, stands_in: bool) -> RelayTarget:
    return RelayTarget(
        name=name,
        host=url.host,
        port=url.port,
        tls=url.tls,
        username=url.username,
        password=url.password,
        captures=name == CAPTURE,
        limits=limits,
        stands_in=stands_in,
    )
