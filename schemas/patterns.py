"""Novel-looking wafers, the emerging patterns they make up, and what a person decided about them.

All three are in the job's topics: novel-looking wafers in its saved windows, patterns and decisions in
`<prefix>.patterns` under keys of their own, so that the job and a person never overwrite each other.
"""

from typing import Literal

import msgspec

from sparsewatch.schemas.stored import Format

PATTERN = Format("an emerging pattern")
DECISION = Format("a decision on a pattern")
#: Beginnings of the keys in the topic of patterns; an id follows.
PATTERN_KEY = "pattern/"
DECISION_KEY = "decision/"

#: Cells a side of a pattern's map.
MAP_SIDE = 64

#: `open` until a person decides; a merged pattern is a part of another.
Status = Literal["open", "named", "dismissed", "merged"]


class WaferMap(msgspec.Struct, frozen=True, array_like=True):
    """Defects on a coarse grid over the wafer's square, for a picture; only cells that hold one."""

    rows: int
    columns: int
    #: Places row by row, little-endian uint16, rising.
    cells: bytes
    #: Defects in each, uint8; 255 stands for 255 or more.
    counts: bytes


class NovelLooking(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A wafer that looks novel, whatever its verdict; sorted by p-value, then identity."""

    #: See `sparsewatch.schemas.wafers.WaferResult` for fields that are not explained here.
    p_value: float
    id: str
    wafer_id: str
    lot: str
    tool: str
    event_time_us: int
    novelty: float
    #: Known pattern it is nearest to.
    nearest: str
    #: Space of the embedding; embeddings of different spaces are never compared.
    space: str
    #: Little-endian float32.
    embedding: bytes
    map: WaferMap


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """An emerging pattern as the job found it; the key is `pattern/<id>`."""

    id: str
    job: str
    space: str
    #: Model that recognised its members.
    model: str
    #: Start of the window that raised it, and of the newest window that added to it, microseconds since the epoch.
    raised_us: int
    updated_us: int
    #: Statistic when raised, and the threshold it passed.
    statistic: float
    threshold: float
    #: Wafers expected by chance where its members lie, when raised.
    expected: float
    #: How far from the members' mean further wafers join, in the metric of `open_set.emerging`.
    reach: float
    #: Mean distance of members from their mean over that of wafers of a known pattern; below 1 is more compact.
    compactness: float
    #: Wafers that ever joined; `members` holds the first of them.
    wafers: int
    #: Wafers by lot, tool and nearest known pattern.
    lots: dict[str, int]
    tools: dict[str, int]
    nearest: dict[str, int]
    first_seen_us: int
    last_seen_us: int
    #: The first wafers that joined; the later of these have an empty map.
    members: list[NovelLooking]
    #: Sum of all wafers' maps on a square of `MAP_SIDE` cells a side, little-endian float32.
    total_map: bytes


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about a pattern; the key is `decision/<id>`."""

    id: str
    status: Status
    #: When, microseconds since the epoch.
    decided_us: int
    #: Of a named pattern: its name, and the model's version that knows it.
    name: str | None = None
    model: str | None = None
    #: Of a merged pattern: the pattern it is a part of.
    into: str | None = None
