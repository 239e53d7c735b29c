"""The pages of a console, by address."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.pipelines.web_console.views.accounts import accounts_page
from sparsewatch.pipelines.web_console.views.decide import decide
from sparsewatch.pipelines.web_console.views.event import event_page
from sparsewatch.pipelines.web_console.views.features import feature_page, features_page
from sparsewatch.pipelines.web_console.views.incident import incident_page, records_page
from sparsewatch.pipelines.web_console.views.models import models_page
from sparsewatch.pipelines.web_console.views.move import move
from sparsewatch.pipelines.web_console.views.naming import name_pattern
from sparsewatch.pipelines.web_console.views.now import incidents_page, now_page, words_page
from sparsewatch.pipelines.web_console.views.redundancy import redundancy_page
from sparsewatch.pipelines.web_console.views.rejects import rejects_page, replay
from sparsewatch.pipelines.web_console.views.results import result_page, rows_page, wafers_page


class Decide(NamedTuple):
    """Where a form that changes something is sent; the view gives the address to go on to."""

    path: str
    view: Callable[[Asked], str]


VIEWS: Mapping[str, Callable[[Asked], Shown]] = {
    "/": now_page,
    "/words": words_page,
    "/jobs/{job}/incidents": incidents_page,
    "/jobs/{job}/incidents/{incident}": incident_page,
    "/jobs/{job}/incidents/{incident}/records": records_page,
    "/jobs/{job}/features": features_page,
    "/jobs/{job}/feature": feature_page,
    "/jobs/{job}/redundancy": redundancy_page,
    "/jobs/{job}/rows": rows_page,
    "/jobs/{job}/wafers": wafers_page,
    "/jobs/{job}/result": result_page,
    "/jobs/{job}/event": event_page,
    "/jobs/{job}/accounts": accounts_page,
    "/jobs/{job}/rejects": rejects_page,
    "/jobs/{job}/models": models_page,
}
DECIDE = (
    Decide("/jobs/{job}/incidents/{incident}/orders", decide),
    Decide("/jobs/{job}/models/moves", move),
    Decide("/jobs/{job}/patterns/{pattern}", name_pattern),
    Decide("/jobs/{job}/rejects/replays", replay),
)
