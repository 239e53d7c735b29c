"""The draft of a rows job: every column that tells of an event is scored; the first model learns from the sample."""

from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.init.draft import Draft, Findings, column_tables
from sparsewatch.pipelines.init.toml_text import Entry, table
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError

_SUITS = 2
#: Fewest events of which a fifth tells where the one in a hundred begins that is called an outlier.
_LEAST = 1_000


def draft_rows(findings: Findings) -> Draft:
    """A rows job of a sample.

    Raises:
        ConfigError: If no column can be scored.
    """
    if findings.label is not None:
        raise ConfigError("a rows job has no label")
    events = findings.events()
    ids = [column.name for column in events if column.is_id]
    scored = [column.name for column in events if not column.is_id]
    if not scored:
        raise ConfigError("no column besides the time and those that name events can be scored")
    folder = findings.model or f"models/{findings.name}"
    lacks, learned = "", ""
    if findings.model is None:
        learned = f"learned from {findings.sample.events:,} events; `sparsewatch train rows` learns from more"
        if findings.sample.events < _LEAST:
            lacks = (
                f"expected at least {_LEAST:,} events to learn a row model from, got {findings.sample.events:,}: wait "
                "for more, or name a model of `sparsewatch train rows` by --model"
            )
    rows = [Entry("model", folder, learned)]
    if ids:
        rows.append(Entry("id_columns", ids, "each event has another value: shown with outliers, not scored"))
    return Draft(
        suits=_SUITS,
        keys=[],
        tables=[column_tables(findings, events, {}, dict.fromkeys(ids, "names the event")), table("rows", rows)],
        lacks=lacks,
        told=[("scored", counted(len(scored), "column")), ("model", f"{folder}{learned and ', '}{learned}")],
        make=None if findings.model else lambda: _learn(findings, scored, Path(folder)),
        makes=[] if findings.model else [Path(folder)],
    )


def _learn(findings: Findings, names: list[str], folder: Path) -> None:
    """Train the default model on the sample."""
    from sparsewatch.detectors.rows.training import train_row_model

    rows = pa.table({name: findings.sample.columns[name].values for name in names})
    with progress_bar("fitting") as bar:
        model = train_row_model(rows, report=bar.move)
    about = {"rows": rows.num_rows, "from": findings.sample.name, "method": model.method, "seed": 0}
    model.save(folder, about=about)
