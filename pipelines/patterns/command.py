"""`sparsewatch patterns`: emerging wafer patterns listed, named, merged and dismissed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsewatch.pipelines.job.job_file import load_job_of
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.wafer.settings import WaferJob
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError

if TYPE_CHECKING:
    from sparsewatch.detectors.wafers.model import WaferModel
    from sparsewatch.pipelines.wafer.pattern_book import PatternBook
    from sparsewatch.schemas.patterns import Decision

_EXAMPLES = """
\b
Examples:
  sparsewatch patterns list fab.toml --pictures seen/
  sparsewatch patterns name fab.toml P1a2b "ring of the new chuck"
  sparsewatch patterns merge fab.toml P1a2b P93c0     # P93c0 becomes a part of P1a2b
  sparsewatch patterns dismiss fab.toml P77f1
"""

_JOB = click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))


@click.group(epilog=_EXAMPLES)
def patterns() -> None:
    """Emerging wafer patterns: groups of wafers that look alike and like nothing the model knows.

    A running job raises them (alert emerging_pattern) and follows what is decided here from its next window on. An id
    may be shortened as long as it is unique.
    """


@patterns.command("list")
@_JOB
@click.option("--all", "everything", is_flag=True, help="Also patterns that were named or dismissed.")
@click.option("--json", "as_json", is_flag=True, help="One line a pattern, with its first 200 wafers.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Draw each pattern into FOLDER/ID.png: the mean map, and some of its wafers.",
)
def list_patterns(job_file: Path, everything: bool, as_json: bool, pictures: Path | None) -> None:
    """What the job found: wafers, lots, when, nearest known pattern.

    JSON is one line per pattern, with its first 200 wafers.
    """
    from sparsewatch.pipelines.console.tables import output
    from sparsewatch.pipelines.patterns.listing import json_line, pattern_table

    job = _wafer_job(job_file)
    book = _read(job)
    chosen = [id_ for id_ in book.roots() if everything or book.status(id_) == "open"]
    if as_json:
        for id_ in chosen:
            click.echo(json_line(book, id_))
    else:
        output().print(pattern_table(book, chosen))
    if pictures is not None:
        from sparsewatch.pipelines.patterns.pictures import write_pictures

        for path in write_pictures(book, chosen, pictures):
            click.echo(f"wrote {path}", err=as_json)
    click.echo(f"{len(chosen)} of {counted(len(book.roots()), 'pattern')} of job {job.name!r}", err=as_json)


@patterns.command("name")
@_JOB
@click.argument("id_", metavar="ID")
@click.argument("name", metavar="NAME")
def name_pattern(job_file: Path, id_: str, name: str) -> None:
    """Make the pattern ID known as NAME.

    The model gets a new version that knows it, by a Gaussian about the pattern's wafers; nothing is trained. A running
    job takes the new version up by itself: the next wafers like these are recognised as NAME. To fold the pattern in
    for good, train again with its wafers under that label (`patterns list --all --json` names them).
    """
    job = _wafer_job(job_file)
    book = _read(job)
    root = book.root(book.known(id_))
    _expect_open(book, root)
    from sparsewatch.detectors.wafers.novel_wafers import embeddings_of

    model = _newest_model(job)
    members = [member for part in book.parts(root) for member in part.members]
    if other := sorted({part.space for part in book.parts(root)} - {model.space}):
        raise ConfigError(
            f"{root}: its wafers were embedded by another network ({', '.join(other)}) than that of {model.id} "
            f"({model.space}): they cannot be compared. Train with them instead, or dismiss the pattern"
        )
    extended = model.with_pattern(name, embeddings_of(members))
    version = _save(job, extended, root, name)
    _decide(job, _decision(root, "named", name=name, model=version))
    click.echo(f"{root} is now {name!r}: {counted(len(members), 'wafer')}, known to {version}")
    novelty = extended.novelty
    click.echo(
        f"{novelty.taken()} of {len(novelty.calibration)} calibration wafers, all of known patterns, lie nearest to "
        "a named pattern; if they are too many, `sparsewatch models rollback` undoes the naming"
    )
    if _pinned(job):
        click.echo(f"wafers.model of {job_file} names one version; the job uses it until that is changed")


@patterns.command("merge")
@_JOB
@click.argument("ids", metavar="ID ID...", nargs=-1, required=True)
def merge_patterns(job_file: Path, ids: tuple[str, ...]) -> None:
    """Merge patterns into the first ID.

    From now on they are named or dismissed together.
    """
    job = _wafer_job(job_file)
    book = _read(job)
    roots = list(dict.fromkeys(book.root(book.known(id_)) for id_ in ids))
    if len(roots) < 2:
        raise ConfigError(f"expected at least two different patterns, got {', '.join(ids)}")
    for root in roots:
        _expect_open(book, root)
    spaces = {part.space for root in roots for part in book.parts(root)}
    if len(spaces) > 1:
        raise ConfigError(f"these patterns were embedded by different networks ({', '.join(sorted(spaces))})")
    _decide(job, *(_decision(root, "merged", into=roots[0]) for root in roots[1:]))
    wafers = sum(part.wafers for root in roots for part in book.parts(root))
    click.echo(f"{', '.join(roots[1:])} merged into {roots[0]}, {counted(wafers, 'wafer')} in all")


@patterns.command("dismiss")
@_JOB
@click.argument("id_", metavar="ID")
def dismiss_pattern(job_file: Path, id_: str) -> None:
    """Dismiss the pattern ID: wafers near it raise no pattern again."""
    job = _wafer_job(job_file)
    book = _read(job)
    root = book.root(book.known(id_))
    _expect_open(book, root)
    _decide(job, _decision(root, "dismissed"))
    click.echo(f"{root} is dismissed")


def _wafer_job(path: Path) -> WaferJob:
    return load_job_of(WaferJob, path, why="the only kind that has patterns")


def _read(job: WaferJob) -> "PatternBook":
    from sparsewatch.pipelines.wafer.pattern_book import read_patterns
    from sparsewatch.transforms.kafka.open import partitions_of

    topic = ready(job).topics.named("patterns")
    if not partitions_of(job.kafka, topic):
        raise ConfigError(
            f"the broker has no topic {topic!r}: the job must run with wafers.patterns.windows above 0 first"
        )
    return read_patterns(job.kafka, topic)


def _expect_open(book: "PatternBook", id_: str) -> None:
    decision = book.decision(id_)
    if decision is not None and decision.status in ("named", "dismissed"):
        what = f"named {decision.name!r}" if decision.status == "named" else "dismissed"
        raise ConfigError(f"{id_} is {what} already")


def _decision(id_: str, status: str, **more: str) -> "Decision":
    import msgspec

    from sparsewatch.schemas.patterns import Decision

    given = {"id": id_, "status": status, "decided_us": time.time_ns() // 1000, **more}
    return msgspec.convert(given, Decision)


def _decide(job: WaferJob, *decisions: "Decision") -> None:
    from sparsewatch.pipelines.wafer.pattern_book import decision_record
    from sparsewatch.transforms.kafka.open import open_writer

    topic = ready(job).topics.named("patterns")
    writer = open_writer(job.kafka)
    try:
        for decision in decisions:
            writer.send(*decision_record(topic, decision))
        writer.flush()
    finally:
        writer.close()


def _newest_model(job: WaferJob) -> "WaferModel":
    from sparsewatch.detectors.wafers.model import WaferModel

    return WaferModel.load(_root(job))


def _pinned(job: WaferJob) -> bool:
    from sparsewatch.detectors.artefacts.versions import is_version

    return is_version(Path(job.wafers.model))


def _root(job: WaferJob) -> Path:
    """The folder of all versions."""
    path = Path(job.wafers.model).absolute()
    return path.parent if _pinned(job) else path


def _save(job: WaferJob, model: "WaferModel", id_: str, name: str) -> str:
    """Write a version that knows the pattern; returns the model's name and version."""
    from sparsewatch.detectors.artefacts.artefact import load_artefact
    from sparsewatch.detectors.wafers.model import KIND

    before = load_artefact(_root(job), KIND)
    added = [*before.meta["training"].get("patterns", []), {"name": name, "pattern": id_, "job": job.name}]
    training = {**before.meta["training"], "patterns": added}
    path = model.save(_root(job), metrics=before.meta["metrics"], training=training)
    return f"{path.parent.name}/{path.name}"
