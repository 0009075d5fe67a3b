"""The dashboard: every panel asks for series and labels that exist."""

import json
from typing import Any

import pytest

from tests.deploy.files import DEPLOY
from tests.deploy.test_alerts import KNOWN, asked

BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "notifier.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
OURS = [panel for panel in PANELS if "process_" not in panel["targets"][0]["expr"]]


@pytest.mark.parametrize("panel", OURS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_series_and_labels_that_exist(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        series = asked(target["expr"])
        assert series
        assert {name for name, _ in series} <= KNOWN.keys()
        assert all(labels <= set(KNOWN[name].labels) for name, labels in series)


def test_panels_have_their_own_places_and_a_source_that_can_be_chosen() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}) == len(PANELS)
    names = {one["name"] for one in BOARD["templating"]["list"]}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
    assert names == {"datasource", "job"}
