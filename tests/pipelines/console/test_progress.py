import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from sparsewatch.pipelines.console.progress import BYTES, progress_bar

_SCRIPT = """
import time
from sparsewatch.pipelines.console.progress import progress_bar
with progress_bar({what!r}, {total}, {unit!r}) as bar:
    for _ in range(4):
        bar.add(250)
        time.sleep(0.15)
print("done")
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(width: int = 120) -> Console:
    return Console(file=Terminal(), width=width, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})


def shown(console: Console) -> str:
    assert isinstance(console.file, Terminal)
    return console.file.getvalue()


def test_a_terminal_shows_counts_rate_and_what_is_left() -> None:
    console = on_a_terminal()
    with progress_bar("counting", 1_000_000, "rows", console=console) as bar:
        bar.add(1_000)
        bar.add(1_000)
        bar.move(250_000, note="loss 0.125")
    assert "counting" in shown(console)
    assert "250,000/1,000,000 rows" in shown(console)
    assert "/s" in shown(console)
    assert " left" in shown(console)
    assert "loss 0.125" in shown(console)


def test_without_a_total_no_time_is_left() -> None:
    console = on_a_terminal()
    with progress_bar("reading", None, "rows", console=console) as bar:
        bar.add(12_345)
    assert "12,345 rows" in shown(console)
    assert "left" not in shown(console)


def test_bytes_are_shown_as_sizes() -> None:
    console = on_a_terminal()
    with progress_bar("reading a.csv", 2_500_000, BYTES, console=console) as bar:
        bar.move(1_000_000)
    assert "1.0 MB/2.5 MB" in shown(console)


def test_a_total_may_come_later() -> None:
    console = on_a_terminal()
    with progress_bar("fitting", console=console) as bar:
        bar.move(5, 40)
    assert "5/40" in shown(console)


def test_a_narrow_terminal_gets_one_line_with_the_numbers_whole() -> None:
    console = on_a_terminal(width=60)
    with progress_bar("reading a_rather_long_name_of_a_file_of_clicks.parquet", 10**9, BYTES, console=console) as bar:
        bar.move(4 * 10**8, note="and a long note, too")
    assert "400.0 MB/1.0 GB" in shown(console)
    drawn = [part for part in re.split(r"\r|\x1b\[[0-9;?]*[A-Za-z]", shown(console)) if part.strip()]
    assert max(len(line) for part in drawn for line in part.splitlines()) <= 60
    assert all(len(part.strip("\n").splitlines()) == 1 for part in drawn)


def test_a_name_is_neither_markup_nor_control() -> None:
    console = on_a_terminal()
    with progress_bar("[red]\x1b]0;x\x07.csv", 3, console=console) as bar:
        bar.add(1)
    assert "[red]\\x1b]0;x\\x07.csv" in shown(console)


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_nothing(environment: dict[str, str]) -> None:
    script = _SCRIPT.format(what="reading", total=1000, unit="rows")
    piped = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, env={**os.environ, **environment}
    )
    assert (piped.stdout, piped.stderr) == (b"done\n", b"")


def test_results_go_to_their_pipe_while_the_bar_is_on_the_terminal() -> None:
    leader, follower = pty.openpty()
    script = _SCRIPT.format(what="reading", total=1000, unit="rows").replace("bar.add(250)", "bar.add(250), print(1)")
    ran = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=follower,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    drawn = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert ran.stdout == b"1\n" * 4 + b"done\n"
    assert "reading" in drawn
    assert "/1,000 rows" in drawn


def test_plain_lines_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    file = io.StringIO()
    with progress_bar("clicks.csv", 4000, "events", console=Console(file=file), lines_s=5.0) as bar:
        for _ in range(3):
            bar.add(1000)
    assert file.getvalue() == "clicks.csv: 2000 of 4000 events, 333/s\n"
