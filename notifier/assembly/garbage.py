"""The garbage collector of a process that lives long and makes little garbage in cycles."""

import gc
from typing import Final

_YOUNG: Final = 20_000
_GENERATIONS: Final = 20


def spare_what_stays() -> None:
    """Let the collector look at what is there by now never again, and at the rest more seldom.

    Modules, templates and routes are some hundred thousand objects that stay until the end. To go
    over them again and again was a sixth of what a call costs. Most garbage is no cycle, and needs
    no collector; `_YOUNG` objects in cycles are a few MB.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, _GENERATIONS, _GENERATIONS)
