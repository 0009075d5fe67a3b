"""docs/operations.md names only what there is."""

import re

import pytest

from notifier.cli.program import COMMANDS, loaded
from notifier.observe.series import COUNTED, READ
from notifier.settings.catalogue import FILE_SUFFIX, find
from tests.deploy.files import ROOT

HANDBOOK = ROOT / "docs" / "operations.md"
TEXT = HANDBOOK.read_text("utf-8")
SETTINGS = sorted(set(re.findall(r"\b(?:NOTIFIER_)?([A-Z]+__(?:<?[A-Z_]+>?__)?[A-Z_]+)\b", TEXT)))
LINKS = sorted(set(re.findall(r"\]\(([^)\s]+)\)", TEXT)))


def anchors(text: str) -> set[str]:
    """What headings are linked by."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_it_names_exists(name: str) -> None:
    full = "NOTIFIER_" + name.replace("<NAME>", "MAIN")
    assert find(full) or find(full.removesuffix(FILE_SUFFIX))


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert (HANDBOOK.parent / path).exists()
    assert not anchor or anchor in anchors(TEXT)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(notifier_[a-z_]+)`", TEXT))))
def test_a_metric_that_it_names_exists(name: str) -> None:
    assert name in {series.name for series in (*COUNTED, *READ)}


@pytest.mark.parametrize("words", sorted(set(re.findall(r"[`\n]notifier ([a-z ]+)", TEXT))))
def test_a_command_that_it_names_exists(words: str) -> None:
    name, *rest = words.split()
    assert name in COMMANDS
    inner = getattr(loaded(name), "commands", None)
    assert inner is None or rest[0] in inner
