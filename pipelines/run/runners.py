"""Which Beam runner a job uses, its options, and when it stops."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.kafka.source import Until

_TEN_YEARS_S = 315_360_000
_BEAM_CACHE = Path.home() / ".apache_beam" / "cache" / "prism" / "bin"


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


def choose_runner(runner: str, until: Until) -> str:
    """The runner to use: `inprocess`, `prism` or `portable`.

    Raises:
        ConfigError: If the pair cannot work, with the reason and the remedy.
    """
    if runner == "auto":
        runner = "prism" if until == "forever" else "inprocess"
    if runner == "inprocess" and until == "forever":
        raise ConfigError(
            "--runner inprocess with --until forever: Beam's in-process runner holds back every step behind an endless "
            "source, so nothing would ever come out. Use --until latest, with --repeat 30s for ever, or --runner prism."
        )
    if runner == "prism" and find_prism() is None:
        raise ConfigError(
            "--runner prism: no Prism binary found. In the repository `make services-prism` builds it (needs Go); "
            "elsewhere put `prism` on the path or set SPARSEWATCH_PRISM to it. Or run with --until latest instead."
        )
    return runner


def runner_options(runner: str, until: Until, extra: Sequence[str] = ()) -> PipelineOptions:
    """Beam's options for a chosen runner.

    Args:
        runner: As from `choose_runner`.
        until: When the job stops.
        extra: Options passed through to Beam as they are.
    """
    streaming = ["--streaming"] if until == "forever" else []
    # Beam ends the streams it follows a job by after this time (300 s unless told), and the job with them.
    patience = f"--job_server_timeout={_TEN_YEARS_S}"
    if runner == "inprocess":
        # Named, since Beam's direct runner picks Prism silently where it finds it.
        return PipelineOptions(["--runner=FnApiRunner", *extra])
    if runner == "prism":
        return PipelineOptions(
            [
                "--runner=PrismRunner",
                f"--prism_location={find_prism()}",
                "--environment_type=LOOPBACK",
                patience,
                *streaming,
                *extra,
            ]
        )
    return PipelineOptions(["--runner=PortableRunner", patience, *streaming, *extra])
