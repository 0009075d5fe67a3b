"""What is written for people leads to what there is."""

import re
from pathlib import Path

import pytest

from tests.meta.sources import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
ROOMS = ["assembly", "dispatch", "observe", "smtp", "store"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_leads_to_a_file(document: Path) -> None:
    links = LINK.findall(document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_room_of_the_delivery_is_on_the_map(room: str) -> None:
    named = set(re.findall(r"`(?:\w+/)?(\w+)`", (ROOT / "docs/architecture.md").read_text("utf-8")))
    files = {path.stem for path in (ROOT / "notifier" / room).glob("[!_]*.py")}
    assert files - named == set()
