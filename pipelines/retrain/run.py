"""One retraining of a row model: collect, train a candidate, shadow run, decide, promote, watch, perhaps roll back.

The model's folder is the only state, and only its files `latest` and `candidate` steer running jobs; each of them is
replaced in one step. A process that is killed leaves a candidate that is scored without use until the next retraining.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sparsewatch.detectors.artefacts.artefact import read_manifest
from sparsewatch.detectors.artefacts.versions import (
    before_latest,
    candidate,
    clear_candidate,
    latest,
    mark_candidate,
    promote,
    resolve_version,
    rollback,
)
from sparsewatch.detectors.rows.encoding.columns import CategoricalColumn
from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, one_batch
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.shadow import ShadowScores, decide, regret, shadow_block
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.models.command import refuse_faults
from sparsewatch.pipelines.retrain.collect import Collected, collect
from sparsewatch.pipelines.retrain.log import Entry, What, note
from sparsewatch.pipelines.retrain.plan import Outcome, Plan, alone, model_folder
from sparsewatch.pipelines.retrain.window_records import drifted, follow_shadow, windows_of
from sparsewatch.pipelines.train.rows import method_of, train_with_progress
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError, ModelError


def retrain(plan: Plan) -> Outcome:
    """Retrain once.

    Raises:
        ConfigError: If a setting is wrong, there are too few rows, or another retraining of the model is in progress.
        ModelError: If a model is missing or damaged, or if another process changes `latest` or `candidate` meanwhile.
        SourceError: If the broker does not answer.
    """
    folder = model_folder(plan.job)
    with alone(folder):
        if plan.if_drifted and not drifted(plan, folder):
            return "not needed"
        return _Retraining(plan, folder).run()


class _Retraining:
    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._before = resolve_version(folder).name
        if latest(folder) is None:
            # Without `latest` jobs use the highest version, which the candidate would be.
            promote(folder, self._before, refuse_faults)
        self._present = RowModel.load(folder / self._before)

    def run(self) -> Outcome:
        if (left := candidate(self._folder)) is not None:
            click.echo(f"candidate {left} was left by a retraining that was killed; it is no longer a candidate")
            clear_candidate(self._folder)
        rows = collect(self._plan, self._present.encoder.names)
        click.echo(f"learning from {rows.summary}")
        version, model = self._train(rows)
        try:
            shadow = self._offline(model, rows) if self._plan.offline else self._shadow(version, model.id)
            if not self._decide(version, shadow):
                return "refused"
            return self._watch(version, model.id) if self._plan.watch else "promoted"
        except BaseException as error:
            self._note(version, "stopped", (str(error) or type(error).__name__,))
            raise
        finally:
            if candidate(self._folder) in (version, self._before):
                clear_candidate(self._folder)

    def _train(self, rows: Collected) -> tuple[str, RowModel]:
        plan, present = self._plan, self._present
        manifest, _ = read_manifest(self._folder / self._before)
        about_before: dict[str, Any] = manifest.meta.get("about", {}) if plan.method in (None, present.method) else {}
        settings = {name: about_before.get(name) for name in ("scaling", "steps", "trim")}
        method, fit = method_of(plan.method or present.method, settings["steps"], settings["trim"])
        encoder = _encoder(present, method, settings["scaling"])
        trained, seconds = train_with_progress(rows.table, method, fit, encoder, plan.seed, rows.rows_seen)
        about = {**rows.about, **settings, "method": method, "seed": plan.seed, "retrained_from": present.id}
        path = trained.save(self._folder, about=about, promote=False)
        click.echo(f"candidate {path.name}: {method}, trained in {seconds:.1f} s; {self._before} is the latest")
        self._note(path.name, "candidate", figures={**rows.about, "method": method})
        return path.name, RowModel.load(path)

    def _offline(self, model: RowModel, rows: Collected) -> ShadowScores:
        if rows.held_out is None or not rows.held_out.num_rows:
            raise ConfigError("expected held-out rows for an offline shadow run, got none")
        [shadow] = shadow_block(self._present, model, one_batch(rows.held_out), self._plan.job.rows.alarm_rate).pairs
        return shadow

    def _shadow(self, version: str, model_id: str) -> ShadowScores | None:
        """The candidate's scores in the running job's windows; None if too few windows came in time."""
        plan, pair = self._plan, (self._present.id, model_id)
        with windows_of(plan.job) as topic, progress_bar("shadow run", plan.windows, "windows") as bar:
            topic.pass_over()
            mark_candidate(self._folder, version, refuse_faults)
            so_far = None
            for so_far in follow_shadow(topic, pair, plan.windows, plan.timeout_s, self._guard(self._before, version)):
                bar.move(so_far.windows, note=f"{counted(so_far.rows, 'row')}")
        if so_far is not None and so_far.windows >= plan.windows:
            return so_far.shadow
        return None

    def _decide(self, version: str, shadow: ShadowScores | None) -> bool:
        if shadow is None:
            late = (
                f"fewer than {counted(self._plan.windows, 'complete window')} scored by both models in "
                f"{self._plan.timeout_s:g} s: "
                "is the job running, with this model, and does it see this folder?"
            )
            return self._refused(version, (late,), {})
        decision, figures = decide(shadow, self._plan.rule), shadow.figures()
        click.echo(_comparison(figures))
        if not decision.promote:
            return self._refused(version, decision.reasons, figures)
        self._expect_latest(self._before)
        promote(self._folder, version, refuse_faults)
        self._note(version, "promoted", figures=figures)
        click.echo(f"{version} is promoted; running jobs switch to it within seconds")
        return True

    def _refused(self, version: str, reasons: tuple[str, ...], figures: dict[str, Any]) -> bool:
        self._note(version, "refused", reasons, figures)
        click.echo(f"candidate {version} is refused, {self._before} stays the latest:")
        for reason in reasons:
            click.echo(f"  {reason}")
        return False

    def _watch(self, version: str, model_id: str) -> Outcome:
        """Both models have changed places: the former model now scores in the shadow."""
        plan, pair = self._plan, (model_id, self._present.id)
        so_far = None
        with windows_of(plan.job) as topic, progress_bar("watching", plan.watch, "windows") as bar:
            topic.pass_over()
            mark_candidate(self._folder, self._before, refuse_faults)
            for so_far in follow_shadow(topic, pair, plan.watch, plan.timeout_s, self._guard(version, self._before)):
                bar.move(so_far.windows, note=f"{counted(so_far.rows, 'row')}")
                if so_far.shadow is not None and (reason := regret(so_far.shadow, plan.rule)) is not None:
                    return self._go_back(version, reason, so_far.shadow)
        watched = 0 if so_far is None else so_far.windows
        figures = {} if so_far is None or so_far.shadow is None else so_far.shadow.figures()
        self._note(version, "stays", (f"{watched} of {counted(plan.watch, 'window')} watched",), figures)
        click.echo(f"{version} stays: {watched} of {counted(plan.watch, 'window')} watched")
        return "promoted"

    def _go_back(self, version: str, reason: str, shadow: ShadowScores) -> Outcome:
        if before_latest(self._folder) != self._before:
            raise ModelError(
                f"{self._folder}: expected {self._before} to roll back to, another process changed latest meanwhile"
            )
        rollback(self._folder, refuse_faults)
        self._note(version, "rolled back", (reason,), shadow.figures())
        click.echo(f"{version} is rolled back, {self._before} is the latest again: {reason}")
        return "rolled back"

    def _guard(self, expected_latest: str, expected_candidate: str) -> Callable[[], None]:
        def check() -> None:
            self._expect_latest(expected_latest)
            if (found := candidate(self._folder)) != expected_candidate:
                raise ModelError(
                    f"{self._folder}: expected candidate {expected_candidate}, another process made it {found}"
                )

        return check

    def _expect_latest(self, version: str) -> None:
        if (found := latest(self._folder)) != version:
            raise ModelError(f"{self._folder}: expected {version} to stay the latest, another process made it {found}")

    def _note(
        self, version: str, what: What, reasons: tuple[str, ...] = (), figures: dict[str, Any] | None = None
    ) -> None:
        at = datetime.now(UTC)
        note(
            self._folder,
            Entry(at=at, version=version, present=self._before, what=what, reasons=reasons, figures=figures or {}),
        )


def _encoder(present: RowModel, method: str, scaling: str | None) -> EncoderConfig:
    columns = present.encoder.columns
    return EncoderConfig(
        categorical=tuple(column.name for column in columns if isinstance(column, CategoricalColumn)),
        scaling=scaling or METHODS[method].scaling,  # type: ignore[arg-type]
        clip=present.encoder.clip,
    )


def _comparison(figures: dict[str, Any]) -> str:
    return (
        f"{counted(figures['rows'], 'row')}, expected alarm share {figures['alarm_rate']:.2%}: present model "
        f"{figures['present_alarm_share']:.2%}, candidate {figures['candidate_alarm_share']:.2%}; distance of p-values "
        f"from uniform: {figures['present_from_uniform']:.3f}, {figures['candidate_from_uniform']:.3f}; "
        f"rank correlation {figures['rank_correlation']:.2f}"
    )
