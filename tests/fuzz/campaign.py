"""A campaign: many inputs of each decoder, in processes of their own with bounded memory.

A decoder of another language may end the process, or never end: the process that watches it notes the input as failed
and goes on behind it.

    python -m benchmarks.fuzz                   20,000 inputs of each decoder, over two processes (`make fuzz`)
"""

import importlib
import mmap
import multiprocessing
import resource
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.decoder import Decoder, Tally, tally_of

#: Address space of a process, besides what its libraries take.
MEMORY_BYTES = 4 << 30
#: An input that is not read after this time counts as failed, seconds.
ENDLESS_S = 120.0
#: Module whose `DECODERS` are known to the processes.
KNOWN = "tests.fuzz.decoders"
#: Inputs a message.
_STEP = 500
#: Inputs a process: allocators reserve ever more address space, though they use none of it.
_SHARE = 5_000


class Plan(NamedTuple):
    """What a campaign does."""

    #: Module that names the decoders.
    module: str
    inputs: int
    processes: int
    endless_s: float = ENDLESS_S


def decoders_of(module: str) -> dict[str, Decoder]:
    """The decoders of a module by name."""
    return {decoder.name: decoder for decoder in importlib.import_module(module).DECODERS}


def campaign(names: Sequence[str], plan: Plan, on_done: Callable[[Tally], None]) -> list[Tally]:
    """What became of the inputs of some decoders.

    Args:
        names: Their names.
        plan: How many inputs, over how many processes.
        on_done: Called with each tally once it is whole.
    """

    def whole(name: str) -> Tally:
        tally = Tally(name)
        for part in _watched(name, 0, plan):
            tally.add(part)
        on_done(tally)
        return tally

    with ThreadPoolExecutor(plan.processes) as pool:
        return list(pool.map(whole, names))


def _watched(name: str, first: int, plan: Plan) -> Iterator[Tally]:
    """Tallies of the inputs of a decoder from one on, read by one process after another until all are done."""
    while first < plan.inputs:
        with tempfile.TemporaryDirectory() as folder, _Reading(name, first, plan, Path(folder)) as reading:
            for tally in reading.tallies():
                first += tally.inputs
                yield tally
            fatal, why = reading.current(), reading.end()
        if why:
            # What became of those before it went with the process.
            yield from _watched(name, first, plan._replace(inputs=fatal))
            tally = Tally(name, inputs=1)
            tally.fail(fatal, why)
            yield tally
            first = fatal + 1


class _Reading:
    """A process that reads the inputs of a decoder from one on; a context manager that ends it."""

    def __init__(self, name: str, first: int, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._place = folder / "current"
        self._place.write_bytes(struct.pack("<q", first))
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_read, args=(name, first, plan, folder, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._endless = False

    def __enter__(self) -> "_Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()

    def current(self) -> int:
        """Number of the input that is being read."""
        number: int = struct.unpack("<q", self._place.read_bytes())[0]
        return number

    def tallies(self) -> Iterator[Tally]:
        """Its messages, until it ends or an input takes too long."""
        while self._is_heard():
            try:
                yield self._ours.recv()
            except EOFError:
                return

    def _is_heard(self) -> bool:
        before = -1
        while not self._ours.poll(self._plan.endless_s):
            if self.current() == before:
                self._endless = True
                return False
            before = self.current()
        return True

    def end(self) -> str:
        """What ended it, empty if it read its share."""
        if self._endless:
            return f"not read after {self._plan.endless_s:g} s"
        self._process.join()
        return f"the process ended with code {self._process.exitcode}" if self._process.exitcode else ""


def _read(name: str, first: int, plan: Plan, folder: Path, out: Connection) -> None:
    warnings.simplefilter("ignore", RuntimeWarning)
    decoder = decoders_of(plan.module)[name]
    # Libraries are loaded, and threads are started, by reading sound inputs.
    for at, seed in enumerate(decoder.seeds):
        decoder.sound(at, seed, folder)
    _limit_memory()
    with (folder / "current").open("r+b") as file, mmap.mmap(file.fileno(), 8) as current:

        def numbers(begin: int) -> Iterator[int]:
            for number in range(begin, min(begin + _STEP, plan.inputs)):
                current[:] = struct.pack("<q", number)
                yield number

        for begin in range(first, min(first + _SHARE, plan.inputs), _STEP):
            out.send(tally_of(decoder, numbers(begin), folder))
    out.close()


def _limit_memory() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, hard))
