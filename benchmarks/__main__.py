"""`python3 run.py bench [NAME] [ARGS]`: one benchmark; without a name the goals."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
USUAL = "goals"


def available() -> dict[str, str]:
    """Each benchmark with the first line of its docstring; none is imported for that."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
        for path in sorted(HERE.glob("*.py"))
        if not path.stem.startswith("_")
    }


def main(argv: Sequence[str]) -> int:
    """Run what `argv` names; 2 if there is none of that name, else what it returns."""
    found = available()
    named = bool(argv) and not argv[0].startswith("-")
    name, arguments = (argv[0], argv[1:]) if named else (USUAL, argv)
    if name not in found or set(argv) == {"--help"}:
        names = "".join(f"\n  {name:12} {what}" for name, what in found.items())
        print(f"The benchmarks are:{names}" if found else "There are no benchmarks yet.")
        return 0 if found and set(argv) & {"--help", "list"} else 2
    status: int = importlib.import_module(f"benchmarks.{name}").main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
