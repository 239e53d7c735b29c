"""`sparsewatch rank`: the features of a table ranked by their information about a label."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import click
import msgspec

from sparsewatch.detectors.counts.feature_counts import MAX_VALUES
from sparsewatch.detectors.counts.number_bins import Counted, Numbers
from sparsewatch.detectors.outrank.heuristics import DEFAULT_HEURISTIC, HEURISTICS
from sparsewatch.detectors.outrank.reference_model import ReferenceModel, parse_reference_model
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.rank.construct import Construction
from sparsewatch.pipelines.rank.inputs import InputSettings, RankInput, Source, open_input
from sparsewatch.pipelines.rank.one_pass import RankSettings, SampleRows
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.rank.run import Ranked, compare_inputs, rank_input
from sparsewatch.pipelines.rank.scores import Combinations
from sparsewatch.pipelines.tables.named_columns import are_patterns, named_columns
from sparsewatch.pipelines.tables.options import names_of, reading_options
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, CountOrNone, Range

#: Most rare values of a column in the public tool's file of them.
_RARE_VALUES = 100_000
FORMATS = ("table", "json", "parquet", "html")
_EPILOG = """
\b
Examples:
  sparsewatch rank clicks.parquet --label click
  sparsewatch rank logs/ --label click --interactions 2 --pairs --format html --out ranking.html
  sparsewatch rank today.csv --label click --against yesterday.csv
  sparsewatch rank data/ --source ob-vw --label label --heuristic MI-numba-randomized --outrank-files ranking_outputs

\b
Heuristics:
"""


def _epilog() -> str:
    width = max(map(len, HEURISTICS))
    return _EPILOG + "\n".join(f"  {name:<{width}}  {known.summary}" for name, known in HEURISTICS.items())


class _Help(click.Command):
    """Examples and heuristics as they stand, line by line."""

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them."""
        formatter.write("\n" + _epilog().replace("\b\n", "") + "\n")


