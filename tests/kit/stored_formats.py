"""An example of every format in which state outlives a process, to compare with the bytes in tests/golden.

The bytes of a version are written once, by that version's own code, and never again:

    python -m tests.kit.stored_formats      writes the files that are missing, and leaves all others
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from sparsewatch.detectors.counts import column_sketches as column_sketches_module
from sparsewatch.detectors.counts import feature_counts_codec
from sparsewatch.detectors.counts import row_sample as row_sample_module
from sparsewatch.detectors.counts import type_counts as type_counts_module
from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.rows.encoding import statistics
from sparsewatch.detectors.rows.windows import monitored_inference, shadow, summary
from sparsewatch.detectors.rows.windows.monitored_inference import InferenceReport, WatchedRows
from sparsewatch.detectors.rows.windows.shadow import Shadows
from sparsewatch.detectors.rows.windows.summary import RowScores
from sparsewatch.detectors.wafers import window_counts
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.pipelines.ctr import learned_pane, sliding
from sparsewatch.pipelines.rejects import replay_log
from sparsewatch.pipelines.retrain import window_records
from sparsewatch.pipelines.retrain.log import Entry
from sparsewatch.pipelines.rows import kept_rows
from sparsewatch.pipelines.rows import learning as row_learning
from sparsewatch.pipelines.rows.learning import LearnedRows
from sparsewatch.pipelines.train import file_sample as file_sample_module
from sparsewatch.pipelines.wafer import kept_wafers
from sparsewatch.pipelines.wafer import learning as wafer_learning
from sparsewatch.pipelines.wafer.kept_wafers import WaferPane
from sparsewatch.pipelines.wafer.learning import LearnedWafers
from sparsewatch.pipelines.wafer.pattern_book import decision_record, pattern_record
from sparsewatch.schemas import accounts, mistyped, other_fields
from sparsewatch.schemas import packed as packed_state
from sparsewatch.schemas.accounts import MARKER as MARKER_FORMAT
from sparsewatch.schemas.accounts import PROGRESS as PROGRESS_FORMAT
from sparsewatch.schemas.accounts import (
    READER_STATE,
    Progress,
)
from sparsewatch.schemas.alerts import SAMPLE, MetricSample
from sparsewatch.schemas.instances import STANDING as STANDING_FORMAT
from sparsewatch.schemas.instances import Standing
from sparsewatch.schemas.mistyped import MistypedCells
from sparsewatch.schemas.notified import MARK as MARK_FORMAT
from sparsewatch.schemas.notified import Mark
from sparsewatch.schemas.orders import ORDER as ORDER_FORMAT
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.other_fields import OtherFields
from sparsewatch.schemas.patterns import DECISION as DECISION_FORMAT
from sparsewatch.schemas.patterns import PATTERN as PATTERN_FORMAT
from sparsewatch.schemas.patterns import Decision, Pattern
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms import coders
from sparsewatch.transforms.coders import (
    AsideCoder,
    MarkerCoder,
    RankedFeatureCoder,
    ReaderStateCoder,
    decode_block,
    encode_block,
)
from sparsewatch.transforms.inference import sample
from sparsewatch.transforms.inference.sample import InferenceSample
from sparsewatch.transforms.window import books, closed, panes
from sparsewatch.transforms.window.books import Books
from sparsewatch.transforms.window.closed import Closed
from tests.kit.stored_examples import (
    ACK,
    ASIDE,
    BLOCK,
    BOOKS,
    CLOSED,
    DECISION,
    LEARNED_ROWS,
    LEARNED_WAFERS,
    MARKER,
    MEASURES,
    METRIC,
    MISTYPED,
    MOVES,
    ORDER,
    OTHERS,
    PACKED,
    PANE,
    PATTERN,
    PROGRESS,
    RANKED,
    REPORT,
    ROW_SCORES,
    SHADOWS,
    STANDING,
    STATE,
    WAFER_COUNTS,
    WAFER_PANE,
    WATCHED,
    WINDOW_RECORD,
    _checkpoint,
    _checkpoint_said,
    _click_pane,
    _click_pane_said,
    _counts_said,
    _file_sample_said,
    _history,
    _learned_pane,
    _learned_pane_said,
    _note,
    _pane,
    _pane_said,
    _row_pane,
    _row_pane_said,
    _sample_said,
    _sketches_said,
    _statistics_said,
    clicks,
    column_sketches,
    encoder_statistics,
    feature_counts,
    file_sample,
    inference_sample,
    row_sample,
    type_counts,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One format and an example of it."""

    #: Name of the golden file: format, version of the layout, and how the bytes are coded.
    file: str
    encode: Callable[[], bytes]
    #: What the bytes hold, as something that can be compared.
    decode: Callable[[bytes], Any]
    #: None where a file's own name is in its errors.
    of: Format | None = None
    #: Whether equal states give equal bytes under any release of the libraries that code them.
    exact: bool = True


