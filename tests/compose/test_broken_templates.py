"""A broken template stops the start, not a mail: every mistake with its file, all at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.compose.catalogue import Catalogue
from notifier.core.errors import Misconfigured
from notifier.settings.sections import BrandSettings
from tests.compose.conftest import Load


def problems(load: Load, changes: Mapping[str, str | None]) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        load(changes)
    return list(caught.value.problems)


BROKEN: list[tuple[Mapping[str, str | None], str]] = [
    ({"body.txt": "a\n{% endif %}\nb"}, "mail/body.txt:2: "),
    ({"body.txt": "a\n\n{{ who|shout }}"}, "mail/body.txt:3: No filter named 'shout'."),
    ({"body.txt": "{{ woh }}"}, 'woh is not declared in mail.toml. Did you mean "who"?'),
    ({"body.txt": "a\n{{ who.name.first }}"}, "mail/body.txt:2: "),
    ({"body.txt": "a\n{{ link }}"}, "mail/body.txt:2: an optional variable is printed"),
    ({"body.txt": "{% for i in range(9) %}{% endfor %}"}, "range is not declared"),
    ({"subject.txt": "a\nb"}, "Remove control characters and line breaks"),
    ({"subject.txt": "  \n"}, "The subject is empty"),
    ({"mail.toml": 'preheader = "{{ x }}"\n[variables.who]'}, "preheader: x is not declared."),
    ({"mail.toml": 'preheader = "{% if %}"\n[variables.who]'}, "preheader: "),
    ({"mail.toml": "x = 1"}, 'mail/mail.toml: there is no key "x".'),
    ({"samples/two.json": "{"}, "two.json: not JSON"),
    ({"samples/two.json": "[]"}, "two.json: must hold an object"),
    ({"samples/two.json": "{}"}, "two.json: /template/variables/who: "),
    ({"fr_FR/x": ""}, "is neither samples nor a locale"),
    ({"de/subject.txt": "a", "de/body.txt": "b"}, "de has no body.html, but the default has."),
    ({"de/subject.txt": "a", "de/body.html": "b"}, "de/body.txt cannot be read"),
    ({"../Bad/mail.toml": ""}, "name a mail in lower case"),
    ({"../empty/x": ""}, "empty/mail.toml cannot be read"),
    ({"body.txt": "x" * 300_000}, "is over 256 kB."),
    ({"body.txt": '{% extends "_nowhere.txt" %}'}, "_nowhere.txt"),
    ({"body.txt": '{% include "mail/body.txt" %}'}, "go round in a circle"),
    ({"body.txt": '{% extends "_base.txt" %}lost'}, "beside extends"),
    ({"body.html": "<a href={{ link }}>x</a>"}, "an attribute's quotes"),
    ({"body.html": "<p {{ who }}>x</p>"}, "an attribute's quotes"),
    ({"body.html": "<p{{ who }}>x</p>"}, "an attribute's quotes"),
    ({"body.html": "<script>x</script>"}, "<script> does not work"),
    ({"body.html": "<p onclick='x'>x</p>"}, "remove onclick"),
    ({"body.html": "<link rel='stylesheet' href='https://x.org/a.css'>"}, "<link>"),
    ({"body.html": "<div>" * 300}, "nested deeper than 200"),
    ({"body.html": "<table><tr><td>x</td></tr></table>"}, "write <tbody>"),
    ({"body.html": "<p>a</p></h{{ who }}>"}, "a tag's name cannot come from a variable"),
    ({"body.html": '<style data-css-inline="keep">p {'}, "a <style> has no end."),
    ({"body.html": "<p style='{'>a</p><style>p { color: red }</style>"}, "the CSS cannot be read"),
    ({"body.html": '{% include "_big.html" %}' * 3, "../_big.html": "x" * 200_000}, "over 512 kB"),
    ({"body.html": "<p>a<div>b</p>"}, "not well formed"),
    ({"body.html": "<style>p { {% if who %}color: red{% endif %} }</style>"}, "only {{ }}"),
    ({"body.html": "<a href='{% if link %}{{ link }}{% endif %}'>x</a>"}, "around the whole"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "problem"), BROKEN)
def test_a_broken_template_stops_the_start_and_says_where(
    load: Load, changes: Mapping[str, str | None], problem: str
) -> None:
    found = problems(load, changes)
    assert any(problem in each for each in found), found


def test_all_broken_templates_are_named_at_once(load: Load) -> None:
    found = problems(
        load, {"body.txt": "{{ x }}", "body.html": "{% if %}", "subject.txt": "{{ y }}"}
    )
    assert len(found) == 3


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        Catalogue.load([tmp_path / "nowhere"], BrandSettings(), public_url=None)
    assert "nowhere is not a folder" in caught.value.problems[0]


def test_bytes_that_are_not_utf8_are_named_with_their_line(load: Load, tmp_path: Path) -> None:
    load()
    (tmp_path / "own/mail/body.txt").write_bytes(b"a\nb\n\xff")
    with pytest.raises(Misconfigured) as caught:
        Catalogue.load([tmp_path / "own"], BrandSettings(), public_url=None)
    assert caught.value.problems[0].endswith("mail/body.txt:3: not UTF-8.")
