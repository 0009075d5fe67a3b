"""`.env.example` is true: it names every setting, and what it says of each is so."""

import re
from pathlib import Path

import pytest

from notifier.settings.catalogue import ANY, Known, catalogue, find
from notifier.settings.example import env_example
from notifier.settings.load import load
from tests.meta.sources import ROOT, sources

LINE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def names() -> list[str]:
    return [name for name, _ in LINE.findall(env_example())]


def test_the_file_in_the_repository_is_the_one_that_is_made() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    assert text == env_example(), "run `python -m notifier.settings.example > .env.example`"


def test_every_setting_is_named_once() -> None:
    named = [known.path for name in names() if (known := find(name))]
    assert named == list(catalogue())


def test_nothing_else_is_named() -> None:
    assert [name for name in names() if find(name) is None] == ["SMTP_URL"]


@pytest.mark.parametrize("known", catalogue().values(), ids=Known.env_name)
def test_every_setting_has_a_description(known: Known) -> None:
    assert known.field.description
    assert f"\n# {known.field.description[:40]}" in env_example()


@pytest.mark.parametrize("known", catalogue().values(), ids=Known.env_name)
def test_every_setting_is_read_somewhere(known: Known) -> None:
    attribute = {"from": "from_"}.get(known.path[-1], known.path[-1])
    read = re.compile(rf"\.{attribute}\b")
    assert any(read.search(source.text) for source in sources("notifier"))


def test_every_line_that_is_not_a_comment_in_itself_is_commented_out() -> None:
    assert [line for line in env_example().splitlines() if line and line[0] != "#"] == []


def test_every_default_that_is_shown_is_the_default(tmp_path: Path) -> None:
    """But a relay's and a key's, which are in force only once there is one."""
    general = [f"{n}={v}" for n, v in LINE.findall(env_example()) if not chosen(n)]
    (tmp_path / ".env").write_text("\n".join(general))
    loaded = load({}, is_dev=True, dotenv=tmp_path / ".env")
    assert loaded.settings == load({}, is_dev=True).settings


def test_every_default_of_a_relay_is_the_default(tmp_path: Path) -> None:
    relay = [f"{n}={v}" for n, v in LINE.findall(env_example()) if n.startswith("NOTIFIER_RELAYS")]
    (tmp_path / ".env").write_text("\n".join([*relay, "NOTIFIER_DEV__SEND_FOR_REAL=true"]))
    found = load({}, is_dev=True, dotenv=tmp_path / ".env").settings.relays["main"]
    only_url = {"NOTIFIER_RELAYS__MAIN__URL": relay[0].partition("=")[2]}
    bare = load({**only_url, "NOTIFIER_DEV__SEND_FOR_REAL": "true"}, is_dev=True)
    assert found == bare.settings.relays["main"]


def chosen(name: str) -> bool:
    known = find(name)
    return known is not None and ANY in known.path
