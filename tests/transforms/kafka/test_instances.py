"""One job, one writer: whoever claims last writes, and nothing that an older instance adds counts for anybody."""

import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import PROGRESS, Progress
from sparsewatch.schemas.errors import FencedError
from sparsewatch.schemas.jobs import JobIdentity, Topics
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.instances import (
    Watch,
    claim,
    no_progress,
    progress_records,
    remove_older,
    write_standing,
)
from sparsewatch.transforms.kafka.progress import load_progress

TOPIC = "j.progress"


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        broker.create(TOPIC, compact=True)
        yield broker


def job_of(broker: FakeBroker, name: str = "j") -> JobIdentity:
    return JobIdentity(job=name, settings_digest="d", kafka=broker.settings, topics=Topics(source="t", prefix="j"))


def claimed(broker: FakeBroker, name: str = "j") -> JobIdentity:
    job = job_of(broker, name)
    with progress_records(job) as records:
        return claim(job, records, broker.writer())


def commit(broker: FakeBroker, job: JobIdentity, windows: int) -> None:
    writer = broker.writer()
    write_standing(writer, job, msgspec.structs.replace(no_progress(job), windows=windows))
    writer.flush()


def loaded(broker: FakeBroker, name: str = "j") -> Progress | None:
    return load_progress(broker.settings, TOPIC, name, "d")


def test_an_instance_sees_that_a_newer_one_has_claimed_its_job(broker: FakeBroker) -> None:
    first = claimed(broker)
    watch = Watch(first)
    watch.check()
    second = claimed(broker)
    assert second.instance is not None
    taken_over = rf"'j' was taken over by process {second.instance.pid} on {second.instance.host}, started 20..-..-.. "
    for _ in range(2):
        with pytest.raises(FencedError, match=taken_over):
            Watch(first).check()
    with pytest.raises(FencedError):
        watch.check()
    Watch(second).check()


def test_jobs_whose_names_begin_alike_do_not_fence_each_other(broker: FakeBroker) -> None:
    first, other = claimed(broker), claimed(broker, "j2")
    commit(broker, other, 5)
    Watch(first).check()
    assert loaded(broker) is None


def test_a_claim_alone_changes_no_progress(broker: FakeBroker) -> None:
    first = claimed(broker)
    commit(broker, first, 3)
    claimed(broker)
    progress = loaded(broker)
    assert progress is not None
    assert progress.windows == 3


def test_the_progress_of_an_earlier_release_is_read_and_gives_way(broker: FakeBroker) -> None:
    writer = broker.writer()
    bare = msgspec.structs.replace(no_progress(job_of(broker)), windows=9)
    writer.send(TOPIC, b"j", msgspec.json.encode(bare))
    writer.flush()
    assert loaded(broker) == bare
    own = claimed(broker)
    assert loaded(broker) == bare
    commit(broker, own, 10)
    remove_older(own, progress_records(own), writer)
    writer.flush()
    assert own.instance is not None
    assert set(broker.newest(TOPIC)) == {b"j", f"j/1/{own.instance.id}".encode()}


def test_every_record_reads_as_a_progress_and_the_newest_lies_under_the_jobs_name(broker: FakeBroker) -> None:
    first = claimed(broker)
    assert [PROGRESS.parse(value, Progress).windows for value in broker.newest(TOPIC).values()] == [0]
    commit(broker, first, 3)
    claimed(broker)
    read = {key: PROGRESS.parse(value, Progress) for key, value in broker.newest(TOPIC).items()}
    assert read[b"j"] == msgspec.structs.replace(no_progress(first), windows=3)
    assert sorted(progress.windows for progress in read.values()) == [0, 3, 3]


def test_an_earlier_release_that_is_started_again_goes_on_and_is_gone_on_from(broker: FakeBroker) -> None:
    commit(broker, claimed(broker), 3)
    then = PROGRESS.parse(broker.newest(TOPIC)[b"j"], Progress)
    further = msgspec.structs.replace(then, windows=then.windows + 4)
    writer = broker.writer()
    writer.send(TOPIC, b"j", msgspec.json.encode(further))
    writer.flush()
    assert loaded(broker) == further
    commit(broker, claimed(broker), 8)
    progress = loaded(broker)
    assert progress is not None
    assert progress.windows == 8


@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_older_instances_write_and_the_topic_forgets_progress_never_goes_back(seed: int) -> None:
    """Each instance that lost commits once more, as one does that looked just before; compaction comes at any time."""
    rng = random.Random(seed)
    with FakeBroker() as broker:
        broker.create(TOPIC, compact=True)
        lost: list[tuple[JobIdentity, int]] = []
        windows = 0
        for _ in range(rng.randint(1, 4)):
            own = claimed(broker)
            before = loaded(broker)
            windows = 0 if before is None else before.windows
            commit(broker, own, windows)
            remove_older(own, progress_records(own), writer := broker.writer())
            writer.flush()
            for _ in range(rng.randint(0, 4)):
                if lost and rng.random() < 0.5:
                    older, far = lost.pop()
                    with pytest.raises(FencedError):
                        Watch(older).check()
                    commit(broker, older, far + 50)
                else:
                    windows += 1
                    commit(broker, own, windows)
                if rng.random() < 0.3:
                    broker.compact(TOPIC)
                progress = loaded(broker)
                assert progress is not None
                assert progress.windows == windows
            lost.append((own, windows))
