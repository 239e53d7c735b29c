"""What an exporter of 10,000 series costs: a scrape of it, and a restart until it serves all of its topic again.

`python -m benchmarks.exporter_scrape`, or `make bench-exporter_scrape`. The series are those that jobs have at most, by
their declarations; the topic is a broker's, on this machine.
"""

import itertools
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import click
import msgspec

from benchmarks.harness import Result, Rounds, cost, seconds, write_results
from sparsewatch.pipelines.exporter.command import Exporter
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.metrics import FEATURES, METRICS
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.kafka.open import open_admin, open_writer

SERIES = 10_000
#: Times that each series was written: so long a topic may be before it is compacted.
_WRITTEN = 5
_TOPIC = "bench.metrics"
_SCRAPE_S = 0.2


def samples(series: int) -> list[MetricSample]:
    """So many series, of as many jobs as that takes."""
    return list(itertools.islice(_of_jobs(), series))


def _of_jobs() -> Iterator[MetricSample]:
    for job in itertools.count():
        for metric in METRICS:
            if "exporter" not in metric.of:
                for place in range(min(metric.series, FEATURES)):
                    labels = {label: f"{label}-{place}" for label in metric.labels}
                    yield metric.sample(1 / (place + job + 1), **labels).of_job(f"job-{job}")


def scraped(exporter: Exporter) -> str:
    """The page of an exporter."""
    with urllib.request.urlopen(exporter.url, timeout=60) as answer:
        return str(answer.read().decode())


def served(exporter: Exporter) -> int:
    """Series of jobs on its page."""
    return sum('job="' in line for line in scraped(exporter).splitlines())


def _started(kafka: KafkaSettings, series: int) -> float:
    """Seconds until a new exporter serves so many series."""
    began = time.perf_counter()
    with Exporter(kafka, _TOPIC, port=0) as exporter:
        while served(exporter) < series:
            time.sleep(0.02)
    return time.perf_counter() - began


def measure(rounds: int, series: int = SERIES) -> list[Result]:
    """Seconds of a scrape and of a restart."""
    with EmbeddedBroker() as broker:
        kafka = KafkaSettings(bootstrap_servers=[broker.bootstrap])
        with closing(open_admin(kafka)) as admin:
            admin.create_topics([NewTopic(_TOPIC, compact=True)])
        writer = open_writer(kafka)
        for _ in range(_WRITTEN):
            for sample in samples(series):
                writer.send(_TOPIC, sample.key.encode(), msgspec.json.encode(sample))
        writer.close()
        restarts = Rounds([_started(kafka, series) for _ in range(rounds)])
        with Exporter(kafka, _TOPIC, port=0) as exporter:
            while served(exporter) < series:
                time.sleep(0.02)
            scrapes = Rounds([seconds(lambda: scraped(exporter)) for _ in range(rounds)])
    note = f"the topic holds {_WRITTEN} samples of each"
    return [
        cost(f"scrape of {series:,} series", scrapes, "s", target=_SCRAPE_S),
        cost(f"from the start until all {series:,} are served", restarts, "s", note=note),
    ]


@click.command()
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Seconds of a scrape, and of a restart."""
    write_results("exporter_scrape", measure(rounds))


if __name__ == "__main__":
    main()
