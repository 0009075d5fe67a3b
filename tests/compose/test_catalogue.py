"""Templates are proven at load; afterwards a mail is right or refused, with a pointer."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.compose.catalogue import Catalogue, Rendered
from notifier.core.errors import Invalid, Misconfigured
from notifier.settings.sections import BrandSettings
from tests.compose.conftest import MAIL, Files, Load


def refused(catalogue: Catalogue, variables: Mapping[str, object]) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        catalogue.render("mail", variables)
    return [(error.pointer, error.code) for error in caught.value.errors]


def render(catalogue: Catalogue, locale: str | None = None, **variables: object) -> Rendered:
    return catalogue.render("mail", {"who": "Jane", **variables}, locale=locale)


def test_html_is_escaped_and_text_is_not(load: Load) -> None:
    rendered = render(load(), who="<b>&\"'")
    assert rendered.html is not None
    assert "<p>&lt;b&gt;&amp;&#34;&#39; &amp; co</p>" in rendered.html
    assert rendered.text == "Dear <b>&\"' & co\n"
    assert rendered.subject == "Hello <b>&\"'"


def test_what_the_template_says_about_the_mail_is_handed_on(load: Load) -> None:
    toml = "stream = 'urgent'\nlife_s = 60\nsender = 'a@x.org'\n" + MAIL["mail.toml"]
    rendered = render(load({"mail.toml": toml + "secret = true"}))
    assert (rendered.stream, rendered.life_s, rendered.secret) == ("urgent", 60, True)
    assert rendered.sender is not None
    assert rendered.sender.address == "a@x.org"
    assert (rendered.template, rendered.locale) == ("mail", "en")


def test_all_variables_are_checked_at_once(load: Load) -> None:
    given = {"wo": "x", "link": "javascript:x", "items": {}, "a/b~c": 1, "\ud800": 1}
    assert refused(load(), given) == [
        ("/template/variables/wo", "unknown"),
        ("/template/variables/a~1b~0c", "unknown"),
        ("/template/variables", "unknown"),
        ("/template/variables/who", "missing"),
        ("/template/variables/link", "bad_url"),
        ("/template/variables/items", "wrong_type"),
    ]


def test_an_unknown_variable_is_told_its_nearest(load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        render(load(), itmes=[])
    assert 'Did you mean "items"?' in caught.value.errors[0].detail


def test_an_unknown_template_is_told_its_nearest(load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        load().render("mial", {})
    (error,) = caught.value.errors
    assert (error.pointer, error.code) == ("/template/name", "unknown_template")
    assert 'Did you mean "mail"?' in error.detail


TYPED = [
    ("string", "a", None),
    ("string", "a\nb\tc", None),
    ("string", 1, "wrong_type"),
    ("string", True, "wrong_type"),
    ("string", ["a"], "wrong_type"),
    ("string", None, "missing"),
    ("string", "", "blank"),
    ("string", " \n", "blank"),
    ("string", "a\x00", "control_character"),
    ("string", "a\x1b[0m", "control_character"),
    ("string", "a\ud800", "lone_surrogate"),
    ("integer", 1, None),
    ("integer", 10**30, None),
    ("integer", 1.0, "wrong_type"),
    ("integer", True, "wrong_type"),
    ("integer", "1", "wrong_type"),
    ("number", 1, None),
    ("number", 1.5, None),
    ("number", float("nan"), "wrong_type"),
    ("number", float("inf"), "wrong_type"),
    ("number", False, "wrong_type"),
    ("boolean", False, None),
    ("boolean", 0, "wrong_type"),
    ("url", "https://example.org/ä?b=c", None),
    ("url", "ftp://example.org", "bad_url"),
    ("url", "", "bad_url"),
    ("url", "https://example.org/\n", "bad_url"),
    ("list", [], None),
    ("list", [1, ["a"], {"b": None}], None),
    ("list", "a", "wrong_type"),
    ("list", [{"a": ["\x00"]}], "control_character"),
    ("list", [{"a\ud800": 1}], "lone_surrogate"),
    ("list", [float("nan")], "wrong_type"),
    ("list", [[[[[[[[[1]]]]]]]]], "too_deep"),
    ("object", {"a": 1}, None),
    ("object", [], "wrong_type"),
]


@pytest.mark.parametrize(("kind", "value", "code"), TYPED)
def test_a_variable_has_its_type_or_is_refused(
    load: Load, kind: str, value: object, code: str | None
) -> None:
    toml = f"{MAIL['mail.toml']}\n[variables.v]\ntype = '{kind}'\n"
    samples = {"string": "a", "url": "https://x.org", "list": [], "object": {}, "boolean": True}
    sample = {"who": "Jane", "v": samples.get(kind, 1)}
    catalogue = load({"mail.toml": toml, "samples/one.json": json.dumps(sample)})
    if code is None:
        assert render(catalogue, v=value).subject == "Hello Jane"
    else:
        assert refused(catalogue, {"who": "Jane", "v": value}) == [("/template/variables/v", code)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Robin", None),
        ("a" * 65, "too_long"),
        ("see evil.com", "url_like"),
        ("a\nb", "control_character"),
        ("a\u202eb", "bidi_character"),
    ],
)
def test_a_strangers_text_is_held_short(load: Load, value: str, code: str | None) -> None:
    toml = MAIL["mail.toml"].replace("[variables.who]", "[variables.who]\nuntrusted = true")
    catalogue = load({"mail.toml": toml})
    if code is None:
        assert value in render(catalogue, who=value).text
    else:
        assert refused(catalogue, {"who": value}) == [("/template/variables/who", code)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Jane\r\nBcc: evil@x.org", "control_character"),
        ("Jane\nBcc: evil@x.org", "control_character"),
        ("Jane\u2028Bcc", "control_character"),
        ("=?utf-8?q?hello=0ABcc:_evil@x?=", "encoded_word"),
    ],
)
def test_a_header_cannot_be_smuggled_through_the_subject(load: Load, value: str, code: str) -> None:
    assert refused(load(), {"who": value}) == [("/template/variables/who", code)]


def test_an_encoded_word_made_of_two_innocent_halves_is_refused(load: Load) -> None:
    catalogue = load({"subject.txt": "=?utf-8?q?{{ who }}{{ link or '' }}"})
    assert refused(catalogue, {"who": "=0ABcc:_evil@x?="}) == [
        ("/template/variables", "encoded_word")
    ]


def test_a_line_break_that_is_not_for_the_subject_is_welcome(load: Load) -> None:
    toml = MAIL["mail.toml"] + "[variables.more]\nrequired = false"
    catalogue = load({"mail.toml": toml, "body.txt": "{{ more or '' }}"})
    assert render(catalogue, more="a\nb").text == "a\nb\n"


@pytest.mark.parametrize("items", [["x"], [1], [{"title": "x"}], [None]])
def test_a_value_of_another_shape_is_refused_not_a_traceback(load: Load, items: object) -> None:
    assert refused(load(), {"who": "Jane", "items": items}) == [
        ("/template/variables", "render_failed")
    ]


def test_a_link_that_is_hidden_in_a_list_is_guarded_too(load: Load) -> None:
    html = "<html><body>{% for i in items %}<a href='{{ i.name }}'>x</a>{% endfor %}</body></html>"
    sample = MAIL["samples/one.json"].replace('"a"', '"https://example.org"')
    catalogue = load({"body.html": html, "samples/one.json": sample})
    evil = [{"name": "javascript:alert(1)"}]
    assert refused(catalogue, {"who": "Jane", "items": evil}) == [
        ("/template/variables/items", "bad_url")
    ]


def test_a_mail_that_grows_without_bound_is_refused(load: Load) -> None:
    text = "{% for a in items %}{% for b in items %}{{ who }}{% endfor %}{% endfor %}"
    catalogue = load({"body.txt": "x" + text})
    many = [{"name": "x"}] * 2000
    assert refused(catalogue, {"who": "Jane", "items": many}) == [
        ("/template/variables", "too_long")
    ]


LOCALES = {
    "de/subject.txt": "Hallo {{ who }}",
    "de/body.txt": "Liebe {{ who }}",
    "de/body.html": "<html><body><p>Liebe {{ who }}</p></body></html>",
    "pt-BR/subject.txt": "Oi {{ who }}",
    "pt-BR/body.txt": "Oi {{ who }}",
    "pt-BR/body.html": "<html><body><p>Oi {{ who }}</p></body></html>",
}


@pytest.mark.parametrize(
    ("locale", "subject"),
    [
        (None, "Hello Jane"),
        ("de", "Hallo Jane"),
        ("DE", "Hallo Jane"),
        ("de-AT", "Hallo Jane"),
        ("de_CH", "Hallo Jane"),
        ("de-Latn-AT", "Hallo Jane"),
        ("pt-br", "Oi Jane"),
        ("pt", "Hello Jane"),
        ("pt-PT", "Hello Jane"),
        ("en-GB", "Hello Jane"),
        ("fr", "Hello Jane"),
    ],
)
def test_the_nearest_language_is_taken(load: Load, locale: str | None, subject: str) -> None:
    assert render(load(LOCALES), locale).subject == subject


@pytest.mark.parametrize("locale", ["", "d", "../de", "de/..", "de\n", "x" * 40, "de-AT-x" * 10])
def test_a_locale_that_is_no_language_tag_is_refused(load: Load, locale: str) -> None:
    with pytest.raises(Invalid) as caught:
        render(load(LOCALES), locale)
    assert caught.value.errors[0].pointer == "/template/locale"


CHANGES: list[Files] = [
    {"mail.toml": MAIL["mail.toml"] + "\n# note"},
    {"subject.txt": "Hi {{ who }}"},
    {"body.txt": "Hi {{ who }}"},
    {"body.html": "<html><body><p>Hi {{ who }}</p></body></html>"},
    {"../_base.html": "<html><body>{% block content %}{% endblock %}<hr></body></html>"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_version_changes_with_every_file_that_has_a_part(load: Load, change: Files) -> None:
    before = render(load()).version
    assert before == render(load()).version
    assert render(load(change)).version != before


def test_the_version_changes_with_language_and_brand(load: Load, tmp_path: Path) -> None:
    catalogue = load(LOCALES)
    brand = BrandSettings(name="Other")
    other = Catalogue.of_dirs([tmp_path / "own"], brand, public_url=None)
    versions = {render(catalogue).version, render(catalogue, "de").version, render(other).version}
    assert len(versions) == 3


def test_an_own_mail_replaces_the_shipped_one_as_a_whole(load: Load, tmp_path: Path) -> None:
    load({f"../welcome/{name}": text for name, text in MAIL.items()})
    catalogue = Catalogue.load([tmp_path / "own"], BrandSettings(), public_url=None)
    assert catalogue.render("welcome", {"who": "Jane"}).subject == "Hello Jane"
    assert catalogue.render("welcome", {"who": "Jane"}, locale="de").subject == "Hello Jane"


def test_an_own_base_dresses_the_shipped_mails(load: Load, tmp_path: Path) -> None:
    base = "<html><body><h6>ours</h6>{% block content %}{% endblock %}</body></html>"
    load({"../_base.html": base})
    catalogue = Catalogue.load([tmp_path / "own"], BrandSettings(), public_url=None)
    rendered = catalogue.render("welcome", {})
    assert rendered.html is not None
    assert "<h6>ours</h6>" in rendered.html


def test_a_logo_may_be_a_path_below_the_public_url() -> None:
    brand = BrandSettings(logo="/logo.png")
    html = Catalogue.load([], brand, public_url="https://x.org/app").render("welcome", {}).html
    assert html is not None
    assert 'src="https://x.org/logo.png"' in html


def test_a_brand_that_cannot_be_linked_is_refused() -> None:
    brand = BrandSettings(url="example.org", logo="logo.png")
    with pytest.raises(Misconfigured) as caught:
        Catalogue.load([], brand, public_url=None)
    assert len(caught.value.problems) == 2
