"""Inheritance is resolved and CSS inlined once, and neither changes what a mail says."""

from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest

from notifier.compose.brand import Brand, make_brand
from notifier.compose.environment import compile_source, is_html, make_environment
from notifier.compose.inlining import inline_css
from notifier.compose.merge import MergeError, merged, source_of
from notifier.compose.sources import Source, Tree
from notifier.settings.sections import BrandSettings

Render = Callable[..., str]
BRAND: Brand = make_brand(BrandSettings(), public_url=None)


def environment_of(files: dict[str, str]) -> jinja2.Environment:
    tree = Tree(shared={name: Source(name, Path(name), text) for name, text in files.items()})
    return make_environment(tree, BRAND)


def render(files: dict[str, str], name: str, **values: object) -> str:
    """The output of the merged template, proven equal to what Jinja itself makes of the files."""
    environment = environment_of(files)
    source = source_of(merged(environment, name))
    output = compile_source(environment, source, name, name).render(values)
    assert output == environment.get_template(name).render(values)
    return output


def inlined(html: str, **values: object) -> str:
    environment = environment_of({"a.html": html})
    source = inline_css(merged(environment, "a.html"))
    return compile_source(environment, source, "a.html", "a.html").render(values)


BASE = "<{% block a %}A{% block b %}B{% endblock %}{% endblock %}|{% block c %}C{% endblock %}>\n"


@pytest.mark.parametrize(
    ("child", "output"),
    [
        ("", "<AB|C>"),
        ("{% block c %}c{% endblock %}", "<AB|c>"),
        ("{% block b %}b{{ super() }}{% endblock %}", "<AbB|C>"),
        ("{% block a %}[{{ super() }}]{% endblock %}{% block b %}b{% endblock b %}", "<[Ab]|C>"),
        ("{% set x = 1 %}\n{% block c %}{{ x }}{% endblock %}", "<AB|1>"),
        (
            "{#n#}\n{% block c %}\n {%- if 1 %} yes {%- endif -%}\n{% endblock %}\n",
            "<AB| yes>",
        ),
        ("{% block c %}{% raw %}{{ x }}{% endraw %}{% endblock %}", "<AB|{{ x }}>"),
        ("{% block c %}{{ '%}' }}{{ \"{% block a %}\" }}{% endblock %}", "<AB|%}{% block a %}>"),
    ],
)
def test_inheritance_means_what_it_means_in_jinja(child: str, output: str) -> None:
    files = {"base.txt": BASE, "a.txt": '{% extends "base.txt" %}\n' + child}
    assert render(files, "a.txt").strip() == output


def test_a_grandchild_fills_blocks_of_its_grandparent() -> None:
    files = {
        "base.txt": BASE,
        "mid.txt": '{% extends "base.txt" %}'
        "{% block a %}m{% block d %}D{% endblock %}{% endblock %}",
        "a.txt": '{% extends "mid.txt" %}{% block d %}d{{ super() }}{% endblock %}'
        "{% block c %}c{% endblock %}",
    }
    assert render(files, "a.txt").strip() == "<mdD|c>"


def test_an_include_sees_what_was_set_before_it() -> None:
    files = {"part.txt": "[{{ x }}]", "a.txt": '{% set x = 1 %}{% include "part.txt" %}'}
    assert render(files, "a.txt") == "[1]"


def test_an_include_whose_name_is_computed_is_refused() -> None:
    with pytest.raises(MergeError):
        merged(environment_of({"a.txt": "{% include x %}"}), "a.txt")


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("a.html", True), ("x/body.html", True), ("a.html.j2", True), (None, True), ("a.txt", False)],
)
def test_everything_but_text_is_escaped(name: str | None, escaped: bool) -> None:
    assert is_html(name) is escaped
    environment = environment_of({})
    assert (environment.autoescape(name) if callable(environment.autoescape) else None) is escaped


def test_css_is_written_into_the_elements() -> None:
    html = inlined("<style>p.x { color: red }</style><p class='x'>a</p><p>b</p>")
    assert '<p class="x" style="color: red;">a</p><p>b</p>' in html
    assert "<style>" not in html


def test_media_queries_stay() -> None:
    html = inlined("<style>@media (max-width: 9px) { p { color: red } }</style><p>a</p>")
    assert "@media (max-width: 9px)" in html


def test_a_kept_style_stays_word_for_word() -> None:
    kept = ":root{color-scheme:light dark}p{color:{{ brand.color }}}"
    html = inlined(f'<html><head><style data-css-inline="keep">{kept}</style></head><p>a</p>')
    assert "<style>:root{color-scheme:light dark}p{color:#3b5bdb}</style>" in html
    assert "<p>a</p>" in html


def test_a_variable_in_css_reaches_every_element() -> None:
    html = inlined("<style>p, i { color: {{ brand.color }} }</style><p>a</p><i>b</i>")
    assert html.count("color: #3b5bdb") == 2


def test_tags_keep_their_place_between_table_rows() -> None:
    html = inlined(
        "<style>td { color: red }</style><table><tbody>"
        "{% for row in rows %}<tr><td>{{ row }}</td></tr>{% endfor %}</tbody></table>",
        rows=["1", "2"],
    )
    row = '<tr><td style="color: red;">{}</td></tr>'
    assert f"<tbody>{row.format(1)}{row.format(2)}</tbody>" in html


def test_variables_in_attributes_and_titles_stay_and_are_escaped() -> None:
    html = inlined(
        "<html><head><title>{{ x }}</title></head>"
        '<body><p title="a {{ x }}" style="width: {{ n }}px">b</p></body></html>',
        x='<"&',
        n=7,
    )
    assert "<title>&lt;&#34;&amp;</title>" in html
    assert 'title="a &lt;&#34;&amp;"' in html
    assert "7px" in html


@pytest.mark.parametrize("attribute", ["href", "src", "HREF"])
@pytest.mark.parametrize("tag", ["{{ u }}", "{{- u -}}", "{{u}}", "{{ u or u }}", "{{ u }}#x"])
def test_an_address_from_a_variable_is_guarded(attribute: str, tag: str) -> None:
    html = f'<a {attribute}="{tag}">x</a>'
    assert "https://x.org/?a=1&amp;b=2" in inlined(html, u="https://x.org/?a=1&b=2")
    with pytest.raises(ValueError, match="not an https"):
        inlined(html, u="javascript:alert(1)")


def test_remote_and_local_stylesheets_are_never_fetched(tmp_path: Path) -> None:
    sheet = tmp_path / "a.css"
    sheet.write_text("p { color: red }", "utf-8")
    html = inlined(f'<style>@import url("file://{sheet}");</style><p>a</p>')
    assert "<p>a</p>" in html
