"""Pictures of the console's pages for docs/console.md, in both themes: `python -m docs.console_pictures`.

Three jobs with what their topics would hold: a feature that loses its values, wafers of a pattern that nobody has
named, rows that one column makes odd. Needs Chromium.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.status.status import Status
from sparsewatch.pipelines.wafer.pattern_book import pattern_record
from sparsewatch.pipelines.web_console.watched import Standing, Watched
from tests.kit.chromium import BINARY, Scheme, open_page, preferring
from tests.kit.wafer_models import tiny_model
from tests.pipelines.notify.incident_records import MINUTE_US, START_US, incident
from tests.pipelines.patterns.test_command import job_file, pattern
from tests.pipelines.web_console.browsing import browsing
from tests.pipelines.web_console.filled import alert, fill, watched_clicks, window
from tests.pipelines.web_console.test_clicks import ROW, SLICE, WAFER, watched_rows

FOLDER = Path(__file__).parent / "console"
#: What the reader prefers, by the ending of a picture's name.
_THEMES: dict[str, Scheme] = {"": "light", "-dark": "dark"}
_FEATURES = ("site", "ad", "device", "sdk", "hour", "campaign", "country", "carrier")
_WIDTH, _COLOURS = 1_100, 96
#: Address and height of each page.
PAGES = {
    "now": ("/", 760),
    "incidents": ("/jobs/clicks/incidents", 520),
    "incident": ("/jobs/clicks/incidents/clicks-1", 1_500),
    "features": ("/jobs/clicks/features", 700),
    "feature": ("/jobs/clicks/feature?name=site&days=1", 900),
    "redundancy": ("/jobs/clicks/redundancy", 700),
    "rows": ("/jobs/sensors/rows", 520),
    "wafers": ("/jobs/fab/wafers", 900),
    "wafer": (f"/jobs/fab/result?id={WAFER['id']}", 620),
    "models": ("/jobs/fab/models", 640),
    "accounts": ("/jobs/clicks/accounts", 700),
}


def draw(url: str, path: Path, height: int, scheme: Scheme) -> None:
    """A picture of a page."""
    open_page(url, "--hide-scrollbars", f"--window-size={_WIDTH},{height}", preferring(scheme), f"--screenshot={path}")
    # Of few colours, which a page has anyway, they are a third as large.
    Image.open(path).convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


@contextmanager
def _jobs(folder: Path) -> Iterator[list[Watched]]:
    for name in ("clicks", "rows", "fab"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        clicks = stack.enter_context(watched_clicks(Path("clicks")))
        rows = stack.enter_context(watched_rows(Path("rows")))
        tiny_model().save(folder / "fab" / "model", metrics={"macro_f1": 0.91}, training={})
        tiny_model().save(folder / "fab" / "model", metrics={"macro_f1": 0.93}, training={})
        path = job_file(Path("fab"))
        fab = Watched(load_job(path), folder / "fab" / "state", file=path)
        stack.callback(fab.store.close)
        for watched in (clicks, rows, fab):
            _stands(watched)
        _fill_clicks(clicks)
        fill(rows, "rows", {f"sensors/0/{n}/0": _row(n) for n in range(7, 17)})
        record = pattern_record("fab.patterns", pattern(10))
        fill(fab, "patterns", {record.key.decode(): msgspec.Raw(record.value or b"")})
        fill(fab, "wafers", {str(WAFER["id"]): WAFER})
        yield [clicks, rows, fab]


def _stands(watched: Watched) -> None:
    """All its topics were read, and nobody waits for anything."""
    for topic in watched.followed:
        topic.taking.begin([])
    counted, end_us = 248_000, START_US + 4 * MINUTE_US
    watched.standing = Standing(
        Status(
            job=watched.name,
            topic=watched.made.topics.source,
            instance=None,
            windows=124,
            closed_end_us=end_us,
            counted=counted,
            rejected=12,
            late=31,
            lost=0,
            lag={0: 0, 1: 118},
            silent_us=0,
            learned={one.key: one.path for one in watched.job.learned()},
            baseline=(24, 12) if watched.name == "clicks" else None,
            firing=[],
        ),
        time.time(),
    )


def _fill_clicks(clicks: Watched) -> None:
    random = np.random.default_rng(3)
    found = {}
    for minute in range(-120, 4):
        shares = dict(zip(_FEATURES, (0.02 * random.random(len(_FEATURES))).round(4).tolist(), strict=True))
        shares["site"] = 0.5 if minute >= 0 else shares["site"]
        rows = int(2_000 + 300 * random.standard_normal())
        one = window(minute, features=shares, alerts=int(minute >= 0), rows=rows)
        found[f"clicks/{one['window_start_us']}"] = one | _of_rows(random)
    fill(clicks, "windows", found)
    open_one = msgspec.structs.replace(incident(1), window_end_us=START_US + 4 * MINUTE_US)
    fill(clicks, "incidents", {"clicks-1": open_one, "clicks-2": incident(2, "resolved")})
    told = [alert(minute, "clicks-1", {"slice": SLICE}) for minute in range(4)]
    fill(clicks, "alerts", {one.id: one for one in told})


def _of_rows(random: np.random.Generator) -> dict[str, object]:
    """What a sample of rows and the sizes of columns say of the features: two of them are nearly one."""
    order = ("hour", "carrier", "country", "sdk", "device", "campaign", "ad", "site")
    percent = [random.integers(0, 30, place).tolist() for place in range(len(order))]
    percent[order.index("ad")][-1] = 94
    groups = [{"keep": "ad", "drop": ["campaign"], "redundancy": 0.94}]
    sizes = dict(zip(_FEATURES, (12, 8, 22, 5, 8, 8, 2, 9), strict=True))
    return {
        "twins": {"rows": 2_000, "features": 8, "groups": groups, "map": {"features": order, "percent": percent}},
        "costs": [{"feature": name, "bytes_a_row": size, "score_a_byte": 0.1 / size} for name, size in sizes.items()],
    }


def _row(number: int) -> dict[str, object]:
    return {**ROW, "id": f"sensors/0/{number}/0", "score": 40.0 + number, "identity": {"machine": f"press {number}"}}


def main() -> None:
    """Draw all of them."""
    if shutil.which(BINARY) is None:
        raise SystemExit("needs Chromium (Debian package chromium)")
    # Pictures name no folder of this machine.
    with tempfile.TemporaryDirectory() as name, chdir(name), _jobs(Path(name)) as jobs, browsing(*jobs) as browser:
        for page, (path, height) in PAGES.items():
            for ending, scheme in _THEMES.items():
                draw(browser.url + path, FOLDER / f"{page}{ending}.png", height, scheme)


if __name__ == "__main__":
    main()
