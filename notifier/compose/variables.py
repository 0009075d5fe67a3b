"""A caller's variables against the template's contract: all faults at once, with pointers."""

import math
import re
from collections.abc import Iterator, Mapping

from notifier.compose.contract import Contract, Variable, VariableType, did_you_mean, has_type
from notifier.compose.urls import is_safe_url
from notifier.core.errors import FieldError, Invalid
from notifier.core.text import Fault, body_fault, untrusted_fault

POINTER = "/template/variables"
_DEPTH = 8
_UNKNOWN_SHOWN = 20
_PRINTABLE_NAME = re.compile(r"[\w.~/-]{1,64}", re.ASCII)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_KINDS: Mapping[VariableType, str] = {
    "string": "a string",
    "url": "a string that is a URL",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "object": "an object",
}
_HIDDEN = Fault("control_character", "Remove the control characters.")
_DEEP = Fault("too_deep", f"Nest at most {_DEPTH} levels.")
_NOT_FINITE = Fault("wrong_type", "Send a finite number.")


def variable_pointer(name: str) -> str:
    """The JSON pointer of a variable (RFC 6901 §3)."""
    return f"{POINTER}/{name.replace('~', '~0').replace('/', '~1')}"


def check_variables(contract: Contract, given: Mapping[str, object]) -> dict[str, object]:
    """What the template is rendered with: the given values, defaults, None for the rest.

    Raises `Invalid` with one error for each variable that is missing, unknown or unfit.
    """
    errors = [*_unknown(contract, given)]
    values: dict[str, object] = {}
    for name, variable in contract.variables.items():
        value = given.get(name)
        if value is None:
            values[name] = variable.default
            if variable.required:
                errors.append(
                    FieldError(variable_pointer(name), "missing", "The template needs this one.")
                )
        elif fault := _fault(variable, value):
            errors.append(FieldError(variable_pointer(name), fault.code, fault.detail))
        else:
            values[name] = value
    if errors:
        raise Invalid("The variables do not fit the template.", errors=errors)
    return values


def leaves(value: object, depth: int = 0) -> Iterator[str]:
    """Every string inside a JSON value, keys too; stops at the depth that variables may have."""
    if isinstance(value, str):
        yield value
    elif depth <= _DEPTH and isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from leaves(item, depth + 1)
    elif depth <= _DEPTH and isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, depth + 1)


def _unknown(contract: Contract, given: Mapping[str, object]) -> Iterator[FieldError]:
    names = [name for name in given if name not in contract.variables]
    for name in names[:_UNKNOWN_SHOWN]:
        # A name that no template could have is not repeated: it may not even be text.
        known = _PRINTABLE_NAME.fullmatch(name) is not None
        detail = "The template has no such variable."
        if known:
            detail += did_you_mean(name, contract.variables)
        yield FieldError(variable_pointer(name) if known else POINTER, "unknown", detail)


def _fault(variable: Variable, value: object) -> Fault | None:
    kind = variable.type
    if not has_type(value, kind):
        return Fault("wrong_type", f"Send {_KINDS[kind]}.")
    if kind == "url" and not is_safe_url(str(value)):
        return Fault("bad_url", "Send a full https://, http:// or mailto: address.")
    if kind == "string" and variable.required and not str(value).strip():
        return Fault("blank", "The mail would have a gap here; send some text.")
    if fault := _shape_fault(value):
        return fault
    check = untrusted_fault if variable.untrusted else _text_fault
    return next(filter(None, map(check, leaves(value))), None)


def _text_fault(text: str) -> Fault | None:
    if not text.isascii() or not text.isprintable():
        return body_fault(text) or (_HIDDEN if _CONTROL.search(text) else None)
    return None


def _shape_fault(value: object, depth: int = 0) -> Fault | None:
    """Depth and numbers of a JSON value: no NaN, and nothing that only fails while rendering."""
    if isinstance(value, float) and not math.isfinite(value):
        return _NOT_FINITE
    if not isinstance(value, list | tuple | Mapping):
        return None
    if depth == _DEPTH:
        return _DEEP
    items = value.values() if isinstance(value, Mapping) else value
    return next(filter(None, (_shape_fault(item, depth + 1) for item in items)), None)
