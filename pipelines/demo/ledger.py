"""The demo's numbers from three sources: what it wrote, what the jobs account for, what the exporters serve."""

import time
import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from sparsewatch.schemas.accounts import Account

#: How long an exporter may take to read the last samples.
_PATIENCE_S = 5.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Ledger:
    """One stream's numbers."""

    #: By whoever wrote the events.
    written: Account
    #: By the job, as it committed them.
    accounted: Account
    #: By the exporter, as Prometheus reads them.
    exported: Account

    @property
    def balanced(self) -> bool:
        """Whether all three say the same."""
        return self.written == self.accounted == self.exported


def exported_account(metrics: str, job: str) -> Account:
    """A job's numbers in the text an exporter serves; zeros where it has none.

    >>> exported_account('sparsewatch_records_total{job="a",outcome="late"} 3.0', "a")
    Account(counted=0, late=3, rejected=0, lost=0)
    """
    numbers = {
        sample.labels["outcome"]: int(sample.value)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "sparsewatch_records_total" and sample.labels["job"] == job
    }
    return Account(**{outcome: numbers.get(outcome, 0) for outcome in Account.__struct_fields__})


def scraped_account(url: str, job: str, expected: Account) -> Account:
    """What an exporter serves, once it is what is expected or patience ends.

    Args:
        url: Of its `/metrics`.
        job: Name of the job.
        expected: What it should serve in the end.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while (found := exported_account(_scraped(url), job)) != expected and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def _scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text
