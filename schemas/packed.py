"""States on their way between the steps of a job, made small.

A runner holds what a step gives until the next one takes it, encodes it and copies it several times; one that runs in
the job's own process holds all windows of a bounded run. Counts and samples become a third or less.

Packed bytes begin with the one byte with which neither MessagePack nor an Arrow stream begins, so that states which
were written unpacked are told from them.
"""

import pyarrow as pa

from sparsewatch.schemas.stored import Format

FORMAT = Format("a packed state")
#: MessagePack's specification never uses it.
_PACKED = b"\xc1"
#: Smaller states travel as they are.
_LEAST_BYTES = 4_096
#: The first byte, and the length of the state.
_HEAD_BYTES = 9
_CODEC = "zstd"


def packed(state: bytes) -> bytes:
    """A state, packed if it is large; one that is packed stays as it is. Equal states give equal bytes.

    >>> len(packed(bytes(100_000))) < 100
    True
    """
    if len(state) < _LEAST_BYTES or state[:1] == _PACKED:
        return state
    small: bytes = pa.compress(state, codec=_CODEC, asbytes=True)
    return _PACKED + len(state).to_bytes(_HEAD_BYTES - 1, "little") + small


def unpacked(data: bytes) -> bytes:
    """The state that `packed` took, packed or not.

    Raises:
        StateError: If the bytes are damaged.
    """
    return unpack(data) if data[:1] == _PACKED else data


def unpack(data: bytes) -> bytes:
    """The state in packed bytes.

    Raises:
        StateError: If the bytes are not packed, or damaged.
    """
    with FORMAT.reading(data):
        size = int.from_bytes(data[1:_HEAD_BYTES], "little")
        if data[:1] != _PACKED or size < _LEAST_BYTES:
            raise FORMAT.other_bytes(data, "they are not packed")
        state: bytes = pa.decompress(memoryview(data)[_HEAD_BYTES:], size, codec=_CODEC, asbytes=True)
    return state
