"""`sparsewatch retrain`: a new row model from a job's own rows, promoted only after a shadow run."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.job.job_file import load_job_of
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.tables.options import reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import ConfigError, SparsewatchError
from sparsewatch.schemas.settings import Count, CountOrNone, parse_duration_us, read_settings

if TYPE_CHECKING:
    from sparsewatch.detectors.rows.windows.shadow import ShadowRule
    from sparsewatch.pipelines.retrain.plan import Outcome, Plan

_EXAMPLES = """
\b
Examples:
  sparsewatch retrain fab.toml                       # while the job runs
  sparsewatch retrain fab.toml --if-drifted          # for cron: does nothing unless p-values have drifted
  sparsewatch retrain fab.toml --every 24h           # repeatedly, in one process
  sparsewatch retrain fab.toml --offline             # without a running job: shadow run on held-out rows
  sparsewatch retrain fab.toml --files last_week.parquet --method knn
\b
Exit code: 0 the candidate was promoted, or no retraining was needed; 1 it was refused or rolled back; 2 an error.
"""

#: Time that windows take to close after their end, and workers to see a candidate.
_SLACK_S = 300
_LEAST_EVERY_S = 60.0


@click.command(epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting of the job.")
@click.option(
    "--files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Learn from this file or folder instead of the job's windows; may be repeated.",
)
@reading_options
@click.option(
    "--learn",
    type=click.Choice(["ordinary", "drifted", "all"]),
    help="Windows to learn from: those without a finding; also those that only drifted; all, whatever was found in "
    "them.  [default: ordinary; drifted with --if-drifted]",
)
@click.option("--last", type=ranged(Count), help="Take only the newest N saved windows.  [default: all]")
@click.option("--method", metavar="NAME", help="See train rows.  [default: that of the present model]")
@click.option("--sample-rows", type=ranged(Count), default=200_000, show_default=True, help="Most rows to learn from.")
@click.option("--seed", type=ranged(CountOrNone), default=0, show_default=True, help="Seed of everything random.")
@click.option("--windows", type=ranged(Count), default=3, show_default=True, help="Windows of the shadow run.")
@click.option(
    "--offline",
    is_flag=True,
    help="Shadow run on the newest saved windows, which are held out of the training; needs no running job.",
)
@click.option(
    "--watch",
    type=ranged(CountOrNone),
    help="Windows to watch after a promotion; 0 for none.  [default: 3; 0 with --offline]",
)
@click.option(
    "--timeout", metavar="DURATION", help="How long to wait for these windows.  [default: 2 windows more and 5m]"
)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Limit that the candidate must keep, e.g. largest_ratio=5; names are in docs/retraining.md.",
)
@click.option("--if-drifted", is_flag=True, help="Do nothing unless most of the newest windows drifted.")
@click.option("--every", metavar="DURATION", help="Repeat without end, at this interval from start to start.")
def retrain(
    job_file: Path,
    overrides: tuple[str, ...],
    files: tuple[Path, ...],
    reading: Reading,
    learn: str | None,
    last: int | None,
    method: str | None,
    sample_rows: int,
    seed: int,
    windows: int,
    offline: bool,
    watch: int | None,
    timeout: str | None,
    rules: tuple[str, ...],
    if_drifted: bool,
    every: str | None,
) -> None:
    """Retrain the row model of JOB.toml, and promote it only if it passes a shadow run.

    1. Rows are collected from the samples that the job saved of its last windows; windows with alerts are left out.
    2. A candidate is trained, by the method of the present model. 3. The running job scores its rows with both models;
    only the present model's results count. 4. The candidate is promoted unless it flags more than three times the rows
    it should, or hardly any, or its p-values are less uniform than the present model's, or it ranks rows in opposite
    order. 5. The former model now scores in the shadow; the new model is rolled back if it alone flags more than three
    times the rows it should. Everything is logged in retraining.jsonl in the model's folder; refused versions stay
    there, too.

    None of this shows that a model finds anomalies better: see docs/retraining.md.
    """
    every_s = None if every is None else duration_us("--every", every) / 1e6
    if every_s is not None and every_s < _LEAST_EVERY_S:
        raise ConfigError(f"--every: expected at least '{_LEAST_EVERY_S:.0f}s', got {every!r}")
    job = load_job_of(RowsJob, job_file, overrides, why="the only kind that samples rows and follows its model")
    from sparsewatch.pipelines.retrain.plan import Plan

    watch = (0 if offline else 3) if watch is None else watch
    length_s = parse_duration_us(job.windows.length) / 1e6
    wait_s = (
        (max(windows, watch) + 2) * length_s + _SLACK_S if timeout is None else duration_us("--timeout", timeout) / 1e6
    )
    plan = Plan(
        job=job,
        files=files,
        reading=reading,
        learn=learn or ("drifted" if if_drifted else "ordinary"),  # type: ignore[arg-type]
        last=last,
        method=method,
        sample_rows=sample_rows,
        seed=seed,
        windows=windows,
        watch=watch,
        timeout_s=wait_s,
        offline=offline,
        if_drifted=if_drifted,
        rule=_rule(rules, job if if_drifted else None),
    )
    _check(plan)
    if every_s is not None:
        _for_ever(plan, every_s)
    elif _once(plan) in ("refused", "rolled back"):
        sys.exit(1)


def _rule(given: tuple[str, ...], drifted: RowsJob | None) -> "ShadowRule":
    """The rule; after a drift the candidate must end it, by the job's own `least_drift` or the limit given."""
    from sparsewatch.detectors.rows.windows.shadow import ShadowRule

    numbers = {}
    if drifted is not None:
        numbers["largest_distance"] = drifted.rows.thresholds.least_drift
    for text in given:
        name, _, number = text.partition("=")
        try:
            numbers[name] = float(number)
        except ValueError as error:
            raise ConfigError(f"--rule: expected NAME=NUMBER, got {text!r}") from error
    try:
        return read_settings(numbers, ShadowRule)
    except ConfigError as error:
        raise ConfigError(f"--rule: {error}") from error


def _check(plan: "Plan") -> None:
    """Permanent faults are reported before the first training, and before a schedule starts."""
    from sparsewatch.pipelines.retrain.plan import model_folder
    from sparsewatch.pipelines.train.rows import method_of

    model_folder(plan.job)
    if plan.method is not None:
        method_of(plan.method, None, None)
    if plan.files and plan.last:
        raise ConfigError("--last chooses among the job's windows, but rows come from --files")


def _once(plan: "Plan") -> "Outcome":
    # Brings in Beam and the scoring methods, which takes seconds.
    from sparsewatch.pipelines.retrain.run import retrain as run

    return run(plan)


def _for_ever(plan: "Plan", every_s: float) -> None:
    try:
        while True:
            begun = time.monotonic()
            try:
                _once(plan)
            except (SparsewatchError, OSError) as error:
                click.echo(f"this retraining failed, the model is unchanged: {error}", err=True)
            left_s = max(0.0, begun + every_s - time.monotonic())
            click.echo(f"the next retraining begins in {left_s / 3600:.1f} h")
            time.sleep(left_s)
    except KeyboardInterrupt:
        click.echo("stopped")
