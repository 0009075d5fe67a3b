"""The mails that come with Notifier: complete, readable, and quiet about who signs up."""

import re
from collections.abc import Iterator

import pytest

from notifier.compose.catalogue import Catalogue, Rendered, shipped_templates_dir
from notifier.compose.contract import did_you_mean
from notifier.compose.html_tokens import attributes, tokens
from notifier.compose.plain import html_to_text
from notifier.core.contrast import AA_RATIO, contrast
from notifier.settings.sections import BrandSettings

CATALOGUE = Catalogue.load([], BrandSettings(), public_url=None)
GMAIL_CLIPS_AT = 102 * 1024


def all_mails() -> Iterator[tuple[str, Rendered]]:
    """Every shipped mail with every sample in every language."""
    for name in CATALOGUE.names():
        template = CATALOGUE.get(name)
        for sample, variables in template.samples.items():
            for locale in template.variants:
                rendered = CATALOGUE.render(name, variables, locale=locale)
                yield f"{name}-{sample}-{locale}", rendered


MAILS = dict(all_mails())


@pytest.fixture(params=MAILS)
def mail(request: pytest.FixtureRequest) -> Rendered:
    return MAILS[request.param]


def html_of(rendered: Rendered) -> str:
    assert rendered.html is not None
    return rendered.html


def test_the_first_mails_are_there() -> None:
    assert {"notification", "verify_email", "welcome"} <= set(CATALOGUE.names())


@pytest.mark.parametrize("name", ["verify_email", "welcome"])
def test_registration_speaks_german(name: str) -> None:
    template = CATALOGUE.get(name)
    variables = next(iter(template.samples.values()))
    rendered = CATALOGUE.render(name, variables, locale="de-AT")
    assert rendered.locale == "de"
    assert 'lang="de"' in html_of(rendered)
    assert "Ihre" in rendered.text


def test_every_mail_has_a_folder_text_and_a_sample() -> None:
    for name in CATALOGUE.names():
        folder = shipped_templates_dir() / name
        assert (folder / "body.txt").is_file()
        assert list(folder.glob("samples/*.json"))


def test_a_mail_is_not_clipped(mail: Rendered) -> None:
    assert len(html_of(mail).encode()) < GMAIL_CLIPS_AT


def test_a_mail_names_its_language_and_its_pictures(mail: Rendered) -> None:
    found = [
        (token.value, {a.name: a.text for a in attributes(token)})
        for token in tokens(html_of(mail))
        if token.kind == "start"
    ]
    assert next(given for name, given in found if name == "html")["lang"] == mail.locale
    assert all("alt" in given for name, given in found if name == "img")
    tables = [given for name, given in found if name == "table"]
    assert all(given.get("role") == "presentation" for given in tables)


def test_a_mail_loads_nothing_by_itself(mail: Rendered) -> None:
    assert not re.search(r"@import|url\(|<link|<script|<iframe", html_of(mail))


def test_a_mail_knows_the_dark(mail: Rendered) -> None:
    assert "prefers-color-scheme: dark" in html_of(mail)
    assert '<meta name="color-scheme" content="light dark">' in html_of(mail)


def test_text_and_html_say_the_same(mail: Rendered) -> None:
    # The same words but for the fallback link, and the code and links of both.
    for fact in re.findall(r"https?://\S+|\b\d{6}\b", mail.text):
        assert fact in html_to_text(html_of(mail))
    assert mail.text.splitlines()[0]


def test_no_tag_is_left_over(mail: Rendered) -> None:
    for words in (mail.subject, mail.text, html_of(mail)):
        assert not re.search(r"\{\{|\{%|zq\d+qz|\bNone\b", words)


@pytest.mark.parametrize("locale", ["en", "de"])
def test_the_confirmation_carries_link_code_and_both_lives(locale: str) -> None:
    link = "https://x.org/confirm?t=abc&x=1"
    rendered = CATALOGUE.render("verify_email", {"link": link, "code": "481927"}, locale=locale)
    for words in (rendered.text, html_to_text(html_of(rendered))):
        assert link in words
        assert "481927" in words
        assert re.search(r"24 (hours|Stunden)", words)
        assert re.search(r"15 (minutes|Minuten)", words)
        assert re.search(r"If this was not you|Falls Sie das nicht waren", words)
    assert rendered.secret
    assert rendered.stream == "urgent"
    assert "481927" not in rendered.subject


def test_the_confirmation_has_no_room_for_a_strangers_words() -> None:
    variables = CATALOGUE.get("verify_email").contract.variables
    assert {name for name, each in variables.items() if each.type == "string"} == {"code"}
    assert not any(each.untrusted for each in variables.values())


def test_only_the_confirmation_is_secret() -> None:
    secret = {name for name in CATALOGUE.names() if CATALOGUE.get(name).contract.secret}
    assert secret == {"verify_email"}


def test_a_message_keeps_its_paragraphs_and_lines() -> None:
    variables = {"title": "T", "message": "one\ntwo\n\n\nthree <b>"}
    rendered = CATALOGUE.render("notification", variables)
    assert html_to_text(html_of(rendered)).split("\n\n")[1:4] == [
        "T", "one\ntwo", "three <b>"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "color", ["#3b5bdb", "#ffffff", "#000000", "#ffdd00", "#797979", "#1c1e24"]
)
def test_a_button_can_be_read_in_every_brand_colour(color: str) -> None:
    catalogue = Catalogue.load([], BrandSettings(color=color), public_url=None)
    html = html_of(catalogue.render("verify_email", {"link": "https://x.org", "code": "481927"}))
    button = re.search(r'<td class="button"[^>]*bgcolor="(#\w{6})".*?<a [^>]*color: (#\w{6})', html)
    assert button is not None
    assert contrast(button[1], button[2]) >= AA_RATIO


def test_brand_name_url_and_address_stand_in_both_versions() -> None:
    brand = BrandSettings(name="Käserei & Co", url="https://x.org", address="Gasse 1, Bern")
    rendered = Catalogue.load([], brand, public_url=None).render("welcome", {})
    for words in (rendered.text, html_to_text(html_of(rendered))):
        assert all(part in words for part in ("Käserei & Co", "https://x.org", "Gasse 1, Bern"))
    assert rendered.subject == "Welcome to Käserei & Co"


def test_a_near_name_is_only_offered_when_it_is_near() -> None:
    assert did_you_mean("verify_mail", CATALOGUE.names()) == ' Did you mean "verify_email"?'
    assert not did_you_mean("xyz", CATALOGUE.names())