STORED: tuple[Stored, ...] = (
    Stored(
        file="block-1.arrow", of=coders._BLOCK, encode=lambda: encode_block(BLOCK), decode=decode_block, exact=False
    ),
    Stored(
        file="block-1-mistyped.arrow",
        of=coders._BLOCK,
        encode=lambda: encode_block(replace(BLOCK, mistyped=MISTYPED)),
        decode=decode_block,
        exact=False,
    ),
    Stored(
        file="block-1-other-fields.arrow",
        of=coders._BLOCK,
        encode=lambda: encode_block(replace(BLOCK, others=OTHERS)),
        decode=decode_block,
        exact=False,
    ),
    Stored(
        file="other-fields-1.msgpack", of=other_fields.FORMAT, encode=OTHERS.to_bytes, decode=OtherFields.from_bytes
    ),
    Stored(
        file="mistyped-cells-1.msgpack", of=mistyped.FORMAT, encode=MISTYPED.to_bytes, decode=MistypedCells.from_bytes
    ),
    Stored(
        file="counts-of-types-1.msgpack",
        of=type_counts_module.FORMAT,
        encode=lambda: type_counts().to_bytes(),
        decode=lambda data: TypeCounts.from_bytes(data).to_bytes(),
    ),
    Stored(
        file="reader-state-1.msgpack",
        of=READER_STATE,
        encode=lambda: ReaderStateCoder().encode(STATE),
        decode=ReaderStateCoder().decode,
        # An array has each field that was added since.
        exact=False,
    ),
    Stored(
        file="marker-1.msgpack",
        of=MARKER_FORMAT,
        encode=lambda: MarkerCoder().encode(MARKER),
        decode=MarkerCoder().decode,
        # An account states each number, also those that were added since.
        exact=False,
    ),
    Stored(
        file="aside-1.msgpack",
        of=AsideCoder.stored,
        encode=lambda: AsideCoder().encode(ASIDE),
        decode=AsideCoder().decode,
        exact=False,
    ),
    Stored(
        file="ranked-feature-1.msgpack",
        of=RankedFeatureCoder.stored,
        encode=lambda: RankedFeatureCoder().encode(RANKED),
        decode=RankedFeatureCoder().decode,
    ),
    Stored(
        file="feature-counts-2.arrow",
        of=feature_counts_codec.FORMAT,
        encode=lambda: feature_counts(1_000).to_bytes(),
        decode=_counts_said,
        exact=False,
    ),
    Stored(
        file="feature-counts-2-beyond-the-cap.arrow",
        of=feature_counts_codec.FORMAT,
        encode=lambda: feature_counts(4).to_bytes(),
        decode=_counts_said,
        exact=False,
    ),
    Stored(
        file="feature-counts-2-in-bins.arrow",
        of=feature_counts_codec.FORMAT,
        encode=lambda: feature_counts(1_000, numbers=("hour", "price")).to_bytes(),
        decode=_counts_said,
        exact=False,
    ),
    Stored(
        file="row-sample-1.arrow",
        of=row_sample_module.FORMAT,
        encode=lambda: row_sample().to_bytes(),
        decode=_sample_said,
        exact=False,
    ),
    Stored(
        file="file-sample-1.msgpack",
        of=file_sample_module.FORMAT,
        encode=lambda: file_sample().to_bytes(),
        decode=_file_sample_said,
        exact=False,
    ),
    Stored(
        file="inference-sample-1.msgpack",
        of=sample.FORMAT,
        encode=lambda: inference_sample().to_bytes(),
        decode=lambda data: InferenceSample.from_bytes(data).to_bytes(),
    ),
    Stored(
        file="column-sketches-1.msgpack",
        of=column_sketches_module.FORMAT,
        encode=lambda: column_sketches().to_bytes(),
        decode=_sketches_said,
    ),
    Stored(
        file="encoder-statistics-1.msgpack",
        of=statistics.FORMAT,
        encode=lambda: encoder_statistics().to_bytes(),
        decode=_statistics_said,
    ),
    Stored(file="row-scores-1.msgpack", of=summary.FORMAT, encode=ROW_SCORES.to_bytes, decode=RowScores.from_bytes),
    Stored(file="shadows-1.msgpack", of=shadow.FORMAT, encode=SHADOWS.to_bytes, decode=Shadows.from_bytes),
    Stored(
        file="watched-rows-1.msgpack",
        of=monitored_inference.FORMAT,
        encode=WATCHED.to_bytes,
        decode=WatchedRows.from_bytes,
    ),
    Stored(
        file="inference-report-1.msgpack",
        of=monitored_inference.REPORT,
        encode=lambda: msgspec.msgpack.encode(REPORT),
        decode=lambda data: monitored_inference.REPORT.unpack(data, InferenceReport),
    ),
    Stored(
        file="wafer-counts-1.msgpack",
        of=window_counts.FORMAT,
        encode=WAFER_COUNTS.to_bytes,
        decode=WaferCounts.from_bytes,
        # An earlier release counted no defects outside of their wafers.
        exact=False,
    ),
    Stored(
        file="mark-1.json",
        of=MARK_FORMAT,
        encode=lambda: msgspec.json.encode(Mark(digest="5b1f0c6a3d2e4f70", at_us=1_767_225_600_000_000)),
        decode=lambda data: MARK_FORMAT.parse(data, Mark),
    ),
    Stored(
        file="order-1.json",
        of=ORDER_FORMAT,
        encode=lambda: msgspec.json.encode(ORDER),
        decode=lambda data: ORDER_FORMAT.parse(data, Order),
    ),
    Stored(
        file="progress-1.json",
        of=PROGRESS_FORMAT,
        encode=lambda: msgspec.json.encode(PROGRESS),
        decode=lambda data: PROGRESS_FORMAT.parse(data, Progress),
        exact=False,
    ),
    Stored(
        file="standing-1.json",
        of=STANDING_FORMAT,
        encode=lambda: msgspec.json.encode(STANDING),
        decode=lambda data: STANDING_FORMAT.parse(data, Standing),
    ),
    Stored(file="pane-1.msgpack", of=panes.FORMAT, encode=_pane, decode=_pane_said),
    Stored(
        file="pane-1-in-place.msgpack",
        of=panes.FORMAT,
        encode=lambda: _pane(replace(PANE, gone_us=60_000_000)),
        decode=_pane_said,
    ),
    Stored(
        file="click-pane-1.msgpack",
        of=sliding.FORMAT,
        encode=lambda: msgspec.msgpack.encode(_click_pane()),
        decode=_click_pane_said,
        exact=False,
    ),
    Stored(
        file="learned-pane-1.msgpack",
        of=learned_pane.FORMAT,
        encode=lambda: _learned_pane().to_bytes(),
        decode=_learned_pane_said,
        exact=False,
    ),
    Stored(
        file="row-pane-1.msgpack",
        of=kept_rows.FORMAT,
        encode=lambda: _row_pane().to_bytes(),
        decode=_row_pane_said,
        exact=False,
    ),
    Stored(
        file="learned-rows-1.msgpack",
        of=row_learning.FORMAT,
        encode=lambda: LEARNED_ROWS.to_bytes(),
        decode=LearnedRows.from_bytes,
    ),
    Stored(
        file="learned-wafers-1.msgpack",
        of=wafer_learning.FORMAT,
        encode=lambda: LEARNED_WAFERS.to_bytes(),
        decode=LearnedWafers.from_bytes,
    ),
    Stored(
        file="wafer-pane-1.msgpack",
        of=kept_wafers.FORMAT,
        encode=lambda: msgspec.msgpack.encode(WAFER_PANE),
        decode=WaferPane.from_bytes,
    ),
    Stored(
        file="pattern-1.json",
        of=PATTERN_FORMAT,
        encode=lambda: pattern_record("t", PATTERN).value or b"",
        decode=lambda data: PATTERN_FORMAT.parse(data, Pattern),
    ),
    Stored(
        file="decision-1.json",
        of=DECISION_FORMAT,
        encode=lambda: decision_record("t", DECISION).value or b"",
        decode=lambda data: DECISION_FORMAT.parse(data, Decision),
    ),
    Stored(
        file="replay-under-way-1.json",
        of=replay_log.FORMAT,
        encode=lambda: msgspec.json.encode(replay_log._UnderWay({0: 5, 3: 0})),
        decode=lambda data: replay_log.FORMAT.parse(data, replay_log._UnderWay),
    ),
    Stored(
        file="metric-sample-1.json",
        of=SAMPLE,
        encode=lambda: msgspec.json.encode(METRIC),
        decode=lambda data: SAMPLE.parse(data, MetricSample),
    ),
    Stored(
        file="window-record-1.json",
        of=window_records.FORMAT,
        encode=lambda: msgspec.json.encode(WINDOW_RECORD),
        decode=lambda data: window_records.FORMAT.parse(data, window_records.WindowRecord),
    ),
    Stored(
        file="acknowledgement-1.msgpack",
        of=accounts.ACK,
        encode=lambda: msgspec.msgpack.encode(ACK),
        decode=lambda data: accounts.ACK.unpack(data, accounts.Ack),
    ),
    Stored(
        file="closed-window-1.msgpack",
        of=closed.FORMAT,
        encode=CLOSED.to_bytes,
        decode=Closed.from_bytes,
        # A conclusion of before said nothing of what is to be learned.
        exact=False,
    ),
    Stored(
        file="packed-state-1.zstd",
        of=packed_state.FORMAT,
        encode=lambda: packed_state.packed(PACKED),
        decode=packed_state.unpack,
        exact=False,
    ),
    Stored(
        file="books-1.msgpack",
        of=books.FORMAT,
        encode=lambda: msgspec.msgpack.encode(BOOKS),
        decode=lambda data: books.FORMAT.unpack(data, Books),
    ),
    Stored(
        file="record-batch-1.arrow",
        of=coders._BATCH,
        encode=lambda: coders.encode_batch(clicks(5)),
        decode=coders.decode_batch,
        exact=False,
    ),
    *(
        Stored(
            file=f"{name}-1.msgpack",
            of=module.STORED,
            encode=partial(msgspec.msgpack.encode, state),
            decode=partial(module.STORED.unpack, kind=type(state)),
        )
        for name, module, state in MEASURES
    ),
    Stored(file="retraining-log-1.jsonl", encode=_note, decode=lambda data: msgspec.json.decode(data, type=Entry)),
    Stored(file="training-checkpoint-1.safetensors", encode=_checkpoint, decode=_checkpoint_said),
    Stored(
        file="version-history-1.jsonl",
        encode=lambda: msgspec.json.Encoder().encode_lines(MOVES),
        decode=_history,
    ),
)


#: Golden files of earlier releases whose bytes are refused, and what their refusal names.
REFUSED = {"feature-counts-2-hashed-by-polars.arrow": (_counts_said, "got another hash")}


def write_missing() -> list[str]:
    """Write the golden files that are not there; returns their names."""
    missing = [stored for stored in STORED if not (GOLDEN / stored.file).exists()]
    for stored in missing:
        (GOLDEN / stored.file).write_bytes(stored.encode())
    return [stored.file for stored in missing]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in write_missing())
