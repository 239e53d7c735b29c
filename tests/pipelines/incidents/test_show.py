"""`sparsewatch incidents show`: from an incident to the records that show it."""

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparsewatch.pipelines.incidents.command import incidents, print_originals
from sparsewatch.pipelines.records.originals import Original
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.records import Fetched
from tests.kit.watched_jobs import FaultyJob, faulty_job

__all__ = ["faulty_job"]


def places(shown: str) -> list[tuple[int, int]]:
    (line,) = re.findall(
        r"^records that show it, partition:offset of topic clicks: (.*) \(--records prints", shown, re.M
    )
    return [(int(partition), int(offset)) for partition, offset in re.findall(r"(\d+):(\d+)", line)]


def test_records_that_show_an_incident_are_named_and_printed_as_the_broker_has_them(job: FaultyJob) -> None:
    named = places(job.asked(incidents, "show", str(job.file), "clicks-1"))
    assert 1 < len(named) <= 10
    shown = job.asked(incidents, "show", str(job.file), "clicks-1", "--records")
    stored = {(one.partition, one.offset): one.value or b"" for one in job.broker.records("clicks")}
    assert shown.splitlines()[-len(named) :] == [f"{p}:{o}  {stored[p, o].decode()}" for p, o in named]
    assert all('"ad":null' in stored[place].decode() for place in named)


def test_a_record_that_is_gone_says_so_and_the_others_are_printed(job: FaultyJob) -> None:
    named = places(job.asked(incidents, "show", str(job.file), "clicks-1"))
    partition, offset = min(named)
    job.broker.trim("clicks", partition, offset + 1)
    shown = job.asked(incidents, "show", str(job.file), "clicks-1", "--records")
    assert re.findall(r"^(\d+:\d+)  gone: the broker no longer has it$", shown, re.M) == [f"{partition}:{offset}"]
    assert shown.count('"ad":null') == len(named) - 1


def original(offset: int, value: bytes | None) -> Original:
    records = Fetched(0, [offset], [0], [value], (), lambda _: None, offset + 1)
    return Original(0, offset, None if value is None else records)


def test_a_value_ends_where_the_terminal_does_and_moves_no_cursor() -> None:
    values = [b"{}\n\x1b[2J", "漢字".encode() * 20, b"\xff[b]x[/b]", None]
    console = Console(file=StringIO(), width=40, force_terminal=True, color_system=None)
    with console.capture() as shown:
        print_originals([original(at, value) for at, value in enumerate(values)], console)
    first, wide, odd, gone = shown.get().splitlines()
    assert (first, odd) == (r"0:0  {}\n\x1b[2J", r"0:2  \xff[b]x[/b]")
    assert gone == "0:3  gone: the broker no longer has it"
    assert wide.startswith("0:1  漢字漢字")
    assert 38 <= cell_len(wide) <= 40
    assert wide.endswith("…")


def test_an_incident_whose_alerts_name_no_records_says_so(job: FaultyJob) -> None:
    job.broker.recreate("clicks.alerts")
    shown = job.asked(incidents, "show", str(job.file), "clicks-1", "--records")
    assert shown.endswith("its alerts name no records of topic clicks\n")
    with pytest.raises(ConfigError, match="expected one of --json and --records, got both"):
        job.asked(incidents, "show", str(job.file), "clicks-1", "--records", "--json")
