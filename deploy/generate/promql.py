"""Expressions of PromQL over declared metrics.

Each exporter of a job serves the same series, so every expression takes the largest of them: two replicas count as one.
"""

from sparsewatch.schemas.metric import Metric


def of_jobs(metric: Metric, over: str = "{}", **where: str) -> str:
    """The series of a metric, by job and its labels, whichever exporter serves them.

    Args:
        metric: The metric.
        over: What is made of a series before, such as `rate({}[15m])`.
        **where: Labels with the value they have, or with `~` in front the pattern that they match.
    """
    matchers = ", ".join(_matcher(label, value) for label, value in where.items())
    series = f"{metric.name}{{{matchers}}}" if matchers else metric.name
    by = ", ".join(dict.fromkeys(("job", *metric.labels)))
    return f"max by ({by}) ({over.format(series)})"


def summed(metric: Metric, over: str = "{}", by: str = "job", **where: str) -> str:
    """The sum over its labels; the same arguments, and the labels to keep."""
    return f"sum by ({by}) ({of_jobs(metric, over, **where)})"


def _matcher(label: str, value: str) -> str:
    return f'{label}=~"{value[1:]}"' if value.startswith("~") else f'{label}="{value}"'
