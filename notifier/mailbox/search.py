"""What is typed into the search box, and the SQL it means."""

import re
from dataclasses import dataclass, field

from notifier.core.errors import FieldError, Invalid

MAX_QUERY_CHARS = 500
MAX_TERMS = 20
TRIGRAM = 3
FIELDS = {"from": "sender", "to": "recipients", "subject": "subject"}
COLUMNS = ("sender", "recipients", "subject", "body")

_TERM = re.compile(
    r'(?:(?P<key>[A-Za-z]+):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+))|(?P<lone>\S)'
)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: `text` (case-folded) occurs in `column`, or anywhere when that is None."""

    column: str | None
    text: str
    shown: str


@dataclass(frozen=True, slots=True)
class Query:
    """All terms must hold. No terms: everything matches."""

    terms: tuple[Term, ...] = ()


@dataclass(slots=True)
class Sql:
    """A `WHERE` over `message` (and `search`, when `match` is set) with its parameters."""

    match: str | None = None
    clauses: list[str] = field(default_factory=list)
    params: list[str | int] = field(default_factory=list)


def parse_query(text: str) -> Query:
    """Words and `"quoted phrases"`, each optionally after `from:`, `to:` or `subject:`.

    Any other `word:` is taken as plain text. Raises `Invalid` (pointer `query:query`) for an
    empty value after a key, and for more than a query may hold.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise _invalid(f"Use at most {MAX_QUERY_CHARS} characters.")
    terms = [term for found in _TERM.finditer(text) if (term := _term(found, text)) is not None]
    if len(terms) > MAX_TERMS:
        raise _invalid(f"Use at most {MAX_TERMS} terms.")
    return Query(tuple(terms))


def _term(found: re.Match[str], whole: str) -> Term | None:
    key = (found["key"] or "").lower()
    value = found["quoted"] if found["quoted"] is not None else found["bare"] or ""
    bare_key = value.removesuffix(":").lower() if value.endswith(":") and not key else ""
    if bare_key in FIELDS or (key in FIELDS and not value.strip()):
        raise _invalid(
            f"Position {found.start() + 1}: write what to look for after `{key or bare_key}:`."
        )
    if key and key not in FIELDS:
        value = whole[found.start() : found.end()]
    folded = _clean(value).casefold()
    if not folded:
        return None
    return Term(FIELDS.get(key), folded, found.group())


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()


def to_sql(query: Query) -> Sql:
    """Terms of three characters and more by the index, shorter ones by LIKE."""
    sql = Sql()
    matches = []
    for term in query.terms:
        if len(term.text) >= TRIGRAM:
            phrase = '"' + term.text.replace('"', '""') + '"'
            matches.append(f"{term.column} : {phrase}" if term.column else phrase)
        else:
            _add_like(sql, term)
    if matches:
        sql.match = " AND ".join(matches)
    return sql


def _add_like(sql: Sql, term: Term) -> None:
    escaped = re.sub(r"([\\%_])", r"\\\1", term.text)
    columns = (term.column,) if term.column else COLUMNS
    either = " OR ".join(rf"words.{column} LIKE ? ESCAPE '\'" for column in columns)
    sql.clauses.append(
        f"EXISTS (SELECT 1 FROM words WHERE words.seq = message.seq AND ({either}))"  # noqa: S608
    )
    sql.params += [f"%{escaped}%"] * len(columns)


def _invalid(detail: str) -> Invalid:
    return Invalid(
        "The search cannot be read.",
        code="query_invalid",
        errors=[FieldError("query:query", "query_invalid", detail)],
    )
