"""Which Beam runner a job gets, and with what options."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from apache_beam.options.pipeline_options import PipelineOptions

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.kafka.reader_start import Until

_TEN_YEARS_S = 315_360_000
_BEAM_CACHE = Path.home() / ".apache_beam" / "cache" / "prism" / "bin"
#: `repeat` is the in-process runner, which cannot run without end, again and again.
Runner = Literal["inprocess", "repeat", "prism", "portable"]
#: Prism splits slow bundles and gives the rest to another instance at once, even where a step has state: both then work
#: on the same state, and what one of them remembers is lost.
_WHOLE_BUNDLES = "--experiments=prism_disable_sdf_split"
#: Flink else sends what a step gave out during a checkpoint with the next element that the step gets. The step that
#: hands a reader to its worker never gets another: the reader would wait without end. Other job servers ignore this.
_READERS_SET_OFF = "--finish_bundle_before_checkpointing"
#: Follows the name of Prism in messages.
_GET_PRISM = "in the repository `make services-prism` builds it; elsewhere, name one by SPARSEWATCH_PRISM"
NO_PRISM = (
    f"Without Prism, this process repeats runs and reads nothing for a second when a window closes; {_GET_PRISM}."
)


def parse_until(text: str) -> Until:
    """`forever`, `latest`, or the Kafka timestamp (milliseconds) of an ISO-8601 time.

    >>> parse_until("2026-01-01T00:00:00Z")
    1767225600000

    Raises:
        ConfigError: If it is none of these.
    """
    if text in ("forever", "latest"):
        return text  # type: ignore[return-value]
    try:
        return parse_moment_us(text) // 1000
    except ConfigError as error:
        raise ConfigError(f"--until: expected 'latest', 'forever' or a time; {error}") from error


def find_prism() -> Path | None:
    """The Prism binary: `SPARSEWATCH_PRISM`, beside the Python that runs, on the path, or in Beam's own cache."""
    named = os.environ.get("SPARSEWATCH_PRISM")
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    # An environment's programs lie beside its Python, also where it is not activated.
    if found := shutil.which("prism", path=str(Path(sys.executable).parent)) or shutil.which("prism"):
        return Path(found)
    cached = sorted(p for p in _BEAM_CACHE.glob("*") if os.access(p, os.X_OK) and p.is_file())
    return cached[-1] if cached else None


def choose_runner(runner: str, until: Until, *, repeated: bool = False) -> Runner:
    """The runner to use.

    Args:
        runner: `auto`, `inprocess`, `prism` or `portable`.
        until: When the job stops.
        repeated: Whether repeated runs are asked for.

    Raises:
        ConfigError: If they cannot work together, with the remedy.
    """
    if repeated:
        if runner not in ("auto", "inprocess") or isinstance(until, int):
            got = f"--until {until}" if isinstance(until, int) else f"--runner {runner}"
            raise ConfigError(f"--repeat: expected --runner inprocess, and --until forever or latest, got {got}")
        return "repeat"
    if runner == "prism" and find_prism() is None:
        raise ConfigError(f"--runner prism: no Prism binary found ({_GET_PRISM}). --runner auto runs without it.")
    if runner == "auto":
        runner = "prism" if until == "forever" and find_prism() is not None else "inprocess"
    if runner == "inprocess" and until == "forever":
        # Beam's in-process runner holds back every step behind an endless source.
        return "repeat"
    return runner  # type: ignore[return-value]


def runner_options(runner: Runner, until: Until, extra: Sequence[str] = ()) -> PipelineOptions:
    """Beam's options for a chosen runner.

    Args:
        runner: As from `choose_runner`; for Prism, `extra` names the endpoint at which it listens.
        until: When the job stops.
        extra: Options passed through to Beam as they are.
    """
    if runner in ("inprocess", "repeat"):
        # Named, since Beam's direct runner silently uses Prism if it finds it.
        return PipelineOptions(["--runner=FnApiRunner", *extra])
    streaming = ["--streaming"] if until == "forever" else []
    if streaming and runner == "portable":
        streaming.append(_READERS_SET_OFF)
    workers = ["--environment_type=LOOPBACK", _WHOLE_BUNDLES] if runner == "prism" else []
    # Beam ends the streams it follows a job by after this time (300 s by default), and the job with them.
    patience = f"--job_server_timeout={_TEN_YEARS_S}"
    return PipelineOptions(["--runner=PortableRunner", patience, *workers, *streaming, *extra])
