"""What is declared, what is pinned and what is imported are the same."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest

from tests.meta.sources import ROOT, Source, sources

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETS = ("uv", "build", "run", "dev")

THROUGH = {
    "click": "typer",
    "dotenv": "pydantic-settings",
    "idna": "email-validator",
    "markupsafe": "jinja2",
    "pydantic": "fastapi",
    "pydantic_core": "fastapi",
    "starlette": "fastapi",
}
"""Modules that come with, and are part of the interface of, a declared distribution."""

UNSEEN = {
    "httptools": "uvicorn takes it when it is there",
    "uvloop": "uvicorn takes it when it is there",
    "python-multipart": "Starlette parses forms with it",
    "psycopg": "SQLAlchemy loads it by the database's URL",
}
"""Declared, needed, and imported by somebody else."""


def canonical(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    """The distributions of a list of requirements, without extras, versions and markers."""
    return {canonical(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}


def declared() -> set[str]:
    """What pyproject.toml says that Notifier needs, with every extra."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    return names(PROJECT["project"]["dependencies"]).union(*map(names, extras))


def pins(name: str) -> dict[str, str]:
    """Version by distribution of one file in requirements/."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonical(name): version for name, version in found}


def imported(source: Source) -> set[str]:
    """Top-level names of all modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def foreign(source: Source) -> set[str]:
    """The imports of a file that are neither the standard library nor ours."""
    return imported(source) - sys.stdlib_module_names - {"notifier"}


def distribution(module: str) -> str:
    """The declared distribution that a module is from."""
    if module in THROUGH:
        return THROUGH[module]
    return canonical(packages_distributions().get(module, [module])[0])


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_a_version_and_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    loose = [
        b for b in blocks if not re.match(r"[\w.-]+==\S.*\\\n\s+--hash=sha256:[0-9a-f]{64}", b)
    ]
    assert loose == []


def test_everything_declared_is_pinned() -> None:
    assert declared() - pins("run").keys() == set()


def test_the_development_group_is_pinned() -> None:
    assert names(PROJECT["dependency-groups"]["dev"]) - pins("dev").keys() == set()


def test_the_development_set_holds_the_runtime_set() -> None:
    assert pins("run").items() - pins("dev").items() == set()


@pytest.mark.parametrize("name", SETS)
def test_no_stranger_with_our_name_is_pinned(name: str) -> None:
    """A package index has another `notifier`: a self-reference in a group would install it."""
    assert "notifier" not in pins(name)


def test_every_foreign_import_is_declared() -> None:
    undeclared = {
        f"{source.name}: {module}"
        for source in sources("notifier")
        for module in foreign(source)
        if distribution(module) not in declared()
    }
    assert undeclared == set()


def test_everything_declared_is_used() -> None:
    modules = set().union(*map(foreign, sources("notifier")))
    assert declared() - {distribution(module) for module in modules} - UNSEEN.keys() == set()


def test_core_needs_nothing_but_the_address_validator() -> None:
    rules = [source for source in sources("notifier") if source.name.startswith("notifier/core/")]
    assert set().union(*map(foreign, rules)) <= {"email_validator", "idna"}


def test_tools_and_run_py_need_the_standard_library_only() -> None:
    assert set().union(*map(foreign, sources("tools", "deploy", "run.py"))) == set()
