"""`notifier send`, against a server that answers as it is told."""

import json
import socket
from pathlib import Path

import pytest

from tests.cli.answers import Answers, notification
from tests.cli.conftest import Outcome, Run

HELLO = ("ada@x.example", "--subject", "Hello", "--text", "It works.")


@pytest.fixture
def send(run: Run, answers: Answers) -> Run:
    def command(*words: str) -> Outcome:
        return run("send", *words, "--url", answers.url)

    return command


def test_the_id_is_data(send: Run, answers: Answers) -> None:
    answers.will(202, notification("queued", final=False))
    assert send(*HELLO) == Outcome(0, "ntf_1\n", "")
    (asked,) = answers.asked
    assert (asked.method, asked.path) == ("POST", "/v1/notifications")
    assert asked.body == {"to": ["ada@x.example"], "subject": "Hello", "text": "It works."}
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers


def test_everything_that_is_told_is_sent(send: Run, answers: Answers) -> None:
    answers.will(202, notification("queued", final=False))
    send(
        "a@x.example", "B <b@x.example>", "--template", "welcome", "--var", "name=Ada=Lovelace",
        "--var", 'list:=[1, "x"]', "--locale", "de", "--from", "me@x.example", "--reference", "r1",
        "--idempotency-key", "k1", "--key", "ntf_test_x",
    )  # fmt: skip
    (asked,) = answers.asked
    assert asked.body == {
        "to": ["a@x.example", "B <b@x.example>"],
        "template": {
            "name": "welcome",
            "variables": {"name": "Ada=Lovelace", "list": [1, "x"]},
            "locale": "de",
        },
        "from": "me@x.example",
        "reference": "r1",
    }
    assert asked.headers["idempotency-key"] == "k1"
    assert asked.headers["authorization"] == "Bearer ntf_test_x"


def test_by_default_it_goes_to_this_machines_port(run: Run, answers: Answers) -> None:
    answers.will(202, notification("queued", final=False))
    assert run("send", *HELLO, NOTIFIER_HTTP__PORT=str(answers.port)).code == 0
    assert answers.asked[0].headers["host"] == f"127.0.0.1:{answers.port}"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    run: Run, answers: Answers
) -> None:
    answers.will(202, notification("queued", final=False))
    assert run("send", *HELLO, "--url", answers.url, http_proxy="http://127.0.0.1:1").code == 0


def test_a_key_can_stand_in_a_file(send: Run, answers: Answers, tmp_path: Path) -> None:
    answers.will(202, notification("queued", final=False))
    (tmp_path / "key").write_text("ntf_live_x\n")
    send(*HELLO, "--key-file", str(tmp_path / "key"))
    assert answers.asked[0].headers["authorization"] == "Bearer ntf_live_x"


def test_waiting_follows_to_the_end(send: Run, answers: Answers) -> None:
    answers.will(202, notification("queued", "sending", final=False))
    answers.will(200, notification("sent", "queued", final=False))
    answers.will(200, notification("sent", "captured"))
    outcome = send(*HELLO, "--wait")
    assert outcome == Outcome(0, "ntf_1\nsent 0@x.example\ncaptured 1@x.example\n", "")
    assert answers.asked[0].headers["prefer"] == "wait=20"
    assert [asked.path for asked in answers.asked[1:]] == ["/v1/notifications/ntf_1"] * 2


def test_waiting_ends_at_once_where_the_server_held_the_answer(send: Run, answers: Answers) -> None:
    answers.will(202, notification("captured"))
    assert send(*HELLO, "--wait", "--timeout", "3").code == 0
    assert len(answers.asked) == 1
    assert answers.asked[0].headers["prefer"] == "wait=3"


@pytest.mark.parametrize("status", ["bounced", "rejected", "failed", "expired", "canceled"])
def test_a_mail_that_did_not_arrive_is_1(send: Run, answers: Answers, status: str) -> None:
    answers.will(202, notification("sent", status))
    outcome = send(*HELLO, "--wait")
    assert outcome.code == 1
    assert f"{status} 1@x.example" in outcome.out


