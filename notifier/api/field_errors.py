"""What pydantic and FastAPI say about a field, in our words: pointer, stable code, a sentence.

Pydantic's own texts are not passed on: some of them repeat the input.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic_core.core_schema import ErrorType

from notifier.core.errors import FieldError

_BUILT_IN: Final = frozenset(get_args(ErrorType))

_SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "missing": ("missing", "This field is required."),
    "extra_forbidden": ("unknown_field", "There is no such field here; check its spelling."),
    "string_type": ("wrong_type", "This has to be a string."),
    "string_too_short": ("too_short", "This needs at least {min_length} characters."),
    "string_too_long": ("too_long", "This may have at most {max_length} characters."),
    "string_pattern_mismatch": ("bad_format", "This does not have the documented form."),
    "too_short": ("too_few", "This needs at least {min_length} items."),
    "too_long": ("too_many", "This may have at most {max_length} items."),
    "int_type": ("wrong_type", "This has to be a whole number."),
    "int_parsing": ("wrong_type", "This has to be a whole number."),
    "int_from_float": ("wrong_type", "This has to be a whole number."),
    "int_parsing_size": ("out_of_range", "This number is too large."),
    "float_type": ("wrong_type", "This has to be a number."),
    "float_parsing": ("wrong_type", "This has to be a number."),
    "finite_number": ("not_finite", "This has to be a finite number."),
    "bool_type": ("wrong_type", "This has to be true or false."),
    "bool_parsing": ("wrong_type", "This has to be true or false."),
    "list_type": ("wrong_type", "This has to be an array."),
    "tuple_type": ("wrong_type", "This has to be an array."),
    "set_type": ("wrong_type", "This has to be an array."),
    "dict_type": ("wrong_type", "This has to be an object."),
    "mapping_type": ("wrong_type", "This has to be an object."),
    "model_type": ("wrong_type", "This has to be an object."),
    "model_attributes_type": ("wrong_type", "This has to be an object."),
    "dataclass_type": ("wrong_type", "This has to be an object."),
    "none_required": ("wrong_type", "This has to be null or absent."),
    "literal_error": ("not_allowed", "This has to be one of: {expected}."),
    "enum": ("not_allowed", "This has to be one of: {expected}."),
    "greater_than": ("out_of_range", "This has to be greater than {gt}."),
    "greater_than_equal": ("out_of_range", "This has to be {ge} or more."),
    "less_than": ("out_of_range", "This has to be less than {lt}."),
    "less_than_equal": ("out_of_range", "This may be {le} at most."),
    "datetime_type": ("bad_time", "This has to be a time such as 2030-01-31T09:30:00+01:00."),
    "datetime_parsing": ("bad_time", "This has to be a time such as 2030-01-31T09:30:00+01:00."),
    "datetime_from_date_parsing": (
        "bad_time",
        "This has to be a time such as 2030-01-31T09:30:00+01:00.",
    ),
    "timezone_aware": ("offset_missing", "This time needs an offset, such as Z or +01:00."),
    "json_invalid": ("malformed_json", "The body is not valid JSON."),
    "string_unicode": ("bad_text", "This is not well-formed Unicode text."),
}
_FALLBACK: Final = ("invalid", "This value does not fit here; see the documentation.")

_PLACES: Final = {"query": "query", "path": "path", "header": "header", "cookie": "cookie"}


def field_errors(errors: Sequence[Mapping[str, Any]], body: object) -> tuple[FieldError, ...]:
    """One `FieldError` for each place, in order, from FastAPI's list.

    A validator of ours speaks for itself by `PydanticCustomError(code, sentence)`; its sentence
    is passed on, so it must not hold the input. It puts the sentence into the context as `detail`
    where its code may be one of pydantic's. A bare `ValueError` becomes the code `invalid`.
    `body` is the parsed body: it tells field names from the names pydantic adds for unions.
    """
    found: dict[tuple[str, str], FieldError] = {}
    for error in errors:
        pointer = _pointer(tuple(error["loc"]), body, missing=error["type"] == "missing")
        code, detail = _said(error)
        found.setdefault((pointer, code), FieldError(pointer, code, detail))
    return tuple(_without_lost_branches(list(found.values())))


def json_pointer(steps: Sequence[str | int]) -> str:
    """An RFC 6901 pointer: `("to", 0)` is `/to/0`; nothing is the whole body, an empty string."""
    return "".join("/" + str(s).replace("~", "~0").replace("/", "~1") for s in steps)


def _said(error: Mapping[str, Any]) -> tuple[str, str]:
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind == "missing" and tuple(error["loc"]) == ("body",):
        return "missing", "A JSON body is needed here."
    if "detail" in context:
        # A validator of ours whose code pydantic happens to use too.
        return kind, str(context["detail"])
    if kind in _SENTENCES:
        code, sentence = _SENTENCES[kind]
        return code, sentence.format_map(context)
    if kind in _BUILT_IN:
        return _FALLBACK
    return kind, str(error["msg"])


def _pointer(loc: tuple[str | int, ...], body: object, *, missing: bool) -> str:
    place, *steps = loc or ("body",)
    if place in _PLACES:
        return f"{_PLACES[str(place)]}:{'.'.join(map(str, steps))}"
    absent = steps[-1:] if missing else []
    return json_pointer([*_real_steps(steps[: len(steps) - len(absent)], body), *absent])


def _real_steps(steps: Sequence[str | int], body: object) -> Iterator[str | int]:
    """`steps` without those that pydantic made up to name a branch of a union."""
    here = body
    for step in steps:
        match here, step:
            case dict(), str() if step in here:
                here = here[step]
                yield step
            case list(), int() if step < len(here):
                here = here[step]
                yield step


def _without_lost_branches(errors: list[FieldError]) -> Iterator[FieldError]:
    """Drops `wrong_type` of a place when a deeper or a better reason for it is known.

    A union reports every branch: an address given as an object without `email` is also "not a
    string", which would only lead astray.
    """
    explained = {p for e in errors if e.code != "wrong_type" for p in _with_parents(e.pointer)}
    for error in errors:
        if error.code != "wrong_type" or error.pointer not in explained:
            yield error


def _with_parents(pointer: str) -> Iterator[str]:
    yield pointer
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer
