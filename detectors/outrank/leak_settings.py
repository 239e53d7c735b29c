"""When a feature is suspected of a leak, see `sparsewatch.detectors.outrank.leakage`."""

from typing import Annotated

from sparsewatch.schemas.settings import Range, Settings, Share

_Multiple = Annotated[float, Range(at_least=1)]
_Two = Annotated[int, Range(at_least=2)]


class LeakSettings(Settings, frozen=True, kw_only=True):
    """When a feature is suspicious."""

    #: Share of the label's entropy that no honest feature explains.
    explained: Share = 0.9
    #: Share that is suspicious if it is also `lone_ratio` times that of the next best feature.
    lone_share: Share = 0.5
    lone_ratio: _Multiple = 5.0
    #: How many times more information a partner must carry about the label than the partners it is compared with.
    ratio: _Multiple = 2.0
    #: Share of the label's entropy that partners must explain to count.
    least_share: Annotated[float, Range(at_least=0, at_most=0.999)] = 0.001
    #: Probability that any honest feature of a stream is found by chance.
    alpha: Annotated[float, Range(at_least=1e-12, at_most=0.5)] = 0.01
    #: Rows with all partners, and of either label, below which the two kinds by seconds are not tested.
    min_rows: _Two = 1_000
    min_label_rows: _Two = 20
