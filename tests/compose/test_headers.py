"""Text bound for a header is refused, or comes back from a parser as exactly what was meant."""

import email.header
import email.utils

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.compose.headers import (
    ALLOWED_HEADERS,
    HeaderUnsafe,
    check_draft_header,
    check_header_text,
    check_headers,
    check_mailbox,
    draft_header,
    mailbox_header,
    text_header,
    verify_block,
)
from notifier.core.address import Mailbox
from notifier.core.text import header_fault, name_fault


def split(block: str) -> list[tuple[str, str]]:
    """Names and unfolded values, as the plainest receiver reads them (RFC 5322 §2.2.3)."""
    fields: list[list[str]] = []
    for line in block.split("\r\n"):
        assert "\r" not in line
        assert "\n" not in line
        assert len(line) <= 998
        if line[0] in " \t":
            fields[-1][1] += line
        else:
            name, _, value = line.partition(":")
            fields.append([name, value.removeprefix(" ")])
    return [(name, value) for name, value in fields]


def decoded(value: str) -> str:
    return str(email.header.make_header(email.header.decode_header(value)))


def test_blanks_at_the_end_take_linear_time() -> None:
    value = "a" + " " * 7999
    for _ in range(200):
        assert check_headers({"References": value}) == ()
        assert draft_header("References", value) == "References: a"


HEADER_TEXT = st.text(
    st.one_of(st.characters(), st.sampled_from(' =?_"\\,<>:;@é中👋')), max_size=400
)


@settings(deadline=None)
@given(HEADER_TEXT)
@example(" leading and trailing ")
@example("a" * 5000)
@example("a" + " " * 3000 + "b")
@example("=?utf-8?q?half")
@example("é" * 500)
@example("👋" * 200)
@example("a  b   c    d" * 60)
@example("")
def test_a_subject_is_refused_or_reads_back_exactly(text: str) -> None:
    if header_fault(text):
        assert check_header_text(text, "/subject") is not None
        return
    fields = split(text_header("Subject", text))
    assert [name for name, _ in fields] == ["Subject"]
    assert decoded(fields[0][1]) == text


@settings(deadline=None)
@given(HEADER_TEXT)
@example('say "hi" \\ bye')
@example("Doe, Jane")
@example("=?x")
@example("a" * 256)
@example("ü" * 256)
def test_a_display_name_is_refused_or_reads_back_exactly(text: str) -> None:
    mailbox = Mailbox("jane@example.org", text)
    if name_fault(text):
        assert check_mailbox(mailbox, "/to/0") is not None
        return
    block = mailbox_header("To", [mailbox, Mailbox("joe@example.org")])
    assert [name for name, _ in split(block)] == ["To"]
    # Not policy.default: its parser keeps the fold between two encoded-words as a blank.
    found = email.utils.getaddresses([split(block)[0][1]])
    assert [address for _, address in found] == ["jane@example.org", "joe@example.org"]
    name = decoded(found[0][0]) if found[0][0].startswith("=?") else found[0][0]
    assert name == text


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=850))
def test_a_long_token_is_never_torn_in_a_structured_header(token: str) -> None:
    value = f"<https://example.org/{token}>"
    if check_draft_header("List-Unsubscribe", value):
        return
    assert split(draft_header("List-Unsubscribe", value)) == [("List-Unsubscribe", value)]


def test_many_references_are_folded_between_ids() -> None:
    value = " ".join(f"<{number}@mail.example.org>" for number in range(40))
    block = draft_header("References", value)
    assert max(map(len, block.split("\r\n"))) <= 78
    assert split(block) == [("References", value)]


def test_fifty_recipients_are_folded_between_mailboxes() -> None:
    boxes = [Mailbox(f"person{n}@example.org", f"Person {n}") for n in range(50)]
    block = mailbox_header("To", boxes)
    assert max(map(len, block.split("\r\n"))) <= 78
    assert split(block)[0][1].count("@") == 50


CVE_2024_6923 = [
    "=?utf-8?q?hello=0ABcc:_evil@x?=",
    "=?utf-8?q?hello=0D=0ABcc:_evil@x?=",
    "=?utf-8?b?aGVsbG8KQmNjOiBldmlsQHg=?=",
    "Re: =?iso-8859-1?q?=0A?= x",
    "=?utf-8?Q?=0A=0A<script>?=",
    "=?unknown?q?=0ABcc:_evil@x?=",
]


