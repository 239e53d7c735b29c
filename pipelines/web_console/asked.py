"""What a view is asked, and what it answers: plain values, so that views are functions that a test calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sparsewatch.pipelines.web_console.watched import Watched

#: Characters of a search, a name or a reason that are looked at.
MOST_CHARACTERS = 20_000


class NotThereError(LookupError):
    """There is no such page."""


class RefusedError(Exception):
    """What a form asked for cannot be done; the message says why."""


@dataclass(frozen=True)
class Asked:
    """A request to a view."""

    jobs: Mapping[str, Watched]
    #: Names out of the address, such as `job`.
    names: Mapping[str, str] = field(default_factory=dict)
    #: Behind the `?` of the address, and out of a form that was sent.
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    #: Who asks.
    user: str = ""
    #: Address of the folder that holds `docs`; empty if none was given.
    docs: str = ""

    @property
    def job(self) -> Watched:
        """The job out of the address.

        Raises:
            NotThereError: If none has that name.
        """
        try:
            return self.jobs[self.names["job"]]
        except KeyError:
            known = ", ".join(self.jobs)
            raise NotThereError(f"no job {self.names.get('job', '')!r} is watched here; there are {known}") from None

    @property
    def file(self) -> Path:
        """File of that job, for commands about it.

        Raises:
            NotThereError: If this console was not given it.
        """
        if self.job.file is None:
            raise NotThereError("this console knows no file of the job")
        return self.job.file

    def done(self, *parts: str) -> str:
        """Address of a page of that job that says that something was done, by the parts behind its name."""
        path = "/".join(quote(part, safe="") for part in (self.job.name, *parts))
        return f"/jobs/{path}?done=yes"

    @property
    def is_done(self) -> bool:
        """Whether the page is asked for by an address of `done`."""
        return self.text("done") == "yes"

    def text(self, key: str) -> str:
        """A text of the query; empty without one."""
        return self.query.get(key, "")[:MOST_CHARACTERS]

    def page(self) -> int:
        """Number of the page of a list, from 1."""
        text = self.query.get("page", "1")
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


@dataclass(frozen=True)
class Shown:
    """What is answered: a template and its values."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
