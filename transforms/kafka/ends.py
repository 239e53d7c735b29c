"""Where partitions end for a reader: behind the last record that it may be given.

To a reader of committed records a partition ends at its last stable offset: behind it lies a transaction that is still
open, and nobody knows when it will be closed. Apache Kafka states this end. Some brokers state one that is too low (see
docs/brokers.md); there the end that a fetch has shown counts. A fetch shows where all records end, though, those of
open transactions too: it only counts where it exceeds what the broker states as that end.
"""

from collections.abc import Callable, Mapping


class Ends:
    """Settles the ends of one reader's partitions.

    Args:
        ask_all: Asks the broker for the ends of all records, also of open transactions; called once, if at all.
    """

    def __init__(self, ask_all: Callable[[], Mapping[int, int]]) -> None:
        self._ask_all = ask_all
        #: Whether the broker states ends that are too low; None while nothing has shown it.
        self._is_low: bool | None = None

    def settled(self, fetched: Mapping[int, int], stated: Mapping[int, int]) -> dict[int, int]:
        """The end of each partition.

        Args:
            fetched: Ends that fetches have shown, taken before the broker was asked.
            stated: Ends for this reader as the broker states them now.

        Raises:
            SourceError: If the broker does not answer.
        """
        ahead = [partition for partition, end in stated.items() if fetched.get(partition, 0) > end]
        if ahead and self._is_low is None:
            of_all = self._ask_all()
            self._is_low = any(fetched[partition] > of_all[partition] for partition in ahead)
        if not self._is_low:
            return dict(stated)
        return {partition: max(end, fetched.get(partition, 0)) for partition, end in stated.items()}
