"""Which features of a click job say the same: a map of all pairs of the best, and the groups that could be one."""

from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.pipelines.web_console.heat_map import HeatMap, heat_map


def redundancy_page(asked: Asked) -> Shown:
    """Redundancy in the newest window; says how to have it where the job does not compute it."""
    window = history.newest_window(asked.job.store)
    twins = (window or {}).get("twins") or {}
    return Shown(
        "redundancy.html",
        {"window": window, "twins": twins, "drawn": _drawn(twins.get("map") or {})},
    )


def _drawn(found: dict[str, list[list[int]]]) -> HeatMap | None:
    names = [str(name) for name in found.get("features") or ()]
    return heat_map(names, found["percent"]) if len(names) > 1 else None
