"""The alerting rules: every series they ask for exists, and the handbook explains every alert."""

import re
from typing import Any

import pytest
import yaml

from notifier.observe.series import COUNTED, READ
from tests.deploy.files import DEPLOY, ROOT

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "notifier.rules.yaml").read_text("utf-8"))[
        "groups"
    ]
    for rule in group["rules"]
]
KNOWN = {series.name: series for series in (*COUNTED, *READ)}
HANDBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8")


def asked(expression: str) -> list[tuple[str, set[str]]]:
    """Each series with the labels that it is chosen by."""
    found = re.findall(
        r"(notifier_[a-z_]+?)(?:_(?:count|sum|bucket))?\b(?:\{([^}]*)\})?", expression
    )
    return [(name, set(re.findall(r"(\w+)(?==)", labels))) for name, labels in found]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    series = asked(rule["expr"])
    assert series
    assert {name for name, _ in series} <= KNOWN.keys()
    assert all(labels <= set(KNOWN[name].labels) for name, labels in series)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_who_gets_up_and_the_handbook_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert f"| `{rule['alert']}` |" in HANDBOOK
