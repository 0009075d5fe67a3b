"""deploy/make_secrets.py makes what compose.yaml reads, once."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from notifier.core.api_key import route_of
from tests.deploy.files import COMPOSE, DEPLOY


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(DEPLOY / "make_secrets.py"), run_name="make_secrets")


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def test_it_makes_every_secret_of_compose_in_the_place_that_git_ignores(
    script: dict[str, Any], tmp_path: Path
) -> None:
    assert script["main"]([], tmp_path / "secrets") == 0
    named = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert read(tmp_path / "secrets").keys() == named
    folders = {(DEPLOY.parent / s["file"]).parent for s in COMPOSE["secrets"].values()}
    assert folders == {script["FOLDER"]}
    assert "/deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text("utf-8").splitlines()


def test_they_fit_each_other(script: dict[str, Any], tmp_path: Path) -> None:
    script["main"](["smtps://u:p@relay.example.org"], tmp_path)
    made = {name: text.strip() for name, text in read(tmp_path).items()}
    assert f":{made['postgres_password']}@postgres/" in made["database_url"]
    assert made["relay_url"] == "smtps://u:p@relay.example.org"
    assert route_of(made["api_key"]) == "live"
    assert len(made["secret_key"]) >= 48


def test_the_next_time_it_leaves_them_alone_and_makes_what_is_missing(
    script: dict[str, Any], tmp_path: Path
) -> None:
    script["main"]([], tmp_path)
    before = read(tmp_path)
    (tmp_path / "database_url").unlink()
    script["main"]([], tmp_path)
    assert read(tmp_path) == before


def test_containers_can_read_them_and_other_users_cannot(
    script: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    script["main"]([], folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_what_is_no_url_is_refused(script: dict[str, Any], tmp_path: Path) -> None:
    assert script["main"](["--help"], tmp_path / "secrets") == 2
    assert not (tmp_path / "secrets").exists()
