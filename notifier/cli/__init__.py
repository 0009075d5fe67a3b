"""The command line: `notifier COMMAND`. Data goes to stdout, words to stderr.

Exit codes: 0 done, 1 it did not work, 2 the call or the settings have to change, 130 Ctrl-C.
"""

from notifier.cli.program import main

__all__ = ["main"]
