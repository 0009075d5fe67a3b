"""What is made of figures: medians, goals, the table."""

from pathlib import Path

import pytest

from benchmarks.rig.figures import OURS, TIMES, Failed, Line, Sample, alternate, percentile
from benchmarks.rig.report import number, printed
from benchmarks.table import BEGIN, END, newest, replaced, table


def line_of(ours: list[float], peer: list[float]) -> Line:
    series = {OURS: [{"per_s": x} for x in ours], "peer": [{"per_s": x} for x in peer]}
    return Line("x", "sending", series=series)


def test_rounds_alternate() -> None:
    order: list[str] = []

    def contestant(name: str) -> Sample:
        order.append(name)
        return {"per_s": 1.0}

    alternate(Line("x", "x"), {"a": lambda: contestant("a"), "b": lambda: contestant("b")}, 2)
    assert order == ["a", "b", "a", "b"]


def test_a_contestant_that_fails_is_named_and_the_others_go_on() -> None:
    def fails() -> Sample:
        raise Failed("no such program")

    line = alternate(Line("x", "x"), {"a": fails, OURS: lambda: {"per_s": 2.0}}, 3)
    assert line.absent == {"a": "no such program"}
    assert line.middle(OURS) == 2
    assert line.middle("a") is None


@pytest.mark.parametrize(("factor", "met"), [(1.9, True), (2.0, True), (2.1, False)])
def test_a_goal_is_the_ratio_of_medians(factor: float, *, met: bool) -> None:
    line = line_of([10, 20, 900], [1, 10, 11])
    line.at_least(factor, "peer")
    assert (line.goals[0].measured, line.goals[0].met) == (2, met)


def test_no_second_round_begins_after_the_end() -> None:
    line = alternate(Line("x", "x"), {OURS: lambda: {"per_s": 2.0}}, 3, ends=0)
    assert line.series == {OURS: [{"per_s": 2.0}]}


def test_a_peer_that_loses_mail_is_shown_with_what_it_lost() -> None:
    line = line_of([10], [5])
    line.series["peer"][0]["lost"] = 7
    kept = {"taken_at": "2030", "machine": "m", "versions": {}, "lines": [line.to_json()]}
    assert f"peer: 5.00 (2.00 {TIMES}, lost 7)" in table(kept)


def test_a_goal_without_its_peer_is_not_measured() -> None:
    line = line_of([10], [])
    line.at_most(2, "peer")
    assert (line.goals[0].measured, line.goals[0].met) == (None, None)


def test_a_limit_holds_for_the_median() -> None:
    line = line_of([1, 2, 9], [])
    line.below(2, "per_s", "ms")
    assert line.goals[0].met


def test_the_99th_percentile_leaves_one_in_a_hundred_above() -> None:
    assert percentile([float(n) for n in range(100)], 0.99) == 99
    assert percentile([5.0], 0.99) == 5


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.4567, "0.46"), (12.34, "12.3"), (123.4, "123"), (12345, "12,300")],
)
def test_figures_are_written_with_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_kept_line_reads_back_as_it_was() -> None:
    line = line_of([10], [5])
    line.at_least(1, "peer")
    assert Line.from_json(line.to_json()) == line


def test_the_table_shows_ratio_and_goal_and_who_is_missing() -> None:
    line = line_of([3000], [1000])
    line.at_least(8, "peer")
    line.absent["node"] = "no npm | here"
    kept = {"taken_at": "2030-01-31T00:00", "machine": "m", "versions": {"python": "3.11"}}
    text = table({**kept, "lines": [line.to_json()]})
    assert (
        f"| sending | 3,000 mails/s | peer: 1,000 (3.00 {TIMES})<br>node: absent (no npm / h"
        in text
    )
    assert f"≥ 8 {TIMES} peer: **3.00**, NOT MET" in text


def test_what_is_printed_names_the_loss() -> None:
    line = Line("x", "sending", series={OURS: [{"per_s": 5.0, "lost": 3.0}]})
    assert "lost 3.00" in printed(line)


def test_the_table_replaces_what_stood_between_the_marks_and_nothing_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert replaced(text, r"new \1") == f"before\n{BEGIN}\nnew \\1\n{END}\nafter"


def test_the_newest_kept_run_is_taken_but_no_quick_one(tmp_path: Path) -> None:
    for name in ("2030-01-01-a.json", "2030-02-01-a.json", "2030-03-01-a-quick.json"):
        (tmp_path / name).touch()
    assert newest(tmp_path) == tmp_path / "2030-02-01-a.json"
    assert newest(tmp_path / "none") is None
