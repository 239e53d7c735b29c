from benchmarks.decisions_budgets import ratios, tasks
from benchmarks.decisions_plan import JUDGED, ROWS, CleanTask
from benchmarks.decisions_wafers import WINDOWS
from sparsewatch.detectors.learned_windows import RENEWAL


def test_ratios_are_incidents_a_day_over_the_budget() -> None:
    task = CleanTask(stream="steady", kind="ctr", part="choose", a_window=500, features=5, judged=24)
    found = {one.name: one for one in ratios([task], (0.5, 2.0))}
    shape = "5_features_500_rows_budget"
    assert list(found) == [f"false_incidents_ratio_{job}{shape}_{b}" for job in ("", "learning_") for b in ("0.5", "2")]
    for budget, one in zip((0.5, 2.0), list(found.values())[:2], strict=True):
        incidents = int(one.note.split()[0])
        assert "in 24 windows" in one.note
        assert one.value == incidents / budget


def test_a_learning_job_is_judged_from_its_first_comparison_on() -> None:
    task = CleanTask(stream="steady", kind="ctr", part="choose", a_window=500, features=5, judged=24)
    reference, learning = (int(one.note.split()[3]) for one in ratios([task], (1.0,)))
    # It compares with fewer windows than the reference is made of, and with none at first.
    assert reference == 24
    assert 24 < learning <= 48 - RENEWAL


def test_all_shapes_are_planned() -> None:
    planned = [task for task in tasks() if task.kind == "ctr"]
    assert {(task.features, task.a_window) for task in planned} == {(f, rows) for f in JUDGED for rows in ROWS}
    wafers = {(task.stream, task.a_window) for task in tasks() if task.kind == "wafer"}
    assert wafers >= {("drawn", a_window) for a_window in WINDOWS}
    assert [task.kind for task in tasks(quick=True)] == ["ctr", "ctr", "wafer", "wafer"]
