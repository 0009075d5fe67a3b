"""What stands in the files beside the code."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.meta.sources import ROOT, texts

# With a character class in each, or this file would be the first that they find.
REGISTRIES = re.compile(r"py[p]i\.org|python[h]osted\.org|registry\.np[m]js|deb\.de[b]ian\.org")
MACHINE = re.compile(r"(?<![\w./-])/(wor[k]|tm[p]/w|roo[t]|hom[e]/\w+|User[s]/\w+)/")


def test_no_file_names_a_package_registry() -> None:
    assert [name for name, text in texts() if REGISTRIES.search(text)] == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert [name for name, text in texts() if MACHINE.search(text)] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / name).read_text("utf-8"))
    files = [target for target in targets if "://" not in target]
    assert [target for target in files if not (ROOT / target).exists()] == []


def test_contributing_is_less_than_a_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 50


@pytest.mark.parametrize("command", ["python3 run.py", "python3 run.py test"])
def test_the_readme_starts_with_the_two_commands(command: str) -> None:
    block = (ROOT / "README.md").read_text("utf-8").split("```")[1]
    assert command in [line.partition("#")[0].strip() for line in block.splitlines()]


def test_ci_runs_the_readmes_command_and_the_checks() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.findall(r"^python3 (run\.py \w+)", script, re.MULTILINE) == [
        "run.py test",
        "run.py check",
    ]


def test_ci_is_a_script_that_bash_understands() -> None:
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


def test_pre_commit_needs_no_other_repository() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]


def test_no_python_version_and_no_lock_with_addresses_is_committed() -> None:
    names = {Path(name).name for name, _ in texts()}
    assert names & {".python-version", "uv.lock"} == set()
