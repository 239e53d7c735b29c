"""A closed window on its way from the step that concludes it to the step that writes and commits it, in order."""

import msgspec

from sparsewatch.schemas.accounts import Marker
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.packed import unpacked
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Conclusion, Window

FORMAT = Format("a closed window")


class Closed(msgspec.Struct, frozen=True, array_like=True):
    """What is concluded of a window whose readers have closed it."""

    window: Window
    #: One a reader that closed it, in order of reader.
    markers: tuple[Marker, ...]
    conclusion: Conclusion
    #: The finding that its account and results differ, None if they agree.
    fault: Finding | None = None
    #: What was set aside in it, with reasons.
    acks: Ack = Ack()
    #: Fields of its events that are no columns.
    others: OtherFields = NO_OTHERS

    @property
    def is_preface(self) -> bool:
        """Whether it is no window, see `Marker.is_preface`."""
        return all(marker.is_preface for marker in self.markers)

    @property
    def is_ahead(self) -> bool:
        """Whether it was closed out of its order, since clocks ahead had opened it when a run ended."""
        return any(self.window.start_us in marker.ahead_us for marker in self.markers)

    def to_bytes(self) -> bytes:
        """The window as it travels between steps."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Closed":
        """The inverse of `to_bytes`, for bytes that were packed since, too.

        Raises:
            StateError: If the bytes are no closed window.
        """
        return FORMAT.unpack(unpacked(data), cls)
