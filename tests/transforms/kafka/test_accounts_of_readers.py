"""Several readers of one topic, silences and crashes: every window is closed once, and the sums are right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import Account
from sparsewatch.transforms.kafka.stream_clock import WindowRules
from tests.kit.miniature_jobs import BEGIN_US, MiniatureJob, records
from tests.oracles.accounts import Record, recount

RULES = WindowRules(length_us=10, disorder_us=4)


@st.composite
def topics(draw: st.DrawFn) -> dict[int, list[Record]]:
    """Partitions with rejects, late rows and silences of many windows; some hold nothing but rejects, or nothing."""
    topic: dict[int, list[Record]] = {}
    for partition in range(draw(st.integers(2, 4))):
        time = BEGIN_US
        found: list[Record] = []
        for record in draw(st.lists(records, max_size=12)):
            time += draw(st.sampled_from([0, 3, 8, 120]))
            found.append(None if record is None else [time + t for t in record])
        topic[partition] = found
    return topic


@pytest.mark.long
@settings(max_examples=40)
@given(topics(), st.integers(1, 3), st.data())
def test_every_window_is_closed_once_with_the_rows_of_all_readers(
    topic: dict[int, list[Record]], readers: int, data: st.DataObject
) -> None:
    job = MiniatureJob(topic, readers, RULES)
    for _ in range(60):
        left = list(job.left())
        if not left:
            break
        reader, partition = data.draw(st.sampled_from(left))
        job.read(reader, partition, data.draw(st.integers(1, 5)), data.draw(st.sampled_from([0, 0, 35])))
        crash = data.draw(st.sampled_from(["no", "no", "no", "before", "half"]))
        job.fire(most={"no": None, "before": 0, "half": 1}[crash])
        if crash != "no":
            job.restart()
    for reader, partition in [*job.left()]:
        job.read(reader, partition, 100, 0)
        job.fire()
    job.end()

    truth = recount(topic, RULES.length_us, RULES.disorder_us)
    assert job.progress.totals == Account(
        counted=sum(truth.windows.values()), late=len(truth.late), rejected=len(truth.rejected)
    )
    assert {w: n for w, n in job.written.items() if n} == dict(truth.windows)
    # Where a run ends, windows between the last row of a reader and the first of another are passed over.
    if truth.windows and readers == 1:
        assert set(truth.reached(RULES.length_us)) <= set(job.written)
