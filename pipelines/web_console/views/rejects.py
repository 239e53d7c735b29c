"""Records that could not be used, or came late: the newest as they are, and rejects sent back by a form."""

from datetime import UTC, datetime
from typing import NamedTuple

from sparsewatch.pipelines.rejects.replay_log import read_log
from sparsewatch.pipelines.rejects.topics import Origin, SetAside, SetAsideTopic
from sparsewatch.pipelines.web_console.asked import Asked, RefusedError, Shown
from sparsewatch.pipelines.web_console.commanded import run_command

#: Newest records of each partition that are read, and bytes of a value that are shown.
_EACH, _BYTES = 100, 400


class AsideShown(NamedTuple):
    """A record that was set aside."""

    id: str
    code: str
    message: str
    time: str
    #: Its first bytes as text; what is no text is escaped.
    value: str
    is_cut: bool
    is_replayed: bool


def rejects_page(asked: Asked) -> Shown:
    """The newest rejects, or late records, of the job's source topic.

    Raises:
        ConfigError: If nothing was set aside yet.
        SourceError: If the broker does not answer.
    """
    job, is_late = asked.job.job, asked.text("kind") == "late"
    origin = Origin(asked.job.made.topics.source, "late" if is_late else "reject")
    done = read_log(job.kafka, origin).replayed
    with SetAsideTopic(job.kafka, origin) as topic:
        found = sorted(topic.newest(_EACH), key=lambda one: (one.record.timestamp_ms, one.id), reverse=True)
    values = {
        "found": [_shown(one, done) for one in found[:_EACH]],
        "is_late": is_late,
        "topic": origin.side_topic,
        "can_replay": asked.job.file is not None and not is_late,
        "done": asked.is_done,
    }
    return Shown("rejects.html", values)


def _shown(one: SetAside, done: set[str]) -> AsideShown:
    record, whole = one.record, one.record.value or b""
    value = "(too large for this topic)" if one.left_out else whole[:_BYTES].decode(errors="backslashreplace")
    sent = datetime.fromtimestamp(record.timestamp_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return AsideShown(one.id, record.code, record.message, sent, value, len(whole) > _BYTES, one.id in done)


def replay(asked: Asked) -> str:
    """Send a reject back to its topic as it came; gives the address of the page of rejects.

    What the job refuses still is rejected again: nothing is lost, and nothing is sent twice.

    Raises:
        NotThereError: If this console was not given the job as a file.
        RefusedError: If the form names none, or the command refuses it.
    """
    file, id_ = asked.file, asked.form.get("id", "")
    if not id_:
        raise RefusedError("expected the id of a reject, got none")
    run_command("rejects", "replay", f"--only={id_}", "--force", "--", str(file))
    return asked.done("rejects")
