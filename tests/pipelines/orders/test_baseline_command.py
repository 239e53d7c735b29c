"""`sparsewatch baseline`: what a job compares with is shown, and what people decide about it acts and is said."""

import json
from pathlib import Path

import pytest

from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.incidents.command import incidents
from sparsewatch.pipelines.orders.baseline_command import baseline
from sparsewatch.pipelines.status.command import status
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.orders import Named
from sparsewatch.testing import FakeBroker
from tests.kit.watched_jobs import MINUTE_US, START_US, FaultyJob, WatchedJob, faulty_job

__all__ = ["faulty_job"]


def ordered(job: FaultyJob, verb: str, *arguments: str) -> str:
    return job.asked(baseline, verb, str(job.file), *arguments, "--by", "ada")


def test_what_is_accepted_beside_a_reference_is_silent_until_a_run_uses_another(job: FaultyJob) -> None:
    said = ordered(job, "accept", "--incident", "clicks-1", "--why", "ads are gone for good").splitlines()
    assert said[0].startswith("clicks-1 (feature_vanished ad, ")
    assert said[1] == "nothing is learned: it is silent until the job runs with another version of its reference"
    assert said[2].startswith(f"`sparsewatch train reference JOB.toml FILE --out {job.folder}/reference` trains")
    [order] = job.orders()
    assert (order.since_us, order.from_us) == (START_US + 3 * MINUTE_US, START_US + 4 * MINUTE_US)
    assert (order.subjects, order.compares) == (("ad",), ("checks.reference reference/0001",))
    assert job.goes_on(range(4, 8)) == []
    [*_, record] = job.incidents()
    assert (record["change"], record["state"]) == ("accepted", "resolved")
    for command in (["list", str(job.file)], ["show", str(job.file), "clicks-1"]):
        assert "resolved, accepted by ada" in job.asked(incidents, *command)
    assert "while compared with checks.reference reference/0001: ads are gone" in job.asked(status, str(job.file))
    assert "clicks-1" in job.asked(incidents, "list", str(job.file), "--muted")
    job.use_version("0002")
    assert job.goes_on(range(8, 9)) == [8]


def test_what_was_accepted_may_be_told_again(job: FaultyJob) -> None:
    ordered(job, "accept", "--incident", "1")
    assert job.goes_on(range(4, 5)) == []
    job.asked(incidents, "unmute", str(job.file), "1")
    assert job.goes_on(range(5, 6)) == [5]


def test_what_began_since_a_time_is_accepted_incident_by_incident(job: FaultyJob) -> None:
    with pytest.raises(ConfigError, match="no incident on site began since 2023-11-14T22:00Z"):
        ordered(job, "accept", "--since", "2023-11-14T22:00Z", "--subject", "site")
    with pytest.raises(ConfigError, match="no incident began since 2023-11-14T22:17Z"):
        ordered(job, "accept", "--since", "2023-11-14T22:17Z")
    ordered(job, "accept", "--since", "2023-11-14T22:16Z", "--subject", "ad")
    assert [order.incident for order in job.orders()] == ["clicks-1"]


def test_what_a_job_learns_is_accepted_excluded_and_learned_anew(
    job: FaultyJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CtrJob, "learns", True)
    said = ordered(job, "accept", "--since", "2023-11-14T22:16Z")
    assert "windows from 2023-11-14 22:16:00 UTC on become the baseline" in said
    of_incident, since = sorted(job.orders(), key=lambda order: order.incident or "z")
    assert (of_incident.compares, Named("feature_vanished", "ad") in of_incident.findings) == ((), True)
    assert (since.incident, since.subjects, since.since_us) == (None, (), START_US + 3 * MINUTE_US)
    ordered(job, "exclude", "--from", "2023-11-14T22:14Z", "--to", "2023-11-14T22:15Z", "--subject", "ad")
    for verb in (("reset",), ("exclude", "--from", "2023-11-14T22:14Z", "--to", "2023-11-14T22:15Z")):
        with pytest.raises(ConfigError, match=r"--subject: expected one of stream, .*, got 'adx'; did you mean 'ad'\?"):
            ordered(job, *verb, "--subject", "adx")
    assert "ad: learned anew, from the window that begins 2023-11-14 22:17:00 UTC" in ordered(
        job, "reset", "--subject", "ad", "--why", "a new catalogue"
    )
    shown = json.loads(job.asked(baseline, "show", str(job.file), "--json"))
    assert [order["verb"] for order in shown["orders"]] == ["accept", "accept", "exclude", "reset"]
    assert "a new catalogue" in job.asked(baseline, "show", str(job.file))


def test_what_is_compared_with_is_shown(job: FaultyJob) -> None:
    assert job.asked(baseline, "show", str(job.file)).splitlines() == [
        f"fixed: the reference of checks.reference, '{job.folder}/reference', version 0001, fitted to 8 windows",
        "no orders",
    ]


def test_orders_that_mean_nothing_here_are_refused(job: FaultyJob) -> None:
    for verb, options in (("reset", ()), ("exclude", ("--from", "2023-11-14", "--to", "2023-11-15"))):
        with pytest.raises(ConfigError, match=f"learns no baseline: there is nothing to {verb}. What it compares with"):
            ordered(job, verb, *options)
    for options in ((), ("--incident", "1", "--since", "2023-11-14")):
        with pytest.raises(ConfigError, match="expected either --incident ID or --since TIME"):
            ordered(job, "accept", *options)
    with pytest.raises(ConfigError, match="--subject goes with --since"):
        ordered(job, "accept", "--incident", "1", "--subject", "ad")
    with pytest.raises(ConfigError, match="--since: expected a time such as"):
        ordered(job, "accept", "--since", "yesterday")


def test_before_its_first_run_a_job_shows_what_it_will_compare_with(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        job = WatchedJob(broker, tmp_path)
        assert job.asked(baseline, "show", str(job.file)).splitlines()[-1] == "no orders"


def test_what_a_job_has_learned_and_what_it_does_not_learn_meanwhile_is_shown(tmp_path: Path) -> None:
    def shown() -> list[str]:
        return job.asked(baseline, "show", str(job.file)).splitlines()[1:-1]

    with FakeBroker() as broker:
        job = WatchedJob(broker, tmp_path)
        assert shown() == []
        job.send(range(8), rows=200)
        job.run()
        assert shown() == ["it is learning: 5 of 12 windows so far; none is checked before"]
        job.send(range(8, 20), rows=200)
        job.run()
        assert shown() == ["the last window was compared with 14 windows, the oldest of 2023-11-14 22:14:00 UTC"]
        job.send(range(20, 22), rows=200, without_ad=True)
        job.run()
        [_, held] = shown()
        assert held == "nothing of ad is learned while clicks-1 fires"
        learned = json.loads(job.asked(baseline, "show", str(job.file), "--json"))["learned"]
        assert (learned["window_start_us"], learned["needed"]) == (START_US + 21 * MINUTE_US, 12)
        assert (learned["held"], learned["learning"]) == ({"clicks-1": ["ad"]}, [])
