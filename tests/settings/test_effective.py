"""What `notifier config show` is made of."""

from pathlib import Path

from notifier.settings.catalogue import ANY, catalogue
from notifier.settings.effective import Shown, effective
from notifier.settings.load import load
from tests.settings.loading import ENOUGH, KEY


def shown(environ: dict[str, str], *, is_dev: bool = False) -> dict[str, Shown]:
    return {one.name: one for one in effective(load(environ, is_dev=is_dev))}


def test_every_setting_is_shown() -> None:
    general = {known.env_name() for known in catalogue().values() if ANY not in known.path}
    assert general <= shown(ENOUGH).keys()


def test_of_relays_those_that_there_are_are_shown() -> None:
    names = [name for name in shown(ENOUGH) if name.startswith("NOTIFIER_RELAYS__")]
    assert {name.split("__")[1] for name in names} == {"MAIN"}
    assert len(names) == len([path for path in catalogue() if path[0] == "relays"])


def test_a_value_is_shown_with_its_source() -> None:
    found = shown({**ENOUGH, "NOTIFIER_HTTP__ALLOWED_HOSTS": "a.example,b.example"})
    name = "NOTIFIER_HTTP__ALLOWED_HOSTS"
    assert found[name] == Shown(name, ["a.example", "b.example"], "environment")
    assert found["NOTIFIER_DATA_DIR"] == Shown("NOTIFIER_DATA_DIR", ".data", "default")


def test_secrets_are_masked() -> None:
    found = shown({**ENOUGH, "NOTIFIER_RELAYS__MAIN__URL": "smtp://me:hunter2@h.example"})
    assert found["NOTIFIER_SECRET_KEY"].value == ["***"]
    assert found["NOTIFIER_RELAYS__MAIN__URL"].value == "smtp://***@h.example:587"
    assert found["NOTIFIER_MAILBOX__PASSWORD"].value is None
    assert KEY not in str(found)


def test_smtp_url_is_shown_where_it_is_used() -> None:
    environ = {**ENOUGH, "NOTIFIER_RELAYS__MAIN__URL": "", "SMTP_URL": "smtp://u:pw@h.example"}
    assert shown(environ)["SMTP_URL"].value == "smtp://***@h.example:587"
    assert "SMTP_URL" not in shown(ENOUGH)


def test_dev_shows_what_it_takes_for_what_is_not_set() -> None:
    found = shown({"NOTIFIER_HTTP__PORT": "9000"}, is_dev=True)
    assert found["NOTIFIER_PUBLIC_URL"].value == "http://127.0.0.1:9000"
    assert found["NOTIFIER_MAIL__FROM"].source == "default of dev"
    assert found["NOTIFIER_SECRET_KEY"].source == f"file {Path('.data/secret.key')}"


def test_what_is_set_in_dev_is_shown_as_set() -> None:
    found = shown({"NOTIFIER_PUBLIC_URL": "http://x.example"}, is_dev=True)
    assert found["NOTIFIER_PUBLIC_URL"].source == "environment"
