"""The mails that flows send of their own accord, with the variables that they fill them with."""

from collections.abc import Iterator, Mapping
from typing import Final

from notifier.compose.catalogue import Catalogue
from notifier.core.errors import Invalid, Misconfigured

_FILLED_WITH: Final[Mapping[str, tuple[Mapping[str, object], ...]]] = {
    "verify_email": (
        {"link": "https://example.org/", "code": "123456", "link_hours": 24, "code_minutes": 15},
    ),
    "welcome": ({}, {"name": "Ada"}),
}


def check_own_mails(catalogue: Catalogue) -> None:
    """Raises Misconfigured if a template of the operator's asks for more than flows can give.

    Found at start; else it would be found by the person who presses the button.
    """
    problems = [
        problem
        for name, fillings in _FILLED_WITH.items()
        for variables in fillings
        for problem in _problems(catalogue, name, variables)
    ]
    if problems:
        detail = "The mails of the sign-up cannot be made."
        raise Misconfigured(detail, problems=[*dict.fromkeys(problems)])


def _problems(catalogue: Catalogue, name: str, variables: Mapping[str, object]) -> Iterator[str]:
    try:
        catalogue.render(name, variables)
    except Invalid as error:
        for fault in error.errors:
            given = ", ".join(variables) or "no variables"
            yield f"Template {name}, filled with {given}: {fault.pointer}: {fault.detail}"
