"""What a user installs: the wheel alone, away from the checkout, beside folders that bear our folders' names."""

import csv
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparsewatch.testing import EmbeddedBroker
from tests.kit.installed import REPO_ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.long]

FOLDERS = ("schemas", "detectors", "transforms", "pipelines")
JOB = """
kind = "ctr"
name = "away"
label = "click"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "away"
time_column = "time"
[windows]
length = "1m"
[columns]
site = "str"
click = "int"
"""


def sources() -> set[str]:
    """Files of the packages, as they are named when installed."""
    roots = [REPO_ROOT / "sparsewatch", *(REPO_ROOT / "sparsewatch" / folder for folder in FOLDERS)]
    found = {path.relative_to(REPO_ROOT).as_posix() for root in roots for path in root.rglob("*") if path.is_file()}
    return {path for path in found if "__pycache__" not in path and not path.endswith(".so")}


def parts_in_c() -> set[str]:
    """Files into which the parts in C are built, for every Python from 3.11 on."""
    return {path.removesuffix(".c") + ".abi3.so" for path in sources() if path.endswith(".c")}


def tree_copy(to: Path) -> Path:
    """What a build reads, links as links: a build leaves its own folders beside what it reads."""
    # The console has the page on what to do by a link.
    (to / "docs").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "docs/runbook.md"):
        shutil.copy(REPO_ROOT / name, to / name)
    for name in ("sparsewatch", *FOLDERS):
        shutil.copytree(
            REPO_ROOT / name, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    return to


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it sees no variable that leads to the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def pip_wheel(source: Path, to: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", to, source, cwd=to.parent)
    [wheel] = to.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tree_copy(tmp_path_factory.mktemp("sdist") / "tree")
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", code, tree.parent, cwd=tree)
    [made] = tree.parent.glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Built from the sdist, as where no wheel fits."""
    return pip_wheel(sdist, sdist.parent / "from-sdist")


@dataclass(frozen=True)
class Away:
    """An environment with the wheel in it, and a folder of a project that has packages of our folders' names."""

    folder: Path
    programs: Path

    def sparsewatch(self, *arguments: str | Path) -> str:
        return run(self.programs / "sparsewatch", *arguments, cwd=self.folder)

    def python(self, *arguments: str) -> str:
        return run(self.programs / "python", *arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Away:
    """Dependencies come from this environment, by a path file, which does not take its editable install along."""
    home = tmp_path_factory.mktemp("away")
    venv.create(home / "venv", with_pip=False)
    programs = home / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--python", programs / "python")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=home)
    [packages] = (home / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    for name in FOLDERS:
        (home / "project" / name).mkdir(parents=True)
        (home / "project" / name / "__init__.py").write_text("raise ImportError('a foreign package')\n")
    return Away(home / "project", programs)


def test_the_sdist_holds_files_in_place_of_links(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    assert all(member.isfile() for member in members)
    names = {member.name.partition("/")[2] for member in members}
    assert sources() <= names
    assert not [name for name in names if name.startswith(tuple(f"{folder}/" for folder in FOLDERS))]


def test_the_wheel_holds_one_package_with_all_its_files(wheel: Path) -> None:
    names = names_in(wheel)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"sparsewatch"}
    assert {name for name in names if name.startswith("sparsewatch/")} == sources() | parts_in_c()
    assert "sparsewatch/py.typed" in names


def test_a_wheel_of_the_checkout_is_that_of_the_sdist(wheel: Path, tmp_path: Path) -> None:
    assert names_in(pip_wheel(tree_copy(tmp_path / "tree"), tmp_path / "wheels")) == names_in(wheel)


def test_it_is_the_installed_package_that_is_imported(away: Away) -> None:
    code = "import sparsewatch; from sparsewatch import FeatureCounts; print(sparsewatch.__file__, FeatureCounts)"
    assert away.python("-c", code).startswith(str(away.programs.parent))


def test_command_and_module_say_their_version_and_help(away: Away) -> None:
    assert away.sparsewatch("--version") == away.python("-m", "sparsewatch", "--version")
    assert away.sparsewatch("--help") == away.python("-m", "sparsewatch", "--help")
    assert "Usage: sparsewatch [OPTIONS] COMMAND" in away.sparsewatch("--help")


def test_a_file_is_ranked(away: Away) -> None:
    path = away.folder / "clicks.csv"
    with path.open("w", newline="") as file:
        rows = ((f"s{i % 4}", i % 7, int(i % 4 == 0)) for i in range(400))
        csv.writer(file).writerows([("site", "hour", "click"), *rows])
    page = away.folder / "ranking.html"
    assert "site" in away.sparsewatch("rank", path, "--label", "click")
    away.sparsewatch("rank", path, "--label", "click", "--format", "html", "--out", page)
    assert "site" in page.read_text()


@pytest.fixture
def published(away: Away, embedded_broker: EmbeddedBroker) -> Path:
    job, clicks = away.folder / "away.toml", away.folder / "stream.csv"
    job.write_text(JOB.format(bootstrap=embedded_broker.bootstrap))
    with clicks.open("w", newline="") as file:
        rows = ((1_700_000_040_000 + i * 1000, f"s{i % 4}", i % 2) for i in range(180))
        csv.writer(file).writerows([("time", "site", "click"), *rows])
    away.sparsewatch("publish", clicks, "--topic", "away", "--time-column", "time", "--job", job, "--partitions", "2")
    return job


def test_a_click_job_runs_and_its_numbers_add_up(away: Away, published: Path) -> None:
    away.sparsewatch("check", published)
    assert "180 counted" in away.sparsewatch("run", published, "--until", "latest")
