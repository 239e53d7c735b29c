"""Incidents of a job after kills: what others read is what the job has committed."""

from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.incidents import incident_id
from tests.kit.topics import newest_by_key, read_all


def compare_incidents(job: str, bootstrap: str, progress: Progress) -> int:
    """The topics of alerts and incidents against the progress; raises AssertionError where they differ.

    Returns:
        Incidents of the job so far.
    """
    written = newest_by_key(read_all(bootstrap, f"{job}.incidents"))
    known = {incident_id(job, one.number): one for one in progress.incidents.known}
    firing = {key for key, record in written.items() if record["state"] == "firing"}
    assert firing == {key for key, one in known.items() if not one.is_resolved}, "an incident fires that is over"
    numbers = range(1, progress.incidents.number + 1)
    assert set(written) == {incident_id(job, number) for number in numbers}, "an incident was left behind by a kill"
    alerts = newest_by_key(read_all(bootstrap, f"{job}.alerts")).values()
    assert {alert["incident"] for alert in alerts} <= set(written), "an alert names no incident"
    return progress.incidents.number
