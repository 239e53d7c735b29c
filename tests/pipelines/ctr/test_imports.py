"""What a click job that scores no rows does without: packages that hold up its start and fill its memory."""

import subprocess
import sys
from pathlib import Path

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from tests.kit.job_files import write_click_job
from tests.pipelines.ctr.example import COLUMNS, FEATURES, NUMBERS, events

#: What takes long to import; pandas is not among it, since Beam imports it.
HEAVY = {"torch", "sklearn", "scipy.stats", "scipy.sparse", "scipy.spatial", "scipy.optimize", "matplotlib", "numba"}
#: Runs the job of a file as a user would, at a broker in memory, and names all that was imported.
RUN = """
import json, sys
from sparsewatch.pipelines.cli import cli
from sparsewatch.testing import FakeBroker

job, *options = sys.argv[1:]
with FakeBroker() as broker:
    writer = broker.writer()
    broker.create("clicks")
    for i in range(100):
        row = {"t": 1_700_000_000_000 + 1_000 * i, "amount": i / 7, "weight": 1.0, "site": f"s{i % 5}", "click": i % 2}
        writer.send("clicks", None, json.dumps(row).encode())
    writer.flush()
    address = f"kafka.bootstrap_servers={json.dumps(broker.settings.bootstrap_servers)}"
    arguments = ["run", job, "--until", "latest", "--runner", "inprocess", "--set", address, *options]
    cli.main(arguments, standalone_mode=False)
print(*sys.modules)
"""


def imported_by_run(folder: Path, *settings: str) -> set[str]:
    """Modules that a process has imported by the end of a run of a click job with these settings."""
    job = write_click_job(folder, "broker:9092", "clicks", COLUMNS)
    options = [option for setting in ("label=click", *settings) for option in ("--set", setting)]
    done = subprocess.run([sys.executable, "-c", RUN, str(job), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *said, modules = done.stdout.splitlines()
    assert "100 read = 100 counted + 0 rejected + 0 late" in said[-1]
    return set(modules.split())


def test_a_click_job_runs_without_networks_and_models(tmp_path: Path) -> None:
    imported = imported_by_run(tmp_path)
    assert "sparsewatch.pipelines.ctr.job" in imported
    assert HEAVY & imported == set()


def test_views_and_samples_need_no_networks(tmp_path: Path) -> None:
    windows = [FeatureCounts(FEATURES, "click", numbers=NUMBERS) for _ in range(2)]
    for seed, counts in enumerate(windows):
        counts.update(events(100, seed))
    fit_reference(windows).save(tmp_path / "reference")
    reference = f"checks.reference={tmp_path / 'reference'}"
    imported = imported_by_run(tmp_path, reference, "ranking.panes=3", "ranking.sample_rows=50", "ranking.costs=true")
    assert "sparsewatch.pipelines.ctr.whole_rows" in imported
    assert {"torch", "sklearn", "matplotlib"} & imported == set()
