"""Fields of events that a job does not name: those of a window, and those that the job knows.

A window's fields are counted in some of its records, chosen by their place, and merge: any split of the records, in any
order, gives the same to the byte. More than `MOST` names are no names but data, as where ids are keys: then none is
kept.
"""

from typing import ClassVar

import msgspec

from sparsewatch.schemas.stored import Format, StoredStruct

FORMAT = Format("fields that a job does not name")
#: Names of a window, and names that a job remembers; characters of a name.
MOST = 256
NAME_CHARACTERS = 100


class OtherFields(StoredStruct, frozen=True, array_like=True):
    """Fields of the records of a window that were looked at, besides the job's columns."""

    stored: ClassVar[Format] = FORMAT

    #: Records that hold it, by name, ascending.
    records: dict[str, int] = msgspec.field(default_factory=dict)
    #: Whether there were more than `MOST` names; `records` is empty then.
    is_beyond: bool = False

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.records) or self.is_beyond

    def __add__(self, other: "OtherFields") -> "OtherFields":
        """Those of both."""
        names = sorted(self.records.keys() | other.records.keys())
        if self.is_beyond or other.is_beyond or len(names) > MOST:
            return OtherFields(is_beyond=True)
        return OtherFields({name: self.records.get(name, 0) + other.records.get(name, 0) for name in names})


#: None.
NO_OTHERS = OtherFields()


class KnownFields(msgspec.Struct, frozen=True, array_like=True):
    """What a job remembers of fields that it does not name; at most `MOST` names, 25 kB."""

    #: Windows and rows that were learned; names in them are no news.
    windows: int = 0
    rows: int = 0
    #: Records that held it, by name, up to those on which it is told.
    records: dict[str, int] = {}
