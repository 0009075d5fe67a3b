"""Settings that are enough outside dev, and what is wrong with others."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.core.errors import Misconfigured
from notifier.settings.load import Purpose, load

KEY = "0123456789abcdef" * 3
ENOUGH = {
    "NOTIFIER_PUBLIC_URL": "https://notify.example.org",
    "NOTIFIER_SECRET_KEY": KEY,
    "NOTIFIER_MAIL__FROM": "Example <no-reply@example.org>",
    "NOTIFIER_RELAYS__MAIN__URL": "smtps://smtp.example.org",
}


def problems(
    environ: Mapping[str, str],
    *,
    is_dev: bool = False,
    dotenv: Path | None = None,
    purpose: Purpose = "serve",
) -> list[str]:
    """Every sentence of the refusal; fails the test if there is none."""
    with pytest.raises(Misconfigured) as refusal:
        load(environ, is_dev=is_dev, dotenv=dotenv, purpose=purpose)
    return list(refusal.value.problems)


def only_problem(environ: Mapping[str, str], *, is_dev: bool = False) -> str:
    """The one sentence about what is added to settings that are enough."""
    (problem,) = problems({**({} if is_dev else ENOUGH), **environ}, is_dev=is_dev)
    return problem
