"""`mail.toml` is read strictly, and every mistake in it is named."""

import pytest

from notifier.compose.contract import read_contract
from notifier.compose.urls import is_safe_url
from notifier.core.address import Mailbox
from notifier.core.errors import Misconfigured

FULL = """
description = "d"
locale = "en"
stream = "urgent"
life_s = 60
sender = "Shop <shop@example.org>"
preheader = "p {{ a }}"
[locales.de]
preheader = "q"
[variables.a]
[variables.b]
type = "integer"
default = 3
[variables.c]
type = "url"
required = false
untrusted = true
secret = true
"""


def test_a_full_contract_is_read() -> None:
    contract = read_contract("mail", FULL, "mail.toml")
    assert (contract.stream, contract.life_s) == ("urgent", 60)
    assert contract.sender == Mailbox("shop@example.org", "Shop")
    assert contract.preheaders == {"en": "p {{ a }}", "de": "q"}
    a, b, c = contract.variables.values()
    assert (a.type, a.required) == ("string", True)
    assert (b.type, b.required, b.default) == ("integer", False, 3)
    assert (c.required, c.untrusted, c.secret) == (False, True, True)
    assert contract.secret


def test_an_empty_contract_is_one() -> None:
    contract = read_contract("mail", "", "mail.toml")
    assert (contract.stream, contract.secret, dict(contract.variables)) == (
        "transactional",
        False,
        {},
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = \nb = 1", "line 1"),
        ("steam = 'bulk'", 'there is no key "steam". Did you mean "stream"?'),
        ("stream = 'fast'", "stream must be one of urgent, transactional, bulk."),
        ("life_s = 'long'", "life_s must be of type number."),
        ("life_s = 0", "life_s must be a number of seconds above 0."),
        ("life_s = nan", "life_s must be a number of seconds above 0."),
        ("sender = 'nobody'", "sender is not an address."),
        ("sender = 5", "sender must be of type string."),
        ("preheader = 5", "preheader must be of type string."),
        ("locales = 5", "locales must be of type object."),
        ("locales.de = 5", "[locales.de] holds exactly one key"),
        ("[locales.de]\npreheader = 1", "locales.de.preheader must be of type string."),
        ("variables = []", "variables must be of type object."),
        ("variables.a = 1", "variables.a must be a table"),
        ("[variables.A]", "variables.A is not a name"),
        ("[variables.brand]", "variables.brand is not a name"),
        ("[variables.a]\ntyp = 'string'", 'no key "variables.a.typ". Did you mean "type"?'),
        ("[variables.a]\ntype = 'text'", "variables.a.type must be one of string"),
        ("[variables.a]\ntype = []", "variables.a.type must be one of string"),
        ("[variables.a]\nrequired = 1", "variables.a.required must be of type boolean."),
        ("[variables.a]\ndefault = 1", "variables.a.default must be of type string."),
        ("[variables.a]\ntype = 'url'\ndefault = 'x'", "variables.a.default must be of type url."),
        ("[variables.a]\ntype='integer'\ndefault = true", "variables.a.default must be of type"),
        ("[variables.a]\nrequired = true\ndefault = 'x'", "its default would never be used"),
    ],
)
def test_a_mistake_is_named_with_its_file(text: str, problem: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read_contract("mail", text, "x/mail.toml")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("x/mail.toml: ")
    assert problem in caught.value.problems[0]


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        read_contract("mail", "x = 1\ny = 2\nlife_s = -1", "mail.toml")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://127.0.0.1:8000/confirm?t=a#b",
        "HTTPS://Example.ORG/ä?q=1&r=2",
        "mailto:jane@example.org?subject=x",
    ],
)
def test_a_link_to_the_web_or_to_a_mailbox_is_safe(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "/path",
        "//example.org",
        "https://",
        "https:example.org",
        "https:///x",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        " https://example.org",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "https://bank.example@evil.test/",
        "https://bank.example\\@evil.test/",
        "https://exam ple.org",
        "https://example.org/a b",
        "https://example.org/\n",
        "https://example.org/\x00",
        "https://example.org/\u202egro",
        "https://example.org/\ud800",
        'https://example.org/"onclick=x',
        "https://example.org/<b>",
        "https://example.org/" + "a" * 4000,
        "mailto:",
    ],
)
def test_any_other_link_is_refused(url: str) -> None:
    assert not is_safe_url(url)
