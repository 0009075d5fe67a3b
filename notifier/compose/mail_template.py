"""One mail's templates, compiled: variables in, words out, and every fault with its pointer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Template

from notifier.compose.contract import Contract
from notifier.compose.environment import RENDER_ERRORS, OutputTooLong, UnsafeUrl, render_bounded
from notifier.compose.rendered import Rendered
from notifier.compose.variables import POINTER, check_variables, leaves, variable_pointer
from notifier.core.errors import FieldError, Invalid
from notifier.core.text import Fault, header_fault

_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_BLANK_LINES = re.compile(r"\n{3,}")
_LINE_ENDS = re.compile(r"[ \t]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Variant:
    """A mail in one language. `version` is a hash of all that its output depends on."""

    locale: str
    version: str
    subject: Template
    text: Template
    html: Template | None
    preheader: Template | None
    subject_variables: frozenset[str]


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """A mail in all its languages; `variants` maps None to the default and locales in lower case.

    `samples` are the variables that the template was proven with at load.
    """

    contract: Contract
    variants: Mapping[str | None, Variant]
    samples: Mapping[str, Mapping[str, object]]

    def render(self, variables: Mapping[str, object], locale: str | None) -> Rendered:
        """The mail's words, in the nearest language: `de-AT`, then `de`, then the default.

        Raises `Invalid` with every fault of the variables; nothing else.
        """
        variant = self.variant(locale)
        values = check_variables(self.contract, variables)
        return render_variant(self.contract, variant, values)

    def variant(self, locale: str | None) -> Variant:
        """The nearest language there is. Raises `Invalid` for what is no language tag at all."""
        for tag in _fallbacks(locale):
            if tag in self.variants:
                return self.variants[tag]
            if tag == self.contract.locale.lower():
                break
        return self.variants[None]


def render_variant(contract: Contract, variant: Variant, values: Mapping[str, object]) -> Rendered:
    """Renders with values that `check_variables` returned. Raises `Invalid`."""
    context = {**values, "locale": variant.locale, "preheader": ""}
    try:
        context["subject"] = subject = render_bounded(variant.subject, context).strip()
        if variant.preheader:
            context["preheader"] = " ".join(render_bounded(variant.preheader, context).split())
        text = render_bounded(variant.text, context)
        html = render_bounded(variant.html, context) if variant.html else None
    except RENDER_ERRORS as error:
        raise Invalid("The template cannot be filled.", errors=_blame(error, values)) from error
    if errors := tuple(_subject_errors(subject, variant, values)):
        raise Invalid("The subject cannot be sent.", errors=errors)
    return Rendered(
        subject=subject,
        text=_tidy(text),
        html=html,
        template=contract.name,
        version=variant.version,
        secret=contract.secret,
        stream=contract.stream,
        life_s=contract.life_s,
        sender=contract.sender,
        locale=variant.locale,
    )


def _fallbacks(locale: str | None) -> Sequence[str]:
    if locale is None:
        return ()
    if len(locale) > 35 or not _LOCALE.fullmatch(locale):
        error = FieldError("/template/locale", "bad_locale", "Send a language tag such as de-AT.")
        raise Invalid("The locale is no language tag.", errors=[error])
    parts = locale.replace("_", "-").lower().split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _blame(error: Exception, values: Mapping[str, object]) -> list[FieldError]:
    """Names the variable where it can be told, without repeating what was in it."""
    if isinstance(error, UnsafeUrl):
        fault = Fault("bad_url", "Links need a full https://, http:// or mailto: address.")
        guilty = [name for name, value in values.items() if error.url in leaves(value)]
        return _errors(guilty, fault)
    if isinstance(error, OutputTooLong):
        return _errors([], Fault("too_long", "The mail grows too long with these variables."))
    detail = "The template expects these variables in another shape; see its sample."
    return _errors([], Fault("render_failed", detail))


def _errors(names: Sequence[str], fault: Fault) -> list[FieldError]:
    pointers = [variable_pointer(name) for name in names] or [POINTER]
    return [FieldError(pointer, fault.code, fault.detail) for pointer in pointers]


def _subject_errors(
    subject: str, variant: Variant, values: Mapping[str, object]
) -> Iterator[FieldError]:
    if not subject:
        yield FieldError(POINTER, "blank", "The subject is empty with these variables.")
    if fault := header_fault(subject):
        guilty = [
            name
            for name in sorted(variant.subject_variables & values.keys())
            if any(header_fault(leaf) for leaf in leaves(values[name]))
        ]
        yield from _errors(guilty, fault)


def _tidy(text: str) -> str:
    """No blanks at line ends, no gaps of more than one line, one line break at the end."""
    return _BLANK_LINES.sub("\n\n", _LINE_ENDS.sub("", text)).strip("\n") + "\n"
