"""What a line of the inbox says."""

import pytest

from notifier.mailbox.views import row_view
from tests.mailbox.boxes import Mailbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("subject", "text", "shown"),
    [
        ("Hello Ada", "Hello Ada\n\nHow are you?", "How are you?"),
        ("Hello Ada", "How are you?", "How are you?"),
        ("Hello", "Hello, Ada!", "Hello, Ada!"),
        ("", "How are you?", "How are you?"),
    ],
)
async def test_a_line_does_not_say_its_subject_twice(
    box: Mailbox, subject: str, text: str, shown: str
) -> None:
    await box.send(f"From: a@example.org\nSubject: {subject}\n\n{text}\n".encode())
    assert row_view(await box.newest()).snippet == shown
