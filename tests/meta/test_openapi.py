"""The committed API document is the one that is served."""

from tools.openapi import COMMITTED, served


def test_the_committed_document_is_what_a_started_service_answers() -> None:
    hint = "review the difference, then write it with: .venv/bin/python -m tools.openapi"
    assert served() == COMMITTED.read_text(), hint
