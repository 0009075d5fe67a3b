"""CSS written into `style` attributes, once, in the template instead of in each mail.

Jinja's tags are replaced by words that mean nothing to HTML, the document goes through
css-inline, and the tags come back. Where a tag stands decides what may become of it, so this is
also where links are guarded and unquoted attributes are refused.
"""

import re
from collections.abc import Iterator, Sequence

import css_inline

from notifier.compose.html_tokens import VOID, Token, attributes, tokens
from notifier.compose.merge import Chunk

DOCUMENT_CHARS = 512 * 1024
DEPTH = 200  # css-inline overflows its stack on deep nesting, and takes the process along
_LINKS = frozenset({"action", "background", "formaction", "href", "poster", "src"})
_FORBIDDEN = frozenset({"script", "iframe", "object", "embed", "form", "base", "link", "frame"})
_MARK = re.compile(r"<!--zq(\d+)qz-->|zq(\d+)qz")
_ONLY_MARK = re.compile(r"zq(\d+)qz")
_KEEP = ' data-css-inline="keep"'


class InlineError(ValueError):
    """A document that cannot be inlined without harm; the text says what to change."""


def inline_css(chunks: Sequence[Chunk]) -> str:
    """Template source with the CSS of its plain `<style>` elements inlined.

    `<style data-css-inline="keep">` stays as it is, for media queries. Links whose whole address
    is a variable go through the filter `href`. Raises `InlineError`.
    """
    texts = [chunk.text for chunk in chunks]
    marked = "".join(
        chunk.text if chunk.kind == "data" else f"zq{index}qz" for index, chunk in enumerate(chunks)
    )
    if len(marked) > DOCUMENT_CHARS:
        raise InlineError(f"the document is over {DOCUMENT_CHARS // 1024} kB.")
    found = list(tokens(marked))
    _check_depth(found)
    document = _document(found, marked, chunks, texts)
    inlined = _inline(document)
    if _shape(document) != _shape(inlined):
        raise InlineError(
            "the HTML is not well formed: close what is open, write <tbody> in tables."
        )
    return _restored(inlined, texts)


def _document(
    found: Sequence[Token], marked: str, chunks: Sequence[Chunk], texts: list[str]
) -> str:
    """`marked` as the inliner may see it; kept styles become marks of their own in `texts`."""
    pieces: list[str] = []
    kept_from: int | None = None
    for token in found:
        if kept_from is not None:
            if token.kind == "end":
                kept = marked[kept_from : token.end].replace(_KEEP, "")
                pieces.append(f"<!--zq{len(texts)}qz-->")
                texts.append(_restored(kept, texts))
                kept_from = None
        elif token.kind == "start" and token.value == "style" and _KEEP in token.attributes:
            kept_from = token.start
        else:
            pieces.append(_prepared(token, marked, chunks, texts))
    if kept_from is not None:
        raise InlineError("a <style> has no end.")
    return "".join(pieces)


def _inline(document: str) -> str:
    inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
    try:
        return inliner.inline(document)
    except css_inline.InlineError as error:
        raise InlineError(f"the CSS cannot be read: {error}.") from error


def _restored(document: str, texts: Sequence[str]) -> str:
    return _MARK.sub(lambda match: texts[int(match[1] or match[2])], document)


def _prepared(token: Token, marked: str, chunks: Sequence[Chunk], texts: list[str]) -> str:
    """The token as the inliner may see it; guards links in `texts` on the way."""
    source = marked[token.start : token.end]
    if token.kind == "text":
        # A comment is the only thing that HTML leaves alone everywhere, also between table rows.
        return _ONLY_MARK.sub(lambda match: f"<!--{match[0]}-->", source)
    if token.kind == "raw" and token.value == "style":
        if any(chunks[int(mark[1])].kind != "print" for mark in _ONLY_MARK.finditer(source)):
            raise InlineError("only {{ }} can be inlined from <style>, no {% %}.")
    elif token.kind == "start":
        _check_tag(token, source, chunks, texts)
    elif token.kind == "end" and _ONLY_MARK.search(source):
        raise InlineError(f"a tag's name cannot come from a variable (</{token.value}).")
    return source


def _check_tag(token: Token, source: str, chunks: Sequence[Chunk], texts: list[str]) -> None:
    if token.value in _FORBIDDEN:
        raise InlineError(f"<{token.value}> does not work in mails; remove it.")
    quoted = 0
    for attribute in attributes(token):
        if attribute.name.startswith("on"):
            raise InlineError(f"scripts do not work in mails; remove {attribute.name}.")
        marks = list(_ONLY_MARK.finditer(attribute.value)) if attribute.quoted else []
        quoted += len(marks)
        if marks and attribute.name in _LINKS and marks[0].start() == 0:
            _guard_link(int(marks[0][1]), chunks, texts)
    if quoted != len(_ONLY_MARK.findall(source)):
        raise InlineError(
            f"in <{token.value}>: variables and tags belong inside an attribute's quotes."
        )


def _guard_link(index: int, chunks: Sequence[Chunk], texts: list[str]) -> None:
    chunk = chunks[index]
    if chunk.kind != "print":
        raise InlineError("put {% if %} around the whole element, not into a link's address.")
    begin = chunk.text.index("{{") + 2
    end = chunk.text.rindex("}}")
    lead = begin + (chunk.text[begin] in "-+")
    tail = end - (chunk.text[end - 1] in "-+")
    texts[index] = f"{chunk.text[:lead]} ({chunk.text[lead:tail]})|href {chunk.text[tail:]}"


def _check_depth(found: Sequence[Token]) -> None:
    depth = 0
    for token in found:
        if token.kind == "start" and not VOID.fullmatch(token.value):
            depth += 1
        elif token.kind == "end":
            depth = max(0, depth - 1)
        if depth > DEPTH:
            raise InlineError(f"the document is nested deeper than {DEPTH} levels.")


def _shape(document: str) -> list[object]:
    """Tags, attributes and tags' marks in order: what inlining must leave as it is."""
    return list(_shape_items(document))


def _shape_items(document: str) -> Iterator[object]:
    for token in tokens(document):
        if token.kind == "start" and token.value not in ("html", "head", "body", "style"):
            kept = {a.name: a.text for a in attributes(token) if a.name != "style"}
            yield token.value, kept
        elif token.kind == "end" and token.value not in ("html", "head", "body", "style"):
            yield "/" + token.value
        elif token.kind == "comment" and _MARK.fullmatch(token.value):
            yield token.value
