"""The public tool's own environment, and processes timed from outside."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]
#: Made by `make bench-outrank`.
PEER = ROOT / ".cache" / "peers" / "outrank" / "bin"
SCRIPTS = ROOT / "benchmarks" / "peers"
LAUNCHER = ROOT / "benchmarks" / "process_cost.py"
NAME = "outrank 0.97.5"
_PROCESS_S = 1_800


class Cost(msgspec.Struct, frozen=True):
    """Cost of a process, as `benchmarks/process_cost.py` prints it."""

    seconds: float
    #: Largest resident memory of the process or of any of its children.
    peak_mb: float
    exit_status: int


def ask_peer(script: str, *arguments: object) -> Any:
    """Run a script of `benchmarks/peers` in the peer's environment; the JSON it printed last.

    Raises:
        RuntimeError: If it fails; it says how.
    """
    done = run_peer(script, *arguments)
    if done.returncode:
        raise RuntimeError(f"{script} {arguments[0]} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def run_peer(script: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a script of `benchmarks/peers` to its end, with any exit status.

    Raises:
        FileNotFoundError: If there is no such environment.
    """
    if not (PEER / "python").exists():
        raise FileNotFoundError(f"no environment of the public tool in {PEER}: `make bench-outrank` sets it up")
    command = [str(PEER / "python"), str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=_PROCESS_S)


def time_command(command: Sequence[str], folder: Path) -> Cost:
    """Run a program in `folder` and wait for it.

    Raises:
        RuntimeError: If it fails; it says how.
    """
    launcher = [sys.executable, "-IS", str(LAUNCHER), *command]
    done = subprocess.run(launcher, cwd=folder, capture_output=True, check=True, timeout=_PROCESS_S)
    cost = msgspec.json.decode(done.stdout, type=Cost)
    if cost.exit_status:
        raise RuntimeError(f"{' '.join(command)} ended with {cost.exit_status}: {done.stderr.decode()[-2000:]}")
    return cost
