"""Which kind of job suits a sample: each kind drafts, and the draft that suits best is taken."""

from typing import NamedTuple

from sparsewatch.pipelines.init.draft import Draft, Findings
from sparsewatch.pipelines.job.kinds import KINDS, kind_named
from sparsewatch.pipelines.job.ready import named_object
from sparsewatch.schemas.errors import ConfigError


class Choice(NamedTuple):
    """A kind and its draft."""

    kind: str
    draft: Draft
    #: Kinds before it in the list that cannot be, and why; those after it are for events of their own sort.
    others: dict[str, str]


def choose(findings: Findings, asked: str | None = None) -> Choice:
    """The kind that suits a sample best.

    Args:
        findings: The sample.
        asked: The kind that the user names; it rules.

    Raises:
        ConfigError: If no kind suits, or the one that does lacks something.
    """
    drafts: dict[str, Draft] = {}
    refused: dict[str, str] = {}
    for kind in [asked] if asked else KINDS:
        if made_by := kind_named(kind).drafted_by:
            try:
                drafts[kind] = named_object(made_by, f"{kind!r}: drafted_by")(findings)
            except ConfigError as error:
                refused[kind] = str(error)
    best = max(drafts, key=lambda kind: drafts[kind].suits, default=None)
    if best is None or drafts[best].lacks:
        lacking = {} if best is None else {best: drafts[best].lacks}
        raise ConfigError("; ".join(f"--kind {kind}: {why}" for kind, why in {**lacking, **refused}.items()))
    before = list(KINDS)[: list(KINDS).index(best)]
    return Choice(best, drafts[best], {kind: why for kind, why in refused.items() if kind in before})
