"""Streaming data-quality and novelty monitoring of sparse data: clicks, wafers, rows.

Detectors as estimators (`RowOutlierDetector`, `WaferRecogniser`, `OutRankSelector`), models as jobs use them
(`RowModel`, `WaferModel`, `Reference`), the same for Apache Beam (`RowModelHandler`, `MonitorInference`, `RankFeatures`
…), jobs on Kafka (`load_job`, `run_job`) and the conclusion of a window (`Conclusion`), and every error raised on
purpose (`SparsewatchError`). docs/api.md lists them. What stands here, in `sparsewatch.detectors.outrank` and in
`sparsewatch.testing` is public; other modules may change.

Names are loaded when they are first used: importing the package costs nothing. The four packages
`schemas <- detectors <- transforms <- pipelines` stand at the top of the repository; installed they are parts of this.
"""

from typing import TYPE_CHECKING

from sparsewatch.lazy_names import lazy_names

if TYPE_CHECKING:
    from sparsewatch.detectors.clicks.reference import Reference as Reference
    from sparsewatch.detectors.counts.feature_counts import FeatureCounts as FeatureCounts
    from sparsewatch.detectors.outrank.ranking import rank_features as rank_features
    from sparsewatch.detectors.outrank.selector import OutRankSelector as OutRankSelector
    from sparsewatch.detectors.rows.estimator import RowOutlierDetector as RowOutlierDetector
    from sparsewatch.detectors.rows.model import RowModel as RowModel
    from sparsewatch.detectors.rows.training import train_row_model as train_row_model
    from sparsewatch.detectors.rows.windows.thresholds import RowCheck as RowCheck
    from sparsewatch.detectors.wafers.estimator import WaferRecogniser as WaferRecogniser
    from sparsewatch.detectors.wafers.explanation import explain_wafers as explain_wafers
    from sparsewatch.detectors.wafers.model import WaferModel as WaferModel
    from sparsewatch.pipelines.job.job_file import load_job as load_job
    from sparsewatch.pipelines.run.run import run_job as run_job
    from sparsewatch.pipelines.wafer_explain.pictures import draw_wafer as draw_wafer
    from sparsewatch.schemas.alerts import Finding as Finding
    from sparsewatch.schemas.alerts import MetricSample as MetricSample
    from sparsewatch.schemas.errors import ConfigError as ConfigError
    from sparsewatch.schemas.errors import ModelError as ModelError
    from sparsewatch.schemas.errors import SchemaError as SchemaError
    from sparsewatch.schemas.errors import SinkError as SinkError
    from sparsewatch.schemas.errors import SourceError as SourceError
    from sparsewatch.schemas.errors import SparsewatchError as SparsewatchError
    from sparsewatch.schemas.errors import StateError as StateError
    from sparsewatch.transforms.inference.monitor import MonitorInference as MonitorInference
    from sparsewatch.transforms.inference.rows import RowModelHandler as RowModelHandler
    from sparsewatch.transforms.inference.rows import RowOfflineDetector as RowOfflineDetector
    from sparsewatch.transforms.inference.sample import SampleInferenceFn as SampleInferenceFn
    from sparsewatch.transforms.inference.wafers import WaferModelHandler as WaferModelHandler
    from sparsewatch.transforms.rank_features import CountFeaturesFn as CountFeaturesFn
    from sparsewatch.transforms.rank_features import RankFeatures as RankFeatures
    from sparsewatch.transforms.window.measure import Conclusion as Conclusion
    from sparsewatch.transforms.window.measure import Window as Window
    from sparsewatch.version import __version__ as __version__
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
