"""The tables of docs/metrics.md, each between two marks; what stands around them is written by hand."""

import re
from collections.abc import Iterator
from pathlib import Path

from deploy.generate.rules import ALERTS, RECORDINGS
from sparsewatch.schemas.metric import EVERY_JOB, Metric, Owner
from sparsewatch.schemas.metrics import METRICS

_OWNERS: dict[Owner, str] = {
    "ctr": "clicks",
    "rows": "rows",
    "wafer": "wafers",
    "exporter": "the exporter",
    "notify": "`notify`",
}


def with_tables(page: str) -> str:
    """The page, its tables written anew.

    Raises:
        ValueError: If its marks are not there.
    """
    page = _between(page, "metrics", "\n".join(_metrics()))
    page = _between(page, "recorded", "\n".join(_recorded()))
    return _between(page, "alerts", "\n".join(_alerts()))


def _between(page: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: written by `make metrics` -->\n", f"<!-- end of {name} -->\n"
    if not re.search(f"{re.escape(begin)}.*{re.escape(end)}", page, flags=re.DOTALL):
        raise ValueError(f"expected a line {begin.strip()!r} and after it {end.strip()!r}")
    return page.partition(begin)[0] + begin + content + "\n" + end + page.partition(end)[2]


def _metrics() -> Iterator[str]:
    yield "| metric | labels | unit | series | holds |"
    yield "|---|---|---|--:|---|"
    for of in dict.fromkeys(metric.of for metric in METRICS):
        yield f"| **{_whose(of)}** | | | | |"
        yield from (_metric(metric) for metric in METRICS if metric.of == of)


def _whose(of: tuple[Owner, ...]) -> str:
    return "every job" if of == EVERY_JOB else " and ".join(_OWNERS[owner] for owner in of)


def _metric(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    needs = f" Only {metric.needs}." if metric.needs else ""
    return f"| `{metric.name}` | {labels} | {metric.unit} | {metric.series} | {metric.help}{needs} |"


def _recorded() -> Iterator[str]:
    yield "| series | holds |"
    yield "|---|---|"
    for rule in RECORDINGS:
        yield f"| `{rule.name}` | {rule.help} |"


def _alerts() -> Iterator[str]:
    yield "| alert | severity | fires when | do |"
    yield "|---|---|---|---|"
    for rule in ALERTS:
        lasts = "" if rule.lasts == "0s" else f", for {rule.lasts}"
        file, _, rule_of = rule.runbook.partition("#")
        more = f" [Runbook]({Path(file).name}#{rule_of})." if file.endswith("runbook.md") else ""
        yield f"| `{rule.name}` | {rule.severity} | {rule.when}{lasts} | {rule.description}{more} |"
