"""Which kind suits a sample, which column is the label, and what each kind writes."""

import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.budget.settings import AlertSettings
from sparsewatch.pipelines.init.write import Seen, Wishes, draft_job
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from tests.pipelines.init.topics import START_MS, sampled

N = 1_200
KAFKA = KafkaSettings(bootstrap_servers=["localhost:9092"])
RNG = np.random.default_rng(7)
RARE = (RNG.random(N) < 0.02).astype(int).tolist()
EVEN = (RNG.random(N) < 0.5).astype(int).tolist()


def text_of(wishes: Wishes | None = None, **columns: list[Any]) -> str:
    events = [{"ts": START_MS + i * 1_000, **{n: values[i] for n, values in columns.items()}} for i in range(N)]
    return draft_job(KAFKA, "events", Seen(sample=sampled(events)), wishes or Wishes(), None).text


def told(wishes: Wishes, every_ms: int, **columns: list[Any]) -> list[tuple[str, str]]:
    """What the user is told of events that come so often."""
    events = [{"ts": START_MS + i * every_ms, **{n: values[i] for n, values in columns.items()}} for i in range(N)]
    return list(draft_job(KAFKA, "events", Seen(sample=sampled(events)), wishes, None).told())


def drafted(wishes: Wishes | None = None, **columns: list[Any]) -> Mapping[str, Any]:
    return tomllib.loads(text_of(wishes, **columns))


SITE = [f"s{i % 7}" for i in range(N)]


@pytest.mark.parametrize("name", ["click", "is_clicked", "Converted", "label", "is_attributed", "y"])
def test_a_column_with_a_name_of_labels_is_the_label(name: str) -> None:
    job = drafted(site=SITE, other=RARE, **{name: EVEN})
    assert (job["kind"], job["label"]) == ("ctr", name)


def test_without_a_name_the_rarest_is_taken_and_the_others_are_told() -> None:
    text = text_of(Wishes(kind="ctr"), site=SITE, a=EVEN, b=RARE)
    assert tomllib.loads(text)["label"] == "b"
    assert "taken as the rarest column of 0 and 1; also of 0 and 1: 'a'" in text
    assert drafted(Wishes(label="a"), site=SITE, a=EVEN, b=RARE)["label"] == "a"


def test_a_label_written_as_floats_is_the_label_and_whole() -> None:
    job = drafted(site=SITE, click=[float(x) for x in RARE])
    assert (job["label"], job["columns"]["click"]) == ("click", "int")


def test_a_named_label_that_was_never_one_is_the_label() -> None:
    text = text_of(site=SITE, click=[0] * N)
    assert 'label = "click"  # 0 in all events of the sample' in text


def test_events_without_a_label_are_told_of() -> None:
    text = text_of(site=SITE, click=[None, *RARE[1:]])
    assert "the 0.08% without one will be rejects" in text


def test_a_coin_toss_without_a_name_is_no_label() -> None:
    assert drafted(site=SITE, mobile=EVEN)["kind"] == "rows"


def test_true_and_false_are_no_label_and_it_says_what_to_do() -> None:
    click = [bool(x) for x in RARE]
    assert drafted(site=SITE, click=click)["kind"] == "rows"
    with pytest.raises(ConfigError, match=r"no column of 0 and 1 .*; of true and false, .* as 1 and 0: 'click'"):
        drafted(Wishes(kind="ctr"), site=SITE, click=click)
    with pytest.raises(ConfigError, match=r"--label 'site': expected whole numbers 0 and 1, got .*'s0'"):
        drafted(Wishes(label="site"), site=SITE, click=click)
    with pytest.raises(ConfigError, match=r"--label: expected one of ts, site, got 'sit'; did you mean 'site'\?"):
        drafted(Wishes(label="sit"), site=SITE)


def test_a_label_of_two_other_values_is_told_with_what_to_do() -> None:
    for values, says in (([-1, 1], "-1 and 1"), (["no", "yes"], "'no' and 'yes'")):
        label = [values[x] for x in RARE]
        with pytest.raises(ConfigError, match=f"; 'label' holds {says}, which a producer must write as 0 and 1"):
            drafted(Wishes(kind="ctr"), site=SITE, label=label)


@pytest.mark.parametrize(("every", "length"), [(2, "1h"), (50, "1h"), (100, "1h"), (200, "6h"), (600, "6h")])
def test_windows_hold_enough_of_the_rarer_label(every: int, length: str) -> None:
    # An event a second.
    job = drafted(site=SITE, click=[int(i % every == 0) for i in range(N)])
    assert job["windows"]["length"] == length


def test_ids_are_left_out_of_features_and_shown_with_outliers() -> None:
    ids = [f"u{i}" for i in range(N)]
    text = text_of(site=SITE, click=RARE, user=ids)
    assert set(tomllib.loads(text)["columns"]) == {"site", "click"}
    assert '# "user" = "str": 1,200 values in 1,200 events: it names them and tells nothing' in text
    rows = drafted(Wishes(kind="rows"), site=SITE, user=ids)
    assert set(rows["columns"]) == {"site", "user"}
    assert rows["rows"] == {"model": "models/events", "id_columns": ["user"]}


