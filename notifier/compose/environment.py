"""Jinja, set up so that a mail is either right or refused."""

import re
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2 import Environment, StrictUndefined, Template, UndefinedError

from notifier.compose.brand import Brand
from notifier.compose.sources import Tree
from notifier.compose.urls import is_safe_url

OUTPUT_CHARS = 2 * 1024 * 1024
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")

RENDER_ERRORS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""What templates raise when variables are not shaped as they expect."""


class PrintsNothing(UndefinedError):
    """A template prints a variable that was left out, as `None`."""


class UnsafeUrl(ValueError):
    """A link's address is none that a mail may lead to."""

    def __init__(self, url: str) -> None:
        super().__init__("not an https, http or mailto address")
        self.url = url


class OutputTooLong(ValueError):
    """A template grew past `OUTPUT_CHARS`."""


def make_environment(tree: Tree, brand: Brand) -> Environment:
    """An environment over the files of `tree`: `.html` is escaped, everything else is text.

    Undefined names and `None` cannot be printed. Nothing is read from disk any more.
    """
    sources = {source.name: source for source in tree.sources()}

    def load(name: str) -> tuple[str, str, None] | None:
        source = sources.get(name)
        return (source.text, str(source.path), None) if source else None

    environment = Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=is_html,  # noqa: S701 - by the file's ending: mails have text parts too
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        cache_size=-1,
    )
    # Without `range` a caller's number cannot become a loop of a billion rounds.
    environment.globals = {"brand": brand, "namespace": jinja2.utils.Namespace}
    environment.filters |= {"href": safe_href, "paragraphs": paragraphs}
    return environment


def is_html(name: str | None) -> bool:
    """Whether a template of this name is escaped. Jinja's own rule misses odd endings."""
    return name is None or not name.endswith(".txt")


def compile_source(environment: Environment, source: str, name: str, path: str) -> Template:
    """`source` compiled under `name`, which decides on escaping; `path` stands in tracebacks."""
    code = environment.compile(source, name=name, filename=path)
    return Template.from_code(environment, code, environment.make_globals(None))


def render_bounded(template: Template, values: Mapping[str, Any]) -> str:
    """The output; raises one of `RENDER_ERRORS`, `OutputTooLong` among them."""
    pieces: list[str] = []
    size = 0
    for piece in template.generate(values):
        size += len(piece)
        if size > OUTPUT_CHARS:
            raise OutputTooLong
        pieces.append(piece)
    return "".join(pieces)


def safe_href(url: object) -> str:
    """The filter `href`: the URL as it is, or the whole mail is refused."""
    text = str(url)
    if not is_safe_url(text):
        raise UnsafeUrl(text)
    return text


def paragraphs(text: object) -> list[list[str]]:
    """The filter `paragraphs`: text cut at blank lines, each paragraph as its lines."""
    blocks = _PARAGRAPH.split(str(text).replace("\r\n", "\n").strip())
    return [block.splitlines() for block in blocks if block.strip()]


def _printable(value: object) -> object:
    if value is None:
        raise PrintsNothing("an optional variable is printed without a value")
    return value
