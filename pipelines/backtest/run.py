"""A backtest from its files to its outcome."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from sparsewatch.pipelines.backtest.history import History
from sparsewatch.pipelines.backtest.replay import Judge, Passed, Told, Windows
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.tables.streams import OnBytes
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.decode import Decoded, decode
from sparsewatch.transforms.codecs.stretch import Stretch


def replay(
    jobs: Sequence[tuple[Ready, Prepared]],
    history: History,
    stretch: Stretch,
    on_bytes: OnBytes = lambda _done, _total: None,
) -> Iterator[list[Told]]:
    """What jobs decide of the windows of a stretch of history, see `windows_of`.

    Args:
        jobs: Jobs that measure alike; the first one does.
        history: The events.
        stretch: Which of them.
        on_bytes: Called with the bytes read so far and in all.
    """
    judges = [Judge(made, prepared) for made, prepared in jobs]
    for passed in windows_of(*jobs[0], history, stretch, on_bytes):
        yield [judge(passed) for judge in judges]


def windows_of(
    made: Ready, prepared: Prepared, history: History, stretch: Stretch, on_bytes: OnBytes
) -> Iterator[Passed]:
    """The windows of a stretch of history, each as soon as the job would have closed it.

    Args:
        made: The job.
        prepared: What its kind does with windows.
        history: The events.
        stretch: Which of them.
        on_bytes: Called with the bytes read so far and in all.

    Raises:
        SchemaError: If there is no event in the stretch, or a file is damaged.
    """
    windows, events = Windows(made, prepared), 0
    for decoded, after in pairwise(chain(_batches(made, history, stretch, on_bytes), [None])):
        assert decoded is not None, "only the end is none"
        events += decoded.rows.num_rows
        yield from windows.take(decoded, is_last=after is None)
    if not events:
        raise SchemaError(f"{history.name}: expected events that the job can use, got none in this stretch of time")


def _batches(made: Ready, history: History, stretch: Stretch, on_bytes: OnBytes) -> Iterator[Decoded]:
    """As many events at a time as a reader decodes at once."""
    for run in history.runs(made.job.source.block_rows, on_bytes):
        yield stretch.of(decode(made.job.source.topic, [run], made.events))
