"""What recognising a file takes of memory: `python -m benchmarks.recognise_memory MODEL SMALL.arrow FILE.arrow`.

In a process of its own, after the wafers of SMALL: prints the megabytes that the wafers of FILE take at their peak over
what the process then holds, the event itself among them. Linux only.
"""

import sys
from pathlib import Path

import pyarrow as pa

from sparsewatch.detectors.wafers.model import WaferModel


def main() -> None:
    """Measure and print."""
    model = WaferModel.load(sys.argv[1])
    _recognise(model, sys.argv[2])
    before = _memory_mb("VmRSS")
    # From here on the peak counts anew.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    _recognise(model, sys.argv[3])
    print(_memory_mb("VmHWM") - before)


def _recognise(model: WaferModel, path: str) -> None:
    with pa.memory_map(path) as file:
        for rows in pa.ipc.open_file(file).read_all().to_batches():
            model.recognise(rows)


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024


if __name__ == "__main__":
    main()
