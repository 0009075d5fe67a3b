"""Templates of the operator's own in the place of those that flows send by themselves."""

from pathlib import Path

import pytest

from notifier.compose.catalogue import Catalogue
from notifier.core.errors import Misconfigured
from notifier.flows.own_mails import check_own_mails
from notifier.settings.sections import BrandSettings
from tests.support.office import shipped_catalogue


def catalogue_with(folder: Path, name: str, toml: str, text: str) -> Catalogue:
    mail = folder / name
    (mail / "samples").mkdir(parents=True)
    (mail / "mail.toml").write_text(toml)
    (mail / "subject.txt").write_text("Hello\n")
    (mail / "body.txt").write_text(text)
    (mail / "samples" / "one.json").write_text('{"plan": "pro"}')
    return Catalogue.load([folder], BrandSettings(), public_url=None)


def test_the_shipped_ones_fit() -> None:
    check_own_mails(shipped_catalogue())


def test_an_own_one_that_needs_less_fits(tmp_path: Path) -> None:
    toml = "[variables.name]\nrequired = false\n[variables.plan]\nrequired = false\n"
    check_own_mails(catalogue_with(tmp_path, "welcome", toml, "Welcome.\n"))


@pytest.mark.parametrize(("name", "misses"), [("welcome", "plan"), ("verify_email", "plan")])
def test_one_that_needs_more_is_told_of_at_start(tmp_path: Path, name: str, misses: str) -> None:
    catalogue = catalogue_with(tmp_path, name, "[variables.plan]\n", "Your plan: {{ plan }}\n")
    with pytest.raises(Misconfigured) as told:
        check_own_mails(catalogue)
    assert all(f"Template {name}" in problem for problem in told.value.problems)
    assert any(misses in problem for problem in told.value.problems)
