"""What Notifier costs in time and memory, measured the way its user meets it.

A benchmark is a module of this package with a docstring, whose first line says what it measures,
and a function `main(arguments: Sequence[str]) -> int`. Nothing has to be registered.
"""
