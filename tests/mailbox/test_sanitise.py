"""What is left of hostile HTML, and what stays of honest HTML."""

import time

import pytest

from notifier.mailbox.markup import End, Raw, Start, Text, tokens
from notifier.mailbox.sanitise import sanitise


def shown(html: str, *, load_remote: bool = False) -> str:
    return sanitise(html, {"a@b": "/own/1"}.get, load_remote=load_remote).html


GONE = {
    "script": "<script>alert(1)</script>x",
    "script with a lie": "<script><!--<script></script>--></script>x",
    "unclosed script": "x<script>alert(1)",
    "handler": "<p onclick=alert(1)>x</p>",
    "iframe": "<iframe src=//evil.example></iframe>x",
    "object": "<object data=//evil.example><embed src=//evil.example></object>x",
    "meta refresh": "<meta http-equiv=refresh content='0;url=//evil.example'>x",
    "meta refresh in disguise": "<meta name=viewport http-equiv=refresh content=evil>x",
    "base": "<base href=//evil.example>x",
    "hints": "<link rel=preconnect href=//evil.example><link rel=stylesheet href=//evil.example>x",
    "svg": "<svg><script>alert(1)</script><image href=//evil.example /></svg>x",
    "math": "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>x",
    "form": "<form action=//evil.example><input name=a><button>x</button></form>",
    "script url": "<a href='javascript:alert(1)'>x</a>",
    "script url with a tab": "<a href=' java\tscript:alert(1)'>x</a>",
    "data url": "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "srcdoc": "<p srcdoc='<script>alert(1)</script>'>x</p>",
    "style breakout": "<style></sty<style></style><img src=x onerror=alert(1)>x",
    "noscript": "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>x</noscript>",
    "textarea": "<textarea><img src=x onerror=alert(1)></textarea>x",
    "comment": "<!--><img src=x onerror=alert(1)>-->x",
    "picture": "<picture><source srcset=//evil.example/x></picture>x",
    "srcset": "<img srcset='//evil.example/x 2x'>x",
    "video": "<video poster=//evil.example src=//evil.example></video>x",
    "tag in a tag": "<scr<script>ipt>alert(1)</script>x",
    "quote trick": '<img alt="`><script>alert(1)</script>">x',
}


ACTING = {"onclick", "onerror", "srcdoc", "srcset", "http-equiv"}


@pytest.mark.parametrize("html", GONE.values(), ids=GONE)
def test_what_acts_or_connects_is_gone(html: str) -> None:
    result = shown(html)
    left = list(tokens(result))
    assert not {token.name for token in left if isinstance(token, Start)} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "svg",
        "math",
        "form",
        "input",
        "button",
        "source",
        "video",
        "textarea",
        "noscript",
    }
    for token in left:
        if isinstance(token, Start):
            assert not {"onclick", "onerror", "srcdoc", "srcset", "http-equiv"} & set(
                token.attributes
            )
            assert "script" not in token.attributes.get("href", "")
            assert "data:" not in token.attributes.get("href", "")
    assert "evil.example" not in result
    assert "x" in result


def test_honest_mail_keeps_its_looks() -> None:
    html = (
        '<!doctype html><html lang="de"><head><meta name="color-scheme" content="light dark">'
        "<style>@media (max-width:600px){.a>b{color:red}}</style></head>"
        '<body bgcolor="#fff"><table width="100%" cellpadding="0"><tr><td style="color:red" '
        'align="center" class="a">A &amp; B</td></tr></table></body></html>'
    )
    assert shown(html) == html


def test_words_inside_an_unclosed_player_are_kept() -> None:
    assert shown("<video src=//evil.example><p>See it in the browser") == "<p>See it in the browser"


def test_links_open_a_new_tab_and_keep_their_query() -> None:
    assert shown('<a href="https://x.example/?a=1&copy=2&amp;b=3" target="_top">go</a>') == (
        '<a href="https://x.example/?a=1&amp;copy=2&amp;b=3" target="_blank" '
        'rel="noopener noreferrer">go</a>'
    )


def test_own_images_are_shown_and_remote_ones_only_on_request() -> None:
    html = (
        '<img src="cid:a@b"><img src="https://x.example/i.png" alt="I"><img src="data:image/png,x">'
    )
    held = sanitise(html, {"a@b": "/own/1"}.get)
    assert held.html == '<img src="/own/1"><img alt="I"><img src="data:image/png,x">'
    assert held.remote_images == 1
    assert 'src="https://x.example/i.png"' in shown(html, load_remote=True)


def test_own_images_work_in_styles() -> None:
    assert shown("<p style='background:url(cid:a@b)'>") == (
        '<p style="background:url(&quot;/own/1&quot;)">'
    )


def test_relative_addresses_never_reach_our_own_pages() -> None:
    assert shown('<img src="/v1/notifications"><a href="/mailbox">x</a>') == (
        '<img><a target="_blank" rel="noopener noreferrer">x</a>'
    )


@pytest.mark.parametrize(
    "html",
    [
        "<!" * 500_000,
        "<a '" * 300_000,
        "<div>" * 200_000,
        "</x" * 300_000,
        "<style>" * 100_000,
        "<!--" * 250_000,
        "<a b=c " * 200_000,
        "&amp" * 300_000,
        "<svg>" * 100_000,
        "<" * 1_000_000,
        "<p><b><i>" * 100_000,
        '<a b="' * 200_000,
        "</" * 500_000,
        "<a/" * 300_000,
        "<style>" + "url(cid:" * 200_000,
        "<style>url(" + " " * 1_000_000,
        "<style>url(cid:a" + " " * 1_000_000,
        "<p style='" + "url(" * 400_000 + "'>",
        "&#" + "9" * 1_000_000,
    ],
    ids=lambda html: html[:8],
)
def test_crafted_input_takes_linear_time(html: str) -> None:
    began = time.thread_time()
    shown(html)
    assert time.thread_time() - began < 4


def test_depth_is_capped_but_unclosed_paragraphs_are_no_depth() -> None:
    assert shown("<div>" * 1000).count("<div>") == 250
    assert shown("<p>x" * 1000).count("<p>") == 1000


def test_tokens_follow_the_standard_where_mail_depends_on_it() -> None:
    assert list(tokens("a<B c=1 C=2 d='x>y' e>z</B ><!--x--!>&lt;<style>b<i></style>")) == [
        Text("a"),
        Start("b", {"c": "1", "d": "x>y", "e": ""}),
        Text("z"),
        End("b"),
        Text("<"),
        Start("style", {}),
        Raw("style", "b<i>"),
        End("style"),
    ]