def test_whole_numbers_that_may_be_amounts_are_named() -> None:
    text = text_of(site=SITE, click=RARE, dwell_ms=[i % 700 for i in range(N)], hour=[i % 24 for i in range(N)])
    assert '# number_columns = ["dwell_ms"]\n' in text
    job = tomllib.loads(text.replace("# number_columns", "number_columns"))
    assert job["ranking"]["number_columns"] == ["dwell_ms"]
    assert "number_columns" not in text_of(site=SITE, click=RARE, price=[i / 7 for i in range(N)])


def test_what_a_click_job_learns_and_its_budget_are_shown_with_their_defaults() -> None:
    text = text_of(site=SITE, click=RARE)
    assert "sparsewatch train reference JOB.toml --last 7d --out models/events\n" in text
    told = text[text.index("# [checks.learning]") :]
    asked = "\n".join(line.removeprefix("# ") for line in told.splitlines() if " = " in line or "# [" in line)
    settings = tomllib.loads(asked)
    assert settings["alerts"]["false_incidents_per_day"] == AlertSettings().false_incidents_per_day
    assert settings["checks"]["learning"] == {"least": 12, "windows": 24}
    assert settings["checks"]["reference"] == "models/events"


def test_columns_are_told_in_words() -> None:
    text = text_of(
        click=RARE,
        price=[x / 7 for x in range(N)],
        country=["de"] * N,
        level=[None if i % 4 == 0 else "high" if i % 400 == 1 else i % 3 for i in range(N)],
    )
    assert 'price = "float"  # 1,200 values, a number' in text
    assert "country = \"str\"  # always 'de'" in text
    assert "3 values, 25.00% missing, 3 values of another type, such as 'high', will be missing" in text


def test_wafers_are_recognised_and_need_a_model() -> None:
    columns: dict[str, list[Any]] = {
        "wafer_id": [f"w{i}" for i in range(N)],
        "radius_um": [150_000.0] * N,
        "x_um": [[0.0, 1.0]] * N,
        "y_um": [[0.0, 1.0]] * N,
    }
    with pytest.raises(ConfigError, match="--kind wafer: a wafer job needs a model: `sparsewatch train wafer"):
        drafted(None, **columns)
    job = drafted(Wishes(model="models/wafer"), **columns)
    assert (job["kind"], job["wafers"]) == ("wafer", {"model": "models/wafer"})
    with pytest.raises(ConfigError, match="--kind wafer: wafers have the columns wafer_id, radius_um; missing: wafer"):
        drafted(Wishes(kind="wafer", model="m"), site=SITE)


def test_a_window_of_wafers_is_short_and_lists_of_defects_are_not_left_out() -> None:
    columns: dict[str, list[Any]] = {
        "wafer_id": [f"w{i}" for i in range(N)],
        "radius_um": [150_000.0] * N,
        "map": [[0, 1, 2, 1]] * N,
        "masks": [[1, 2]] * N,
    }
    found = told(Wishes(model="models/wafer"), 36_000, **columns)
    assert [words for what, words in found if what == "windows"] == ["15m, about 25 events each; disorder 10s"]
    assert [words for what, words in found if what == "left out"] == ["masks: a list: a column holds one value"]


def test_where_no_kind_suits_each_says_why() -> None:
    with pytest.raises(ConfigError, match=r"--kind ctr: no column of 0 and 1.*--kind rows: no column besides the time"):
        drafted(user=[f"u{i}" for i in range(N)])


def test_a_few_events_teach_no_model() -> None:
    events = [{"ts": START_MS + i, "x": i % 7} for i in range(50)]
    with pytest.raises(
        ConfigError,
        match=r"--kind rows: expected at least 1,000 events to learn a row model .* got 50.*; --kind ctr: no col",
    ):
        draft_job(KAFKA, "events", Seen(sample=sampled(events)), Wishes(), None)


def test_the_broker_stands_in_the_file_as_it_was_given() -> None:
    kafka = KafkaSettings(
        bootstrap_servers=["a:1", "b:2"], security_protocol="SSL", password_env="PW", username="x", ca_file="ca.pem"
    )
    events = [{"ts": START_MS + i, "click": i % 2, "x": i % 7} for i in range(50)]
    text = draft_job(kafka, "events", Seen(sample=sampled(events), missing=("-",)), Wishes(), None).text
    job = tomllib.loads(text)
    assert job["kafka"] == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SSL",
        "username": "x",
        "password_env": "PW",
        "ca_file": "ca.pem",
    }
    assert job["source"]["missing"] == ["-"]


def test_a_job_does_not_go_on_where_another_of_its_name_stopped() -> None:
    sample = sampled([{"ts": START_MS + i, "click": i % 2, "x": i % 7} for i in range(50)])
    topics = frozenset({"events", "events.progress", "events-2.progress"})
    made = draft_job(KAFKA, "events", Seen(sample=sample, topics=topics), Wishes(), None)
    assert (made.job.name, made.path.name) == ("events-3", "events-3.toml")
    named = draft_job(KAFKA, "events", Seen(sample=sample, topics=topics), Wishes(name="events"), None)
    assert named.job.name == "events"
