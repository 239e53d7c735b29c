"""Counts of clicks by hand with polars: `python polars_clicks.py RECORDS.ndjson ROWS`.

Blocks of a window's rows are decoded and grouped, a feature at a time; at the end the groups of all blocks are added
up, by window. Nothing checks a type, nothing is late, nothing remembers where it stood.
"""

import io
import sys
from itertools import islice
from pathlib import Path

import polars as pl
from click_counts import LABEL, TIME, WINDOW_MS, timed

#: Rows a block: larger ones are faster.
_BLOCK_ROWS = 131_072


def count(path: Path, most: int) -> tuple[int, int]:
    """Rows and clicks in the counts of the first feature."""
    groups: dict[str, list[pl.DataFrame]] = {}
    with path.open("rb") as lines:
        while block := b"".join(islice(lines, min(_BLOCK_ROWS, most))):
            frame = pl.read_ndjson(io.BytesIO(block), infer_schema_length=100)
            most -= frame.height
            frame = frame.with_columns(window=pl.col(TIME) // WINDOW_MS)
            names = [name for name in frame.columns if name not in (TIME, LABEL, "window")]
            queries = [frame.lazy().group_by("window", name).agg(pl.len(), pl.col(LABEL).sum()) for name in names]
            for name, found in zip(names, pl.collect_all(queries), strict=True):
                groups.setdefault(name, []).append(found)
            if most <= 0:
                break
    added = {
        name: pl.concat(parts).group_by("window", name).agg(pl.col("len", LABEL).sum())
        for name, parts in groups.items()
    }
    first = next(iter(added.values()))
    return int(first["len"].sum()), int(first[LABEL].sum())


if __name__ == "__main__":
    timed(lambda _: count(Path(sys.argv[1]), int(sys.argv[2])))
