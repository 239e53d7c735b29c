"""Files of wafers to one labelled Parquet, in bounded memory."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sparsewatch.detectors.artefacts.atomic import new_file
from sparsewatch.pipelines.wafer_convert.labels import Labels
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections
from sparsewatch.pipelines.wafer_files.labelled import LABEL
from sparsewatch.pipelines.wafer_import.survey import Defaults
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Event times of the wafers, milliseconds since the epoch, null where a file states none.
TIME = "time"
#: Columns of the file that is written.
LABELLED_COLUMNS = pa.schema([pa.field(LABEL, pa.string()), pa.field(TIME, pa.int64()), *WAFER_COLUMNS])
#: Wafers and bytes of a row group.
_GROUP_WAFERS, _GROUP_BYTES = 1_000, 64 << 20


@dataclass
class Converted:
    """What became of files, wafers and labels."""

    files: int = 0
    wafers: int = 0
    #: Wafers written, by label.
    labels: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[Path, SchemaError]] = field(default_factory=list)
    #: Wafers without a label: the first ones, in words, and all.
    unlabelled: list[str] = field(default_factory=list)
    without: int = 0

    def lines(self, labels: Labels | None) -> list[str]:
        """All numbers; they add up."""
        written = self.labels.total()
        found = [
            f"{counted(self.files, 'file')} = {self.files - len(self.faults):,} read + {len(self.faults):,} rejected",
            f"{counted(self.wafers, 'wafer')} = {written:,} written + {self.without:,} without a label",
        ]
        if labels is not None:
            number, unused = len(labels.by_key), len(labels.unused())
            found.append(f"{counted(number, 'label')} = {number - unused:,} used + {unused:,} without a wafer")
        classes = ", ".join(f"{number:,} {label}" for label, number in self.labels.most_common())
        return ["; ".join(found), *([f"classes: {classes}"] if classes else [])]


@dataclass
class _Sink:
    """Collects wafers into row groups."""

    writer: pq.ParquetWriter
    _held: list[pa.RecordBatch] = field(default_factory=list)

    def add(self, rows: pa.RecordBatch) -> None:
        """Take wafers, and write those held once they are enough."""
        self._held.append(rows)
        full = sum(part.num_rows for part in self._held) >= _GROUP_WAFERS
        if full or sum(part.nbytes for part in self._held) >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held as a row group."""
        if self._held:
            self.writer.write_table(pa.Table.from_batches(self._held))
        self._held = []


def convert_files(
    paths: Sequence[Path],
    labels: Labels | None,
    out: Path,
    options: ReadOptions,
    defaults: Defaults,
    on_file: Callable[[Path, str | None], None],
) -> Converted:
    """Write the wafers of files that have a label.

    A file that cannot be read to its end is left out whole, so each is read twice.

    Args:
        paths: The files.
        labels: Labels of their wafers, which go before labels of the files themselves; None takes only those.
        out: Parquet to write; it appears once it is whole.
        options: How the files are read.
        defaults: Step and tool of wafers whose file names none.
        on_file: Called after each file, and with each remark on it.

    Raises:
        ConfigError: If no wafer has a label; nothing is written then.
    """
    done = Converted()
    with new_file(out) as aside:
        with _sink(aside) as sink:
            for path in paths:
                _convert(path, labels, sink, options, defaults, done, on_file)
        if not done.labels:
            raise ConfigError(f"{out}: {_nothing(done, labels)}")
    return done


@contextlib.contextmanager
def _sink(path: Path) -> Iterator[_Sink]:
    try:
        writer = pq.ParquetWriter(path, LABELLED_COLUMNS, compression="zstd")
    except OSError as error:
        raise ConfigError(f"{path.parent}: expected a folder that can be written to: {error}") from error
    with writer:
        sink = _Sink(writer)
        yield sink
        sink.flush()


def _convert(
    path: Path,
    labels: Labels | None,
    sink: _Sink,
    options: ReadOptions,
    defaults: Defaults,
    done: Converted,
    on_file: Callable[[Path, str | None], None],
) -> None:
    done.files += 1
    try:
        notes = dict.fromkeys(note for part in read_wafers(path, options) for note in part.notes)
    except SchemaError as error:
        done.faults.append((path, error))
        on_file(path, f"rejected: {error}")
        return
    for note in notes:
        on_file(path, f"note: {path}: {note}")
    for part in read_wafers(path, options):
        sink.add(_labelled(path, part, labels, defaults, done))
    on_file(path, None)


def _labelled(
    path: Path, part: Inspections, labels: Labels | None, defaults: Defaults, done: Converted
) -> pa.RecordBatch:
    """The wafers of a part that have a label, columns of `LABELLED_COLUMNS`."""
    rows = defaults.fill(part.rows)
    own: list[str | None] = [None] * rows.num_rows if part.labels is None else [*part.labels]
    slots = part.slots or [""] * rows.num_rows
    named = [
        {"wafer": wafer["wafer_id"], "lot": wafer["lot"], "step": wafer["step"], "slot": slot}
        for wafer, slot in zip(rows.select(["wafer_id", "lot", "step"]).to_pylist(), slots, strict=True)
    ]
    stated = labels.of(named, path) if labels is not None else own
    found = [label or before for label, before in zip(stated, own, strict=True)]
    done.wafers += rows.num_rows
    done.labels.update(label for label in found if label)
    for label, wafer in zip(found, named, strict=True):
        if not label:
            done.without += 1
            done.unlabelled.append(", ".join(f"{name} {value}" for name, value in wafer.items() if value))
    del done.unlabelled[100:]
    times = pa.array([None if time == NO_TIME else time // 1_000 for time in part.times_us.tolist()], pa.int64())
    whole = pa.RecordBatch.from_arrays([pa.array(found, pa.string()), times, *rows.columns], schema=LABELLED_COLUMNS)
    return whole.filter(pc.is_valid(whole[LABEL]))


def _nothing(done: Converted, labels: Labels | None) -> str:
    """Why no wafer has a label."""
    if not done.wafers:
        return "expected files of wafers, none could be read"
    if labels is None:
        return "expected labels, the files have none of their own: --labels names a table of labels"
    wafers, of = "; ".join(done.unlabelled[:2]), "; ".join(labels.unused()[:2])
    return f"expected labels of the files' wafers, such as {wafers}; {labels.source} has those of {of}"
