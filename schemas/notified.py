"""What a receiver of notifications has taken, in a compacted topic beside the incidents: `<prefix>.notified`.

The key of a mark is `receiver/incident`; it names the newest update of the incident that this receiver took. A mark of
no incident says that the receiver was begun with: what was over before is not news to it.
"""

from typing import NamedTuple

import msgspec

from sparsewatch.schemas.stored import Format

MARK = Format("a mark of a notification")
#: Instead of an incident's id: the receiver was begun with.
BEGUN = ""
_BETWEEN = "/"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver took an update."""

    #: Of the update, see `sparsewatch.pipelines.notify.update.digest_of`; empty in the mark of no incident.
    digest: str
    #: When, by the clock of who told it; microseconds since the epoch.
    at_us: int


class Marked(NamedTuple):
    """Whom a mark is of, and what it is about."""

    receiver: str
    #: Its id; empty where the mark says that the receiver was begun with.
    incident: str

    @property
    def key(self) -> bytes:
        """Key of its record.

        >>> Marked("tickets", "clicks-17").key
        b'tickets/clicks-17'
        """
        return f"{self.receiver}{_BETWEEN}{self.incident}".encode()


def marked_of(key: bytes) -> Marked:
    """Whom the record of a key is of; a receiver's name holds no slash.

    >>> marked_of(b"tickets/clicks-17")
    Marked(receiver='tickets', incident='clicks-17')
    """
    receiver, _, incident = key.decode(errors="replace").partition(_BETWEEN)
    return Marked(receiver, incident)
