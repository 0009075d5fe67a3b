"""What the environment, `.env` and secret files say, before it is understood.

The command line wins over the environment, and that over `.env`. An empty value means "not set":
it also hides the same setting in a place that is asked later.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream

from notifier.settings.catalogue import FILE_SUFFIX, PREFIX, SMTP_URL, Known, find, nearest

RENAMED: Final[Mapping[str, str]] = {}
"""Old name → new name. An entry stays for one minor release, then the old name is unknown."""

ENVIRONMENT: Final = "environment"
COMMAND_LINE: Final = "command line"

_SECRET_FILE_BYTES: Final = 64 * 1024
_MISTAKEN: Final = "NOTIFIER_PORT"
_IGNORED: Final = re.compile(
    # Kubernetes makes these for each service whose name begins with `notifier`.
    r"NOTIFIER_PORT|NOTIFIER_PORT_.*|NOTIFIER_SERVICE_.*|NOTIFIER_TEST_.*"
    r"|NOTIFIER_[A-Z0-9_]+_SERVICE_(HOST|PORT|PORT_[A-Z0-9_]+)"
    r"|NOTIFIER_[A-Z0-9_]+_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_LINKED_PORT: Final = re.compile(r"NOTIFIER_[A-Z0-9_]+_PORT=(tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True)
class Value:
    """The text of a setting and where it stands: `environment`, `.env line 3`, `file …`."""

    text: str
    source: str

    def __repr__(self) -> str:
        return f"Value({self.source})"


@dataclass(slots=True)
class Gathered:
    """Values by environment name, `_FILE` resolved, and what was wrong on the way to them."""

    values: dict[str, Value] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def is_given(self, name: str) -> bool:
        """Whether somebody tried to set it, with or without success."""
        return name in self.values or name in self.unusable


def gather(
    environ: Mapping[str, str],
    dotenv: Path | None,
    *,
    options: Mapping[str, str] | None = None,
    renamed: Mapping[str, str] = RENAMED,
) -> Gathered:
    """Every setting that is given anywhere; a name that is not known is a problem.

    `dotenv` is read if it exists. `options` are settings from the command line, by their names.
    """
    found = Gathered()
    layers = [
        {name: Value(text, COMMAND_LINE) for name, text in (options or {}).items()},
        {name: Value(text, ENVIRONMENT) for name, text in environ.items() if _is_ours(name, text)},
        dict(_dotenv_values(dotenv, found.problems)) if dotenv else {},
    ]
    if environ.get(_MISTAKEN, "").isdecimal():
        found.warnings.append(
            f"{_MISTAKEN} is ignored, because Kubernetes sets it: use NOTIFIER_HTTP__PORT."
        )
    for layer in layers:
        for name, value in _Layer(layer, renamed, found).resolved():
            found.values.setdefault(name, value)
    found.values = {name: value for name, value in found.values.items() if value.text}
    return found


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place that settings come from."""

    values: Mapping[str, Value]
    renamed: Mapping[str, str]
    found: Gathered

    def resolved(self) -> Iterator[tuple[str, Value]]:
        """Settings by name: new names for renamed ones, contents for files."""
        values = self._with_new_names()
        for name, value in values.items():
            if not _is_text(value.text):
                self._refuse(name, f"{_place(name, value)} is not UTF-8 text.")
            elif name == SMTP_URL or find(name):
                if value.text or not _text_of(values, name + FILE_SUFFIX):
                    yield name, value
            elif known := _behind_file(name):
                yield from self._from_file(name, value, known, values)
            else:
                self.found.problems.append(
                    f"{_place(name, value)} is not a setting; the nearest is {nearest(name)}."
                )

    def _with_new_names(self) -> dict[str, Value]:
        values = dict(self.values)
        for old, new in self.renamed.items():
            if (value := values.pop(old, None)) is None:
                continue
            values.setdefault(new, value)
            self.found.warnings.append(
                f"{_place(old, value)} is now called {new};"
                " the old name stops working with the next minor release."
            )
        return values

    def _from_file(
        self, name: str, value: Value, known: Known, values: Mapping[str, Value]
    ) -> Iterator[tuple[str, Value]]:
        base = name.removesuffix(FILE_SUFFIX)
        if not value.text:
            return
        if _text_of(values, base):
            self._refuse(base, f"Both {base} and {name} are set: keep one.")
            return
        try:
            content = _secret(Path(value.text))
        except (OSError, ValueError) as error:
            place = _place(name, value)
            self._refuse(base, f"{place}: the file {value.text} {_reason(error)}.")
            return
        if known.is_list:
            content = json.dumps([line.strip() for line in content.splitlines() if line.strip()])
        yield base, Value(content, f"file {value.text}")

    def _refuse(self, name: str, problem: str) -> None:
        self.found.unusable.add(name)
        self.found.problems.append(problem)


def _is_ours(name: str, text: str) -> bool:
    if name == SMTP_URL:
        return True
    if not name.upper().startswith(PREFIX):
        return False
    return not (_IGNORED.fullmatch(name) or _LINKED_PORT.fullmatch(f"{name}={text}"))


def _behind_file(name: str) -> Known | None:
    """The secret that `name` is the `_FILE` of."""
    known = find(name.removesuffix(FILE_SUFFIX)) if name.endswith(FILE_SUFFIX) else None
    return known if known and known.is_secret else None


def _place(name: str, value: Value) -> str:
    return name if value.source == ENVIRONMENT else f"{name} ({value.source})"


def _text_of(values: Mapping[str, Value], name: str) -> str:
    return values[name].text if name in values else ""


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _secret(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_SECRET_FILE_BYTES + 1)
    if len(content) > _SECRET_FILE_BYTES:
        raise ValueError("is larger than any secret")
    text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("is empty")
    return text


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _dotenv_values(path: Path, problems: list[str]) -> Iterator[tuple[str, Value]]:
    for line in _dotenv_lines(path, problems):
        place = f"{path} line {_number(line)}"
        if line.error or (line.key is not None and line.value is None):
            problems.append(f"{place} cannot be understood: write NAME=value.")
        elif line.key is not None and line.key != SMTP_URL and _is_ours(line.key, line.value or ""):
            yield line.key, Value(line.value or "", place)


def _number(line: Binding) -> int:
    """The parser counts from the blank lines before it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _dotenv_lines(path: Path, problems: list[str]) -> Sequence[Binding]:
    # Read with the parser alone: the reader round it expands ${…}, which passwords may hold.
    try:
        with path.open(encoding="utf-8-sig") as file:
            return list(parse_stream(file))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"The file {path} {_reason(error)}.")
        return []
