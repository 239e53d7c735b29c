"""A drafted job held against the sample that it was drafted from: read and decoded as in a run."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import parse_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.records import Fetched


class Trial(NamedTuple):
    """How a job reads records."""

    #: Events that it would count.
    events: int
    #: Events that it would reject, by the reason.
    rejects: Counter[str]
    #: What is wrong with the first of these; empty if there is none.
    first: str

    def remark(self) -> str:
        """The rejects in words; empty if there are none."""
        if not self.rejects:
            return ""
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in self.rejects.most_common())
        events, total = counted(self.events + self.rejects.total(), "event"), self.rejects.total()
        return f"{total:,} of {events} would be rejects ({reasons}), the first: {self.first}"


def parsed(text: str, where: str) -> Job:
    """The job of a file's text.

    Raises:
        ConfigError: If anything about it is wrong.
    """
    return parse_job(tomllib.loads(text), where)


def try_out(job: Job, fetched: Sequence[Fetched]) -> Trial:
    """Decode records as a run of the job does.

    Raises:
        SchemaError: If the job would count none of them.
    """
    decoded = decode(job.source.topic, fetched, ready(job).events)
    rejects: Counter[str] = Counter()
    for reject in decoded.rejects:
        rejects[reject.code] += reject.events
    firsts = sorted((reject.partition, reject.offset, reject.message) for reject in decoded.rejects)
    first = "partition {}, offset {}: {}".format(*firsts[0]) if firsts else ""
    trial = Trial(decoded.rows.num_rows, rejects, first)
    if not trial.events:
        raise SchemaError(f"topic {job.source.topic!r}: {trial.remark()}")
    return trial
