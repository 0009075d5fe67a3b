"""What the meta-tests look at: the files of this repository, and the syntax trees of its code."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("notifier", "tools", "benchmarks", "deploy", "run.py")
"""What the ceilings hold for; tests have their own."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file; `name` is its path from the root, with slashes."""

    name: str
    text: str
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        """All functions and methods, also nested ones."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or would be committed; all but hidden and made ones where git is not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        found = {ROOT / name for name in listed.stdout.split("\0") if name}
    else:
        found = {path for path in ROOT.rglob("*") if not is_made(path.relative_to(ROOT))}
    return tuple(sorted(path for path in found if path.is_file()))


def is_made(path: Path) -> bool:
    """Whether a file is a cache's or a build's."""
    made = {".venv", ".git", ".data", "__pycache__", "dist", "build", "htmlcov"}
    return bool(made & set(path.parts)) or any(part.endswith("_cache") for part in path.parts)


def sources(*tops: str) -> list[Source]:
    """The Python files below `tops` (folders or files in the root)."""
    return [_parsed(path) for path in files() if path.suffix == ".py" and _top(path) in tops]


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of every text file that is ours."""
    for path in files():
        name, content = path.relative_to(ROOT).as_posix(), path.read_bytes()
        if b"\0" not in content and name not in vendored():
            yield name, content.decode("utf-8", "replace")


@cache
def vendored() -> dict[str, str]:
    """SHA-256 by name of the files that others wrote, as `docs/vendored.md` has them."""
    text = (ROOT / "docs" / "vendored.md").read_text("utf-8")
    return dict(re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|", text, re.MULTILINE))


def _top(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@cache
def _parsed(path: Path) -> Source:
    text = path.read_text("utf-8")
    return Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text))
