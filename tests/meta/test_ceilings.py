"""The house's ceilings that ruff and mypy do not hold."""

import ast
import re
import statistics

import pytest

from tests.meta.sources import CODE, Function, Source, sources, texts

TABLES = {
    "notifier/settings/sections.py": "every setting, one line each",
    "notifier/store/schema.py": "every table, one line a column",
    "notifier/store/migrations/versions/v0001_first_schema.py": "the same, frozen once released",
}
"""Files that may have 400 lines: long lists, not long thoughts."""

MIGRATION = 300
"""Lines of a function that makes tables: it is frozen once released, and has one thought a line."""

BROAD = {"Exception", "BaseException"}
VAGUE = re.compile(r"\b(utils?|helpers?|commons?|managers?|services?)\b")
BARE_IGNORE = re.compile(r"#\s*type:\s*ignor[e](?!\[)")


def length(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters(function: Function) -> int:
    args = function.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    bound = bool(named) and named[0].arg in {"self", "cls"}
    return len(named) - bound + bool(args.vararg) + bool(args.kwarg)


def is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in BROAD for name in names)


def broad_handlers(source: Source) -> list[ast.ExceptHandler]:
    handlers = (node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler))
    return [handler for handler in handlers if is_broad(handler)]


def has_comment(source: Source, line: int) -> bool:
    """Whether line number `line` ends in a comment, or one stands just above or below it."""
    lines = source.text.splitlines()
    own, around = lines[line - 1], (lines[line - 2], lines[line])
    said = re.sub(r"noqa: [A-Z]+\d+", "", own.partition("#")[2])
    return bool(re.search(r"\w", said)) or any(text.strip().startswith("#") for text in around)


def own_imports(function: Function) -> list[int]:
    """Lines inside `function` that import this package."""
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "notifier"]
        else:
            continue
        found += [node.lineno for name in names if name.split(".")[0] == "notifier"]
    return found


def test_no_function_is_longer_than_50_lines() -> None:
    long = [
        f"{source.name}:{function.lineno} {function.name}: {length(function)} lines"
        for source in sources(*CODE, "tests")
        for function in source.functions()
        if length(function) > (MIGRATION if "/migrations/versions/" in source.name else 50)
    ]
    assert long == []


def test_no_file_is_longer_than_300_lines() -> None:
    counts = {source.name: len(source.text.splitlines()) for source in sources(*CODE)}
    assert {n: c for n, c in counts.items() if c > (400 if n in TABLES else 300)} == {}


def test_half_of_the_functions_have_at_most_ten_lines() -> None:
    lengths = [length(f) for source in sources("notifier") for f in source.functions()]
    assert statistics.median(lengths) <= 10


def test_no_function_takes_more_than_six_parameters() -> None:
    many = [
        f"{source.name}:{function.lineno} {function.name}: {parameters(function)}"
        for source in sources(*CODE)
        for function in source.functions()
        if parameters(function) > 6
    ]
    assert many == []


def test_broad_excepts_are_few() -> None:
    found = [
        f"{source.name}:{handler.lineno}"
        for source in sources("notifier")
        for handler in broad_handlers(source)
    ]
    assert len(found) <= 5, found


def test_each_broad_except_has_its_reason() -> None:
    mute = [
        f"{source.name}:{handler.lineno}"
        for source in sources(*CODE)
        for handler in broad_handlers(source)
        if not has_comment(source, handler.lineno)
    ]
    assert mute == []


def test_nothing_of_our_own_is_imported_inside_a_function() -> None:
    hidden = [
        f"{source.name}:{line}"
        for source in sources("notifier")
        for function in source.functions()
        for line in own_imports(function)
    ]
    assert hidden == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [
        source.name
        for source in sources(*CODE, "tests")
        if VAGUE.search(source.name.replace("_", " ").replace(".", " "))
    ]
    assert vague == []


def test_every_type_ignore_names_its_code() -> None:
    bare = [
        f"{source.name}:{number}"
        for source in sources(*CODE, "tests")
        for number, line in enumerate(source.text.splitlines(), 1)
        if BARE_IGNORE.search(line)
    ]
    assert bare == []


def test_nothing_is_left_to_do_later() -> None:
    word = re.compile(r"\b(TO[D]O|FIX[M]E)\b")
    left = [name for name, text in texts() if word.search(text)]
    assert left == []


def test_half_of_the_tests_have_at_most_ten_lines() -> None:
    lengths = [
        length(function)
        for source in sources("tests")
        for function in source.functions()
        if function.name.startswith("test_")
    ]
    assert statistics.median(lengths) <= 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x = 1  # type: {}", True), ("x = 1  # type: {}[misc]", False)],
)
def test_the_search_for_bare_ignores_finds_them(text: str, *, expected: bool) -> None:
    assert bool(BARE_IGNORE.search(text.format("ignore"))) is expected


@pytest.mark.parametrize(
    ("code", "broad"),
    [
        ("try: pass\nexcept Exception: pass", 1),
        ("try: pass\nexcept (OSError, BaseException): pass", 1),
        ("try: pass\nexcept: pass", 1),
        ("try: pass\nexcept OSError: pass", 0),
    ],
)
def test_the_search_for_broad_excepts_finds_them(code: str, broad: int) -> None:
    assert len(broad_handlers(Source("x.py", code, ast.parse(code)))) == broad


def test_the_search_for_hidden_imports_finds_them() -> None:
    function = ast.parse("def f():\n  import notifier.core\n  from notifier import x\n  import re")
    assert own_imports(function.body[0]) == [2, 3]  # type: ignore[arg-type]