def _names(_ctx: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    return names_of(text)


def _orders(_ctx: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    orders = sorted({order.strip() for order in text.split(",")} - {""})
    if set(orders) - {"2", "3"}:
        raise ConfigError(f"--interactions: expected 2, 3 or 2,3, got {text!r}")
    return tuple(map(int, orders))


@click.command("rank", cls=_Help, context_settings={"max_content_width": 120})
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--label", help="Column to explain: 0 and 1, or any values.  [required without --job]")
@click.option(
    "--job",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JOB.toml",
    help="Take label, features, types of columns and missing texts from a job.",
)
@click.option("--heuristic", default=DEFAULT_HEURISTIC, show_default=True, metavar="NAME", help="Score; see below.")
@click.option(
    "--source", type=click.Choice(get_args(Source)), default="auto", show_default=True, help="Layout of the input."
)
@click.option(
    "--features", default="", callback=_names, metavar="A,B", help="Rank only these columns; patterns such as 's*'."
)
@click.option("--interactions", default="", callback=_orders, metavar="2|3|2,3", help="Combinations of features.")
@click.option(
    "--max-combinations",
    type=ranged(Count),
    default=2_048,
    show_default=True,
    help="Combinations of each order, evenly spread.",
)
@click.option("--pairs", is_flag=True, help="Redundancy of all pairs of columns, and twins.")
@click.option("--time-column", help="Column of event times: with it, features are tested for leakage.")
@click.option(
    "--against", type=click.Path(path_type=Path), help="An earlier input with the same columns: report what changed."
)
@click.option(
    "--alpha",
    type=ranged(Annotated[float, Range(above=0, at_most=0.5)]),
    default=0.01,
    show_default=True,
    help="With --against: probability of any false change.",
)
@click.option("--explode", default="", metavar="A;B", help="Split multi-value features.")
@click.option(
    "--sub-features", default="", metavar="A->B", help="Split a feature by another's values; A<->B: both ways."
)
@click.option("--transformers", default="", metavar="PRESETS", help="Formulas for numeric columns: minimal, default …")
@click.option(
    "--numeric",
    default="",
    callback=_names,
    metavar="A,B",
    help="Numeric columns, besides declared ones; patterns, too. Integers among them are ranked as --numbers says.",
)
@click.option(
    "--numbers",
    type=click.Choice(get_args(Counted)),
    help="Rank columns of floats, and integers of --numeric, as numbers in bins, or each value as a name.  "
    "[default: bins, or as the job of --job]",
)
@click.option("--noise-controls", is_flag=True, help="Add control columns: noise, a copy of the label …")
@click.option(
    "--reference-model", type=click.Path(path_type=Path), help="JSON of the features that a model already has."
)
@click.option("--subsampling", type=ranged(Count), default=1, show_default=True, help="Take every n-th row.")
@click.option("--max-rows", type=ranged(Count), help="Stop after so many rows.")
@reading_options
@click.option(
    "--max-values",
    type=ranged(SampleRows),
    default=MAX_VALUES,
    show_default=True,
    help="Distinct values of a feature that are counted exactly.",
)
@click.option(
    "--sample-rows",
    type=ranged(SampleRows),
    default=131_072,
    show_default=True,
    help="Rows of the sample for scores that need whole rows.",
)
@click.option(
    "--seed", type=ranged(CountOrNone), default=0, show_default=True, help="Seed of models and noise controls."
)
@click.option("--format", "output", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File of the report, instead of the screen; required for parquet and html.",
)
@click.option("--top", type=ranged(Count), default=30, show_default=True, help="Features the table shows.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder for bar plot, heat map and dendrogram.")
@click.option("--image-format", type=click.Choice(["svg", "png", "pdf"]), default="svg", show_default=True)
@click.option(
    "--outrank-files",
    type=click.Path(path_type=Path),
    help="Folder for the files of the public outrank; --pairs adds those of pairs.",
)
def rank(path: Path, output: str, out: Path | None, top: int, **options: Any) -> None:
    """Rank the features of a FILE, or of a FOLDER of files, by their information about a label.

    A FILE is Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst), or in Vowpal
    Wabbit's format. The score is mutual information less what a feature of the same cardinality would have by chance.
    Files are read block by block; memory does not grow with them.
    """
    _check_targets(path, output, out, options)
    job = None if options["job"] is None else load_job(options["job"])
    options["label"] = options["label"] or (job and job.event_columns().label)
    if options["label"] is None:
        raise ConfigError("expected --label, or --job with a job that has a label")
    for option in ("features", "numeric"):
        if are_patterns(options[option]):
            options[option] = named_columns([path], options[option], options["reading"], f"--{option}")
    options["features"] = options["features"] or (() if job is None else job.scored_columns)
    model = _reference_model(options["reference_model"])
    inputs = _input_settings(options, model, job)
    source = open_input(path, inputs)
    settings = _settings(options, source, model, job, reports=output in ("json", "html"))
    ranked = _ranked(path, source, settings)
    result = ranked.result
    if (against := options["against"]) is not None:
        before = _ranked(against, open_input(against, inputs), replace(settings, pairs=False, reports=False))
        result = compare_inputs(ranked, before, options["alpha"])
    result = msgspec.structs.replace(result, arguments=_shown(path, options))
    _write(result, output, out, top, options)


def _check_targets(path: Path, output: str, out: Path | None, options: dict[str, Any]) -> None:
    """An output must not overwrite an input; checked before the work begins."""
    if output in ("parquet", "html") and out is None:
        raise ConfigError(f"--format {output} needs --out FILE")
    read = [one.resolve() for one in (path, options["against"], options["reference_model"]) if one is not None]
    if out is not None and (out.is_dir() or any(out.resolve() == one or one in out.resolve().parents for one in read)):
        raise ConfigError(f"--out {out}: expected a file that is not an input")
    for option in ("pictures", "outrank_files"):
        if (folder := options[option]) is not None and folder.exists() and not folder.is_dir():
            raise ConfigError(f"--{option.replace('_', '-')} {folder}: expected a folder, got a file")


def _reference_model(path: Path | None) -> ReferenceModel | None:
    if path is None:
        return None
    try:
        return parse_reference_model(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"--reference-model {path}: {error}") from error


def _input_settings(options: dict[str, Any], model: ReferenceModel | None, job: Job | None) -> InputSettings:
    columns = () if job is None else job.event_columns().fields
    return InputSettings(
        types={field.name: field.type for field in columns},
        columns=_needed(options, model),
        source=options["source"],
        subsampling=options["subsampling"],
        max_rows=options["max_rows"],
        reading=options["reading"].besides(() if job is None else job.source.missing),
    )


def _needed(options: dict[str, Any], model: ReferenceModel | None) -> list[str] | None:
    """Columns to read; None for all, which is also needed where columns are made of others."""
    made = any(options[name] for name in ("explode", "sub_features", "transformers", "noise_controls"))
    if made or not options["features"]:
        return None
    named = [options["label"], *options["features"], *filter(None, [options["time_column"]])]
    named += [] if model is None else [*model.features, *(one for names in model.interactions for one in names)]
    return list(dict.fromkeys(named))


def _settings(
    options: dict[str, Any], source: RankInput, model: ReferenceModel | None, job: Job | None, *, reports: bool
) -> RankSettings:
    wanted = [options["label"], *options["features"], *([options["time_column"]] if options["time_column"] else [])]
    files = options["outrank_files"] is not None
    _expect([*wanted, *options["numeric"], *(model.features if model else ())], source)
    return RankSettings(
        label=options["label"],
        heuristic=options["heuristic"],
        features=options["features"],
        combinations=Combinations(
            orders=options["interactions"],
            most=options["max_combinations"],
            named=model.interactions if model else (),
        ),
        reference=model.features if model and HEURISTICS[options["heuristic"]].reference != "no" else (),
        construction=Construction(
            explode=options["explode"],
            sub_features=options["sub_features"],
            transformers=options["transformers"],
            numeric=tuple(sorted({*source.numeric, *options["numeric"]} - {options["label"]})),
            noise_controls=options["noise_controls"],
            seed=options["seed"],
        ),
        max_values=options["max_values"],
        numbers=_numbers(options, job),
        sample_rows=options["sample_rows"],
        pairs=options["pairs"] or options["pictures"] is not None,
        pair_scores=options["pairs"] and files,
        time_column=options["time_column"],
        reports=reports or files,
        rare_examples=_RARE_VALUES if files else 5,
        seed=options["seed"],
    )


def _numbers(options: dict[str, Any], job: Job | None) -> Numbers:
    said = Numbers() if job is None else job.counted_numbers
    return Numbers(options["numbers"] or said.floats, (*options["numeric"], *said.columns), said.bits)


def _expect(names: list[str], source: RankInput) -> None:
    for name in names:
        if name not in source.columns:
            raise ConfigError(f"expected a column {name!r}, the input has {', '.join(source.columns)}")


def _ranked(path: Path, source: RankInput, settings: RankSettings) -> Ranked:
    with progress_bar(f"reading {path.name}", source.total_bytes, BYTES) as bar:
        ranked = rank_input(source, settings, str(path), lambda: bar.move(source.bytes_read))
    for reason, number in source.rejected.ignored.items():
        click.echo(f"{path}: {counted(number, 'part')} of rows left out: {reason}", err=True)
    for line in (*source.rejected.lines(), *source.rejected.infinities()):
        click.echo(line, err=True)
    return ranked


def _shown(path: Path, options: dict[str, Any]) -> dict[str, str]:
    reading = options["reading"]
    texts = options | {"reading": None, "missing": ",".join(reading.missing), "encoding": reading.encoding}
    given = {name: value for name, value in texts.items() if value not in (None, (), "", False)}
    return {"path": str(path)} | {name: str(value) for name, value in given.items()}


def _write(result: RankResult, output: str, out: Path | None, top: int, options: dict[str, Any]) -> None:
    """All outputs that the options ask for; heavy libraries are imported only when needed."""
    if output == "table":
        _write_table(result, out, top)
    else:
        _write_report(result, output, out)
    if options["pictures"] is not None:
        from sparsewatch.pipelines.rank.report.pictures import write_pictures

        for picture in write_pictures(result, options["pictures"], options["image_format"]):
            click.echo(f"wrote {picture}", err=True)
    if options["outrank_files"] is not None:
        from sparsewatch.pipelines.rank.report.outrank_files import write_outrank_files

        write_outrank_files(result, options["outrank_files"], pairs=result.pair_scores)
        click.echo(f"wrote the files of the public outrank to {options['outrank_files']}", err=True)


def _write_table(result: RankResult, out: Path | None, top: int) -> None:
    from sparsewatch.pipelines.rank.report.screen import show

    if out is None:
        show(result, output(), top=top)
        return
    from sparsewatch.pipelines.report.files import save

    show(result, output(file=(text := io.StringIO())), top=top)
    save(out, text.getvalue().encode())
    click.echo(f"wrote {out}", err=True)


def _write_report(result: RankResult, output: str, out: Path | None) -> None:
    from sparsewatch.pipelines.rank.report.files import to_json, write_report

    if out is None:
        click.echo(to_json(result).decode())
        return
    write_report(result, out, output)
    click.echo(f"wrote {out}", err=True)
