"""The tasks `check`, `fmt` and `lock` of run.py: a few commands each, all run, all reported."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

Step = tuple[str, list[str]]
"""A name for the report, and the arguments of this Python."""


def check(arguments: Sequence[str]) -> Iterator[Step]:
    """All that CI checks beside the tests."""
    yield "ruff check", ["-m", "ruff", "check", *arguments]
    yield "ruff format", ["-m", "ruff", "format", "--check", *arguments]
    yield "mypy", ["-m", "mypy", *arguments]
    yield "import-linter", ["-c", "from importlinter.cli import lint_imports_command as m; m()"]


def fmt(arguments: Sequence[str]) -> Iterator[Step]:
    """Mend what can be mended without thought, then format."""
    yield "ruff check --fix-only", ["-m", "ruff", "check", "--fix-only", *arguments]
    yield "ruff format", ["-m", "ruff", "format", *arguments]


def lock(arguments: Sequence[str]) -> Iterator[Step]:
    """Write the pinned sets from pyproject.toml; the development set keeps the runtime's pins."""
    compile_ = ["-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11"]
    # A header or an index line would carry addresses and folders of the machine that made it.
    plain = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command = [*compile_, "--generate-hashes", *plain, *arguments]
    run = [*command, "pyproject.toml", "--extra", "postgres"]
    for name in ("uv", "build"):
        yield name, [*command, f"requirements/{name}.in", "-o", f"requirements/{name}.txt"]
    yield "run", [*run, "-o", "requirements/run.txt"]
    yield "dev", [*run, "--group=dev", "-c=requirements/run.txt", "-o", "requirements/dev.txt"]


TASKS = {"check": check, "fmt": fmt, "lock": lock}


def main(argv: Sequence[str]) -> int:
    """Run every step of a task, also after one failed; 1 if any did."""
    task, *arguments = argv
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}
    failed = []
    for name, command in TASKS[task](arguments):
        print(f"{task}: {name} ...", file=sys.stderr, flush=True)
        if subprocess.call([sys.executable, *command], env=environment):
            failed.append(name)
    print(f"{task}: {'failed: ' + ', '.join(failed) if failed else 'ok'}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
