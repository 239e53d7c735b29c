"""What `sparsewatch rank` reads: Parquet, CSV and the file layouts of the public `outrank`, in bounded blocks.

`open_input` looks at a file or folder, names its columns and refuses what cannot be ranked; `RankInput.batches` reads
it. A row that cannot be used is counted and shown in `RankInput.rejected`, never raised.
"""

from sparsewatch.pipelines.rank.inputs.rank_input import RankInput
from sparsewatch.pipelines.rank.inputs.rejects import Rejected, Sample
from sparsewatch.pipelines.rank.inputs.settings import InputSettings, Source
from sparsewatch.pipelines.rank.inputs.sources import open_input

__all__ = ["InputSettings", "RankInput", "Rejected", "Sample", "Source", "open_input"]
