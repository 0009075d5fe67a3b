"""Template inheritance resolved in the source, so that a mail's whole HTML lies in one piece.

CSS can only be inlined where the stylesheet and the elements are in one document, and it should
happen once, not for each mail. So `extends`, `block`, `super()` and `include` are worked out here
at load, by Jinja's own lexer, and what is left is one template without a parent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment

_DEEPEST = 10

Kind = Literal["data", "block", "print", "raw"]
_CLOSING: dict[str, Kind] = {"block_end": "block", "variable_end": "print"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Text between tags (`data`), or one tag with its source and the words inside it."""

    kind: Kind
    text: str
    words: tuple[str, ...] = ()


class MergeError(ValueError):
    """Inheritance that cannot be worked out; the text names the file and the line."""


def merged(environment: Environment, name: str) -> list[Chunk]:
    """The template `name` with its parents and includes, free of `extends` and `block` tags."""
    return [chunk for chunk in _resolve(environment, name, 0) if not _is_block_tag(chunk)]


def source_of(chunks: Sequence[Chunk]) -> str:
    """The chunks as template source again."""
    return "".join(chunk.text for chunk in chunks)


def _resolve(environment: Environment, name: str, depth: int) -> list[Chunk]:
    if depth > _DEEPEST:
        raise MergeError(f"{name}: extends and include go round in a circle.")
    chunks: list[Chunk] = []
    for chunk in _lex(environment, name):
        if chunk.kind == "block" and chunk.words[0] == "include":
            chunks += _resolve(environment, _constant(chunk, name), depth + 1)
        else:
            chunks.append(chunk)
    parent = next((c for c in chunks if c.kind == "block" and c.words[0] == "extends"), None)
    if parent is None:
        return chunks
    chunks.remove(parent)
    base = _resolve(environment, _constant(parent, name), depth + 1)
    hoisted, blocks = _child(chunks, name)
    return [*hoisted, *_override(base, blocks)]


def _lex(environment: Environment, name: str) -> Iterator[Chunk]:
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    raw = ""
    words: list[str] = []
    for _, kind, value in environment.lex(source):
        if kind == "data":
            yield Chunk("data", value)
        elif kind in ("raw_begin", "raw_end"):
            yield Chunk("raw", value)
        elif kind.startswith("comment"):
            continue
        else:
            raw += value
            if kind in _CLOSING:
                yield Chunk(_CLOSING[kind], raw, tuple(words))
                raw, words = "", []
            elif kind not in ("whitespace", "block_begin", "variable_begin"):
                words.append(value)


def _constant(chunk: Chunk, name: str) -> str:
    if len(chunk.words) != 2 or chunk.words[1][0] not in "\"'":
        raise MergeError(f"{name}: {chunk.words[0]} takes one file name in quotes.")
    return chunk.words[1][1:-1]


def _is_block_tag(chunk: Chunk) -> bool:
    return chunk.kind == "block" and chunk.words[0] in ("block", "endblock")


def _child(chunks: Sequence[Chunk], name: str) -> tuple[list[Chunk], dict[str, list[Chunk]]]:
    """A child's top level: what sets up names, and its blocks. Nothing else would ever show."""
    hoisted: list[Chunk] = []
    blocks: dict[str, list[Chunk]] = {}
    at = 0
    while at < len(chunks):
        chunk = chunks[at]
        if _is_block_tag(chunk):
            end = _block_end(chunks, at)
            blocks[chunk.words[1]] = list(chunks[at + 1 : end])
            at = end
        elif chunk.kind == "block" and chunk.words[0] in ("set", "import", "from"):
            hoisted.append(chunk)
        elif chunk.kind != "data" or chunk.text.strip():
            raise MergeError(f"{name}: beside extends only blocks, set and import have a meaning.")
        at += 1
    return hoisted, blocks


def _block_end(chunks: Sequence[Chunk], begin: int) -> int:
    open_blocks = 0
    for at in range(begin, len(chunks)):
        if _is_block_tag(chunks[at]):
            open_blocks += 1 if chunks[at].words[0] == "block" else -1
            if open_blocks == 0:
                return at
    raise MergeError("a block has no end.")


def _override(base: Sequence[Chunk], blocks: dict[str, list[Chunk]]) -> list[Chunk]:
    """`base` with its blocks filled by the child's; the tags stay for the next heir."""
    result: list[Chunk] = []
    at = 0
    while at < len(base):
        chunk = base[at]
        if not _is_block_tag(chunk):
            result.append(chunk)
            at += 1
            continue
        end = _block_end(base, at)
        inner = _override(base[at + 1 : end], blocks)
        if (body := blocks.get(chunk.words[1])) is not None:
            inner = [part for c in body for part in (inner if _is_super(c) else (c,))]
        result += [chunk, *inner, base[end]]
        at = end + 1
    return result


def _is_super(chunk: Chunk) -> bool:
    return chunk.kind == "print" and chunk.words == ("super", "(", ")")
