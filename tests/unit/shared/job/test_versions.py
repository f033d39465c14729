"""Rolling upgrades: this version reads what others wrote, older and newer.

`tests/golden/<version>/` holds job documents and events as each released version wrote them. The files of a released
version never change; `tests/golden/make.py` writes those of the next.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.bus.protocol import Subscription
from shared.bus.wire import decode, encode
from shared.events import PAYLOADS, Event, EventName
from shared.job.model import Job, JobStatus
from shared.job.outstanding import due_at, outstanding, overdue
from shared.store.jobs import written
from tests.golden.make import defaults, jobs
from tests.unit.shared.job.builders import POLICY, T
from tests.unit.shared.job.driver import Driver
from tests.unit.shared.job.invariants import check_calendar, check_job

GOLDEN = Path(__file__).parents[3] / "golden"
JOBS = sorted(GOLDEN.glob("*/job-*.json"))
EVENTS = sorted(GOLDEN.glob("*/event-*.json"))
VERSIONS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name.startswith("v"))


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def lost(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield what `old` says and `new` does not."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            yield from lost(value, new[key], f"{where}.{key}") if key in new else [f"{where}.{key}"]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (was, is_now) in enumerate(zip(old, new, strict=True)):
            yield from lost(was, is_now, f"{where}[{index}]")
    elif old != new:
        yield f"{where}: {old} became {new}"


def of_the_future(document: Any) -> Any:
    """Return the document with a field nobody knows yet in every object."""
    if isinstance(document, dict):
        return {key: of_the_future(value) for key, value in document.items()} | {"inventedLater": {"deep": [1]}}
    if isinstance(document, list):
        return [of_the_future(value) for value in document]
    return document


def of_today(document: Any) -> Any:
    """Return the document without the fields nobody knows yet, all of which it must have."""
    if isinstance(document, dict):
        return {key: of_today(value) for key, value in document.items() if key != "inventedLater"}
    if isinstance(document, list):
        return [of_today(value) for value in document]
    return document


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_left_an_example_of_every_status_and_event_it_had(version: str) -> None:
    statuses = {json.loads(path.read_text())["status"] for path in JOBS if path.parent.name == version}
    names = {path.stem.removeprefix("event-") for path in EVENTS if path.parent.name == version}
    if version == "v1":
        assert statuses == set(JobStatus)
        assert len(names) >= 13
    assert statuses <= set(JobStatus)
    assert names <= set(EventName)


class TestJobs:
    @pytest.mark.parametrize("path", JOBS, ids=name_of)
    def test_of_older_versions_are_read_and_nothing_in_them_is_lost(self, path: Path) -> None:
        job = Job.model_validate_json(path.read_text())
        assert list(lost(json.loads(path.read_text()), json.loads(job.model_dump_json()))) == []

    @pytest.mark.parametrize("path", JOBS, ids=name_of)
    def test_of_older_versions_go_on_to_their_end(self, path: Path) -> None:
        job = Job.model_validate_json(path.read_text())
        check_job(job, POLICY)
        check_calendar(job, T, POLICY)
        assert Driver(job, T, POLICY).run(most_rounds=100).status.is_final

    @pytest.mark.parametrize("path", JOBS, ids=name_of)
    def test_of_newer_versions_are_read_and_what_is_not_known_is_kept(self, path: Path) -> None:
        job = Job.model_validate_json(path.read_text())
        future = of_the_future(json.loads(path.read_text()))
        newer = Job.model_validate(future | {"schema_version": 2})
        written = json.loads(newer.but(schema_version=job.schema_version).model_dump_json())
        assert list(lost(future, written)) == []
        assert Job.model_validate(of_today(written)) == job
        assert due_at(newer, POLICY) == due_at(job, POLICY)

    def test_without_any_field_that_has_a_default_are_read(self) -> None:
        bare = {
            "id": "job_1",
            "created_at": T,
            "updated_at": T,
            "progress_at": T,
            "passages": [{"status": "pending", "at": T}],
            "clips": [{"number": 1, "task_id": "t", "prompt": "p"}],
        }
        job = Job.model_validate(bare)
        assert outstanding(job, T + POLICY.nudge_after_ms, POLICY) != ()
        assert overdue(job, T + POLICY.job_timeout_ms, POLICY) is not None

    @pytest.mark.parametrize("name", jobs())
    def test_come_back_from_json_as_they_were(self, name: str) -> None:
        job = jobs()[name]
        assert Job.model_validate_json(job.model_dump_json()) == job
        assert Job.model_validate_json(written(job)) == job

    def test_leave_out_only_what_will_always_be_read_as_it_was_meant(self) -> None:
        """A default that was changed would change every document that leaves it out. New fields may be added."""
        recorded = json.loads((GOLDEN / "defaults.json").read_text())
        assert without_new_fields(defaults(), recorded) == recorded


def without_new_fields(today: Any, recorded: Any) -> Any:
    """Return today's defaults without the fields that documents have got since, however deep in them."""
    if not (isinstance(today, dict) and isinstance(recorded, dict) and recorded):
        return today
    return {name: without_new_fields(today.get(name, "gone"), recorded[name]) for name in recorded}


class TestEvents:
    @pytest.mark.parametrize("path", EVENTS, ids=name_of)
    def test_of_older_versions_are_read_and_nothing_in_them_is_lost(self, path: Path) -> None:
        name = EventName(path.stem.removeprefix("event-"))
        event = decode(path.read_bytes(), Subscription("tester", name))
        payload = event.payload()
        assert isinstance(payload, PAYLOADS[name])
        assert list(lost(event.data, payload.model_dump(mode="json", by_alias=True))) == []
        assert list(lost(json.loads(path.read_text()), json.loads(encode(event)))) == []

    @pytest.mark.parametrize("path", EVENTS, ids=name_of)
    def test_of_newer_versions_are_read_as_far_as_they_are_known(self, path: Path) -> None:
        event = Event.model_validate_json(path.read_text())
        newer = Event.model_validate(of_the_future(json.loads(path.read_text())))
        assert newer.payload() == event.payload()
        assert newer.model_copy(update={"data": {}}) == event.model_copy(update={"data": {}})