@pytest.mark.parametrize("text", CVE_2024_6923)
def test_an_encoded_word_is_refused_wherever_it_could_become_a_header(text: str) -> None:
    assert check_header_text(text, "/subject") is not None
    assert check_mailbox(Mailbox("a@example.org", text), "/to/0") is not None
    assert check_draft_header("Comments", text) is not None
    assert check_draft_header("List-Id", text) is not None


@pytest.mark.parametrize(
    "address",
    ["a@x.org>, <evil@y.org", "a@x.org, evil@y.org", "a b@x.org", "a@x.org (", "a@", "<a@x.org>"],
)
def test_an_address_that_is_more_than_one_is_refused(address: str) -> None:
    assert check_mailbox(Mailbox(address), "/to/0") is not None


FORBIDDEN = [
    "From", "To", "Cc", "Bcc", "bcc", "Sender", "Reply-To", "Subject", "Date", "Message-ID",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Received", "Return-Path",
    "DKIM-Signature", "ARC-Seal", "Authentication-Results", "Resent-To", "X-SMTPAPI", "x-smtpapi",
    "X-MC-Metadata", "X-SES-Configuration-Set", "X-Mailgun-Variables", "X-PM-Message-Stream",
    "X-Entity-Ref-ID\r\nBcc", "X Y", "X:Y", "", "Überschrift", "X-\x00", "X-Unknown",
]  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_header_that_is_not_on_the_list_is_refused(name: str) -> None:
    errors = check_headers({name: "value"})
    assert [error.code for error in errors] == ["header_not_allowed"]


@pytest.mark.parametrize("name", [name for name in FORBIDDEN if name != "X-Unknown"])
def test_no_setting_opens_a_header_that_is_ours(name: str) -> None:
    assert check_headers({name: "value"}, extra=[name])
    assert check_draft_header(name, "value") is not None


def test_a_setting_can_add_a_name() -> None:
    assert check_headers({"X-Unknown": "value"}, extra=["x-unknown"]) == ()


@pytest.mark.parametrize("name", sorted(ALLOWED_HEADERS))
def test_every_name_on_the_list_passes_both_walls(name: str) -> None:
    assert check_headers({name: "value"}) == ()
    assert check_draft_header(name, "value") is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"List-Id": "a\r\nBcc: x@y.org"}, "control_character"),
        ({"List-Id": "a\nb"}, "control_character"),
        ({"List-Id": "\u00e9"}, "not_ascii"),
        ({"List-Id": "x" * 901}, "too_long"),
        ({"List-Id": "x " * 4001}, "too_long"),
        ({"List-Id": "  "}, "blank"),
        ({"List-Id": "a", "list-id": "b"}, "duplicate"),
    ],
)
def test_a_header_value_that_cannot_be_carried_is_refused(
    headers: dict[str, str], code: str
) -> None:
    assert [error.code for error in check_headers(headers)] == [code]


def test_header_errors_point_at_the_header_but_never_repeat_a_hostile_name() -> None:
    errors = check_headers({"List-Id": "a\nb", "X\r\nBcc": "c"})
    assert [error.pointer for error in errors] == ["/headers/List-Id", "/headers/1"]


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (b"Subject: a\r\nBcc: b", ["Subject"]),
        (b"Subject: a", ["Subject", "Bcc"]),
        (b"Subject: a\nBcc: b", ["Subject"]),
        (b"Subject: a\rBcc: b", ["Subject"]),
        (b"Subject: a\r\n\r\nbody", ["Subject"]),
        (b"Subject: a\r\n \r\n b", ["Subject"]),
        (b"Subject: a\r\n", ["Subject"]),
        (b" Subject: a", ["Subject"]),
        (b"Subject : a", ["Subject"]),
        (b"no colon here", ["Subject"]),
        (b"Subject: a\0", ["Subject"]),
        (b"Subject: " + b"a" * 990, ["Subject"]),
        (b"Bcc: a\r\nSubject: b", ["Subject", "Bcc"]),
    ],
)
def test_a_block_that_reads_differently_is_not_let_out(block: bytes, names: list[str]) -> None:
    with pytest.raises(HeaderUnsafe):
        verify_block(block, names)


def test_a_block_that_reads_as_meant_is_let_out() -> None:
    verify_block(b"Subject: a\r\n b\r\n\tc\r\nTo: d", ["Subject", "To"])
