import sys
from pathlib import Path

import pytest

from benchmarks.house import traced
from benchmarks.house.kinds import places_that_ask
from benchmarks.house.repeats import code_lines, repeated_runs
from benchmarks.house.tree import Tree, circles, rooms

_BLOCK = "".join(f"    total = total + step_{at} * weight\n" for at in range(6))


def _tree(root: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Tree(root)


def test_files_at_the_top_leave_out_rooms_and_init(tmp_path: Path) -> None:
    tree = _tree(tmp_path, {"pipelines/__init__.py": "", "pipelines/cli.py": "", "pipelines/run/run.py": ""})
    assert tree.top_files("pipelines") == ["cli.py"]


@pytest.mark.parametrize("prefix", ["", "sparsewatch."])
def test_imports_are_found_by_either_name_and_anywhere_in_a_file(tmp_path: Path, prefix: str) -> None:
    tree = _tree(
        tmp_path,
        {
            "schemas/errors.py": "import json",
            "schemas/jobs.py": f"from {prefix}schemas.errors import ConfigError",
            "detectors/__init__.py": "",
            "detectors/a.py": f"def late():\n    import {prefix}schemas.jobs\n    from {prefix}detectors import b",
            "detectors/b.py": f"if TYPE_CHECKING:\n    from {prefix}schemas import errors",
        },
    )
    assert tree.imports() == {
        "schemas.errors": set(),
        "schemas.jobs": {"schemas.errors"},
        "detectors": set(),
        "detectors.a": {"schemas.jobs", "detectors.b"},
        "detectors.b": {"schemas.errors"},
    }


def test_a_circle_is_every_group_that_reaches_itself() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"f"}, "f": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]


def test_a_tree_without_arrows_has_no_circle() -> None:
    assert circles({"a": set(), "b": set()}) == []


@pytest.mark.long
def test_no_files_and_no_rooms_of_the_project_import_each_other_in_a_circle() -> None:
    imports = Tree(Path(__file__).resolve().parents[2]).imports()
    assert len(imports) > 100
    assert circles(imports) == []
    assert circles(rooms(imports)) == []


def test_files_without_a_circle_may_stand_in_rooms_with_one() -> None:
    graph = {"detectors.rows.model": {"detectors.counts.tail"}, "detectors.counts.values": {"detectors.rows.scorer"}}
    assert circles(graph) == []
    assert circles(rooms(graph)) == [["detectors.counts", "detectors.rows"]]


def test_each_way_to_ask_a_kind_is_found(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path,
        {
            "schemas/jobs.py": (
                "class ClickJob(Struct, tag_field='kind', tag='clicks'): ...\n"
                "class FabJob(Struct, tag_field='kind', tag='fab'): ...\n"
                "class Disk(Struct, tag='disk'): ...\n"
            ),
            "pipelines/run.py": (
                "isinstance(job, ClickJob | FabJob)\n"
                "type(job) is FabJob\n"
                "self.job.kind == 'fab'\n"
                "{'clicks': 1, 'fab': 2}\n"
                "match job:\n"
                "    case ClickJob(): ...\n"
                # Not a job's kind:
                "isinstance(job, Disk)\n"
                "record.kind == 'fab'\n"
                "{'clicks': 1, 'other': 2}\n"
                "ClickJob(name='fab')\n"
            ),
        },
    )
    assert places_that_ask(tree) == [f"pipelines.run:{line}" for line in (1, 2, 3, 4, 6)]


def test_lines_of_code_are_tokens_without_comments_imports_and_docstrings() -> None:
    imports = "import os\nfrom a import (\n    b,\n)\n"
    text = f'"""Says."""\n{imports}\ndef f( x ):  # why\n    """Says\n    more."""\n    return  x\n'
    assert code_lines(text) == ["def f ( x ) :", "return x"]


def test_a_run_in_two_places_is_found_once_whatever_its_layout(tmp_path: Path) -> None:
    spaced = _BLOCK.replace(" + ", "  +  ").replace("\n", "  # note\n\n", 1)
    paths = [tmp_path / "a.py", tmp_path / "b.py", tmp_path / "c.py"]
    for path, block in zip(paths, (_BLOCK, spaced, _BLOCK), strict=True):
        path.write_text(f"def {path.stem}(total, weight):\n{block}    return {path.stem}\n", encoding="utf-8")
    [(run, files)] = repeated_runs(paths).items()
    assert len(run) == 6
    assert files == {str(path) for path in paths}


def test_a_longer_run_is_one_run(tmp_path: Path) -> None:
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in paths:
        path.write_text(f"def {path.stem}(total, weight):\n{_BLOCK}    total += 1\n    return 1\n", encoding="utf-8")
    assert [len(run) for run in repeated_runs(paths)] == [8]


def test_five_lines_are_no_run_and_a_line_repeated_does_not_repeat_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    five = "".join(_BLOCK.splitlines(keepends=True)[:5])
    path.write_text(f"def f():\n{five}def g():\n{five}def h():\n" + "    step()\n" * 9, encoding="utf-8")
    assert not repeated_runs([path])


def test_the_profiler_sees_functions_and_not_bodies_of_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path.resolve()
    _tree(
        root,
        {
            "schemas/called.py": "def f(): ...\n",
            "schemas/loaded.py": "class A:\n    b = [c for c in 'd']\n",
            "schemas/before.py": "def g(): ...\n",
        },
    )
    monkeypatch.syspath_prepend(root / "schemas")

    def work() -> None:
        from importlib import import_module

        import_module("loaded")
        import_module("before").g()
        import_module("called").f()

    profiler = sys.getprofile()
    try:
        code = traced.called_code(work, "f")
    finally:
        sys.setprofile(profiler)
    assert {path for each in code if (path := traced.own_path(each, root))} == {"schemas/called.py"}
