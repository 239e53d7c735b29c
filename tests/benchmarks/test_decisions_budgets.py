from benchmarks.decisions_budgets import ratios, tasks
from benchmarks.decisions_plan import JUDGED, ROWS, CleanTask


def test_ratios_are_incidents_a_day_over_the_budget() -> None:
    task = CleanTask(stream="steady", kind="ctr", part="choose", a_window=500, features=5, judged=24)
    found = {one.name: one for one in ratios([task], (0.5, 2.0))}
    assert list(found) == [f"false_incidents_ratio_5_features_500_rows_budget_{budget}" for budget in ("0.5", "2")]
    for budget, one in zip((0.5, 2.0), found.values(), strict=True):
        incidents = int(one.note.split()[0])
        assert "in 24 windows" in one.note
        assert one.value == incidents / budget


def test_all_shapes_are_planned() -> None:
    assert {(task.features, task.a_window) for task in tasks()} == {(f, rows) for f in JUDGED for rows in ROWS}
    assert len(tasks(quick=True)) == 2
