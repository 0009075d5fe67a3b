"""`python3 run.py bench [NAME [ARGS]]`: one benchmark, or all of them one after the other."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def available() -> dict[str, str]:
    """Each benchmark with the first line of its docstring; none is imported for that."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
        for path in sorted(HERE.glob("*.py"))
        if not path.stem.startswith("_")
    }


def main(argv: Sequence[str]) -> int:
    """Run what `argv` names; 2 if there is none of that name, 1 if a benchmark failed."""
    found = available()
    if not found or (argv and argv[0] not in found):
        names = "".join(f"\n  {name:12} {what}" for name, what in found.items())
        print(f"The benchmarks are:{names}" if found else "There are no benchmarks yet.")
        return 0 if set(argv) & {"-h", "--help", "list"} else 2
    chosen = argv[:1] or found
    statuses = [importlib.import_module(f"benchmarks.{name}").main(argv[1:]) for name in chosen]
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
