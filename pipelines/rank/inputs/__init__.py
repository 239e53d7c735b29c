"""What `sparsewatch rank` reads, in bounded blocks: Parquet, CSV, JSON lines and the layouts of the public `outrank`.

`open_input` looks at a file or folder, names its columns and refuses what cannot be ranked; `RankInput.batches` reads
it. A row that cannot be used is counted and shown in `RankInput.rejected`, never raised.
"""

from sparsewatch.pipelines.rank.inputs.rank_input import RankInput
from sparsewatch.pipelines.rank.inputs.settings import InputSettings, Source
from sparsewatch.pipelines.rank.inputs.sources import open_input
from sparsewatch.pipelines.tables.rejects import Rejected, Sample

__all__ = ["InputSettings", "RankInput", "Rejected", "Sample", "Source", "open_input"]
