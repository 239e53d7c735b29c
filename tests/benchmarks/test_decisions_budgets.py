from benchmarks.decisions_budgets import ratios, tasks
from benchmarks.decisions_plan import JUDGED, ROWS, CleanTask
from benchmarks.decisions_wafers import WINDOWS


def test_ratios_are_incidents_a_day_over_the_budget() -> None:
    task = CleanTask(stream="steady", kind="ctr", part="choose", a_window=500, features=5, judged=24)
    found = {one.name: one for one in ratios([task], (0.5, 2.0))}
    assert list(found) == [f"false_incidents_ratio_5_features_500_rows_budget_{budget}" for budget in ("0.5", "2")]
    for budget, one in zip((0.5, 2.0), found.values(), strict=True):
        incidents = int(one.note.split()[0])
        assert "in 24 windows" in one.note
        assert one.value == incidents / budget


def test_all_shapes_are_planned() -> None:
    planned = [task for task in tasks() if task.kind == "ctr"]
    assert {(task.features, task.a_window) for task in planned} == {(f, rows) for f in JUDGED for rows in ROWS}
    wafers = {(task.stream, task.a_window) for task in tasks() if task.kind == "wafer"}
    assert wafers >= {("drawn", a_window) for a_window in WINDOWS}
    assert [task.kind for task in tasks(quick=True)] == ["ctr", "ctr", "wafer", "wafer"]
