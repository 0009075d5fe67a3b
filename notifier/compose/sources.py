"""Template folders read into memory, once: which files make which mail, and what is amiss."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from notifier.compose.contract import IDENTIFIER

FILE_BYTES = 256 * 1024
BODY_FILES = ("subject.txt", "body.txt", "body.html")
NEEDED_FILES = ("subject.txt", "body.txt")
_LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|\d{3}))?")
_SHARED = re.compile(r"_[a-z0-9_]+\.(?:html|txt)")


@dataclass(frozen=True, slots=True)
class Source:
    """A file: the name it has for Jinja (`verify_email/de/body.html`), where it lies, its text."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class MailSources:
    """The files of one mail. `bodies` maps None (the default) and locales to files by name."""

    name: str
    contract: Source
    bodies: Mapping[str | None, Mapping[str, Source]]
    samples: Mapping[str, Source]


@dataclass(slots=True)
class Tree:
    """All template folders, laid over one another; `problems` says what cannot be used."""

    mails: dict[str, MailSources] = field(default_factory=dict)
    shared: dict[str, Source] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def sources(self) -> Iterator[Source]:
        """Every file that Jinja may load."""
        yield from self.shared.values()
        for mail in self.mails.values():
            for bodies in mail.bodies.values():
                yield from bodies.values()


def read_tree(dirs: Sequence[Path]) -> Tree:
    """Reads `dirs`, the first winning: a mail is replaced as a whole, a shared file by name."""
    tree = Tree()
    for folder in dirs:
        if not folder.is_dir():
            tree.problems.append(f"{folder} is not a folder.")
            continue
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and entry.name[0] not in "._" and entry.name not in tree.mails:
                _read_mail(tree, entry)
            elif (
                _SHARED.fullmatch(entry.name)
                and entry.name not in tree.shared
                and (source := _read(tree, entry, entry.name))
            ):
                tree.shared[entry.name] = source
    return tree


def _read_mail(tree: Tree, folder: Path) -> None:
    name = folder.name
    if not IDENTIFIER.fullmatch(name):
        tree.problems.append(f"{folder}: name a mail in lower case, such as verify_email.")
        return
    contract = _read(tree, folder / "mail.toml", f"{name}/mail.toml")
    bodies: dict[str | None, dict[str, Source]] = {None: _read_bodies(tree, folder, name)}
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir() or entry.name == "samples" or entry.name[0] in "._":
            continue
        if _LOCALE.fullmatch(entry.name):
            bodies[entry.name] = _read_bodies(tree, entry, f"{name}/{entry.name}")
        else:
            tree.problems.append(f"{entry} is neither samples nor a locale such as de or de-AT.")
    paths = sorted(folder.glob("samples/*.json"))
    read = (_read(tree, path, path.name) for path in paths)
    samples = {source.path.stem: source for source in read if source}
    _check_complete(tree, folder, bodies, samples)
    if contract:
        tree.mails[name] = MailSources(name, contract, bodies, samples)


def _read_bodies(tree: Tree, folder: Path, name: str) -> dict[str, Source]:
    files = [file for file in BODY_FILES if file in NEEDED_FILES or (folder / file).exists()]
    read = {file: _read(tree, folder / file, f"{name}/{file}") for file in files}
    return {file: source for file, source in read.items() if source}


def _check_complete(
    tree: Tree,
    folder: Path,
    bodies: Mapping[str | None, Mapping[str, Source]],
    samples: Mapping[str, Source],
) -> None:
    if not samples:
        tree.problems.append(f"{folder}/samples needs at least one file of variables (*.json).")
    for locale, files in bodies.items():
        # Half a translation would be a mail in two languages.
        if locale and "body.html" in bodies[None] and "body.html" not in files:
            tree.problems.append(f"{folder / locale} has no body.html, but the default has.")


def _read(tree: Tree, path: Path, name: str) -> Source | None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        tree.problems.append(f"{path} cannot be read: {error.strerror}.")
        return None
    if len(raw) > FILE_BYTES:
        tree.problems.append(f"{path} is over {FILE_BYTES // 1024} kB.")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        tree.problems.append(f"{path}:{line}: not UTF-8.")
        return None
    return Source(name, path, text.replace("\r\n", "\n"))
