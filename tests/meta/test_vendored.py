"""Files that others wrote are known, and are what they were when they were taken."""

import hashlib

import pytest

from tests.meta.sources import ROOT, texts, vendored


@pytest.mark.parametrize(("name", "sha256"), vendored().items())
def test_a_vendored_file_is_what_its_row_says(name: str, sha256: str) -> None:
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == sha256


def test_every_minified_file_has_its_row() -> None:
    """No person writes lines of a thousand columns."""
    minified = [
        name
        for name, text in texts()
        if name.endswith((".js", ".css")) and any(len(line) > 1000 for line in text.splitlines())
    ]
    assert minified == []


def test_the_table_of_vendored_files_is_understood() -> None:
    rows = (ROOT / "docs" / "vendored.md").read_text("utf-8").count("\n| `")
    assert len(vendored()) == rows > 0