def test_a_time_that_is_over_is_1(send: Run, answers: Answers) -> None:
    answers.will(202, notification("queued", final=False))
    outcome = send(*HELLO, "--wait", "--timeout", "0")
    assert (outcome.code, outcome.out) == (1, "ntf_1\nqueued 0@x.example\n")
    assert "The time is over" in outcome.err


def test_the_whole_answer_is_json_if_that_is_asked_for(send: Run, answers: Answers) -> None:
    answers.will(202, notification("sent"))
    outcome = send(*HELLO, "--json", "--wait")
    assert json.loads(outcome.out) == notification("sent")


PROBLEM = {
    "title": "It does not fit",
    "detail": "1 field does not fit.",
    "code": "validation_failed",
    "errors": [{"pointer": "/to/0", "code": "bad_syntax", "detail": "No @ in \x1b[31mit."}],
}


def test_a_refusal_is_told_field_by_field(send: Run, answers: Answers) -> None:
    answers.will(422, PROBLEM)
    outcome = send(*HELLO)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "notifier: 1 field does not fit (validation_failed).\n  /to/0: No @ in \\x1b[31mit.\n"
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"detail": "No key.", "code": "unauthenticated"}, "Give a key with --key-file"),
        (403, {"detail": "Not allowed.", "code": "forbidden"}, "Not allowed (forbidden)"),
        (429, {"detail": "Later.", "code": "rate_limited"}, "Later. (rate_limited)"),
        (503, {"title": "Away", "code": "unavailable"}, "Away (unavailable)"),
        (500, b"<h1>Oops</h1>", "answered 500, and not as Notifier does"),
        (404, b"[]", "answered 404, and not as Notifier does"),
        (200, b"<h1>Somebody else</h1>", "is not Notifier"),
        (200, b'{"hello": 1}', "is not Notifier"),
    ],
)
def test_whatever_is_answered_is_a_sentence(
    send: Run, answers: Answers, status: int, body: object, said: str
) -> None:
    answers.will(status, body)
    outcome = send(*HELLO)
    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err


def test_the_key_is_not_sent_where_it_was_not_meant_to_go(send: Run, answers: Answers) -> None:
    answers.will(307, b"", Location=f"http://localhost:{answers.port}/elsewhere")
    assert "answered 307" in send(*HELLO, "--key", "ntf_live_x").err
    assert len(answers.asked) == 1


def test_nobody_there_is_said_with_what_to_do(run: Run) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outcome = run("send", *HELLO, "--url", f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert outcome.code == 1
    assert "start it with `notifier dev`" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --template, or --subject with"),
        (("--subject", "x"), "give --template, or --subject with"),
        (("--text", "x"), "give --template, or --subject with"),
        (("--template", "t", "--text", "x"), "brings subject, text and html itself"),
        (("--subject", "x", "--text", "y", "--var", "a=b"), "belongs to --template"),
        (("--subject", "x", "--text", "y", "--locale", "de"), "belongs to --template"),
        (("--subject", "x", "--text", "-", "--html", "-"), "only one can be standard input"),
        (("--template", "t", "--var", "name"), "write name=text"),
        (("--template", "t", "--var", "=x"), "write name=text"),
        (("--template", "t", "--var", "n:=x"), "followed by JSON"),
        (("--template", "t", "--url", "localhost:8000"), "write it as https://"),
        (("--template", "t", "--url", "http://me:pw@h"), "write it as https://"),
        (("--template", "t", "--url", "http://[::1"), "write it as https://"),
        (("--template", "t", "--key", "a", "--key-file", "b"), "give one of the two"),
        (("--template", "t", "--key", "a\nb"), "is no API key"),
        (("--template", "t", "--key-file", "/nowhere"), "cannot be read"),
        (("--template", "t", "--idempotency-key", "é"), "printable ASCII"),
        (("--template", "t", "--timeout", "-1"), "--timeout"),
    ],
)
def test_a_call_that_cannot_be_meant_is_2(words: tuple[str, ...], said: str, run: Run) -> None:
    where = () if "--url" in words else ("--url", "http://127.0.0.1:1")
    outcome = run("send", "ada@x.example", *words, *where)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
