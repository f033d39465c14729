"""A job's steps, and how they are shown."""

import io

from rich.console import Console

from sora_stitcher.cli.progress import LineDisplay, LiveDisplay, Step, display_on, heading_of, steps_of, with_progress
from sora_stitcher.models import Job, Progress
from tests.unit.sora_stitcher.answers import BEGAN, clip, completed, entry, failed, job


def steps(view: dict[str, object]) -> list[Step]:
    return steps_of(Job.model_validate(view))


def states(view: dict[str, object]) -> list[tuple[str, str]]:
    return [(step.name, step.state) for step in steps(view)]


def test_a_job_under_way_shows_running_and_waiting_steps() -> None:
    assert states(job()) == [
        ("clip 1", "running"),
        ("clip 2", "waiting"),
        ("join", "waiting"),
        ("deliver", "waiting"),
    ]


def test_a_step_counts_from_its_beginning_until_it_ends() -> None:
    running, waiting, *_ = steps(job())
    assert running.seconds(BEGAN + 3100) == 3.0
    assert running.seconds(BEGAN - 5000) == 0.0, "clocks of two machines may differ"
    assert waiting.seconds(BEGAN + 3100) is None
    first, _, join, deliver = steps(completed())
    now = BEGAN + 3_600_000
    assert (first.seconds(now), join.seconds(now), deliver.seconds(now)) == (3.901, 1.5, 1.5)


def test_a_completed_job_has_all_steps_done_and_says_what_came_of_them() -> None:
    done = steps(completed())
    assert {step.state for step in done} == {"done"}
    assert done[2].note == "4.0 s, 370 kB"
    assert done[3].note == "attached to recSANDBOX0000001"


def test_a_job_being_joined_has_its_join_running() -> None:
    timeline = [entry(5000, "stitching", "stitching 2 clips")]
    view = job("stitching", clips=[clip(1, "ready"), clip(2, "ready")], timeline=timeline)
    assert [state for _, state in states(view)] == ["done", "done", "running", "waiting"]


def test_a_failed_clip_is_marked_with_its_reason_and_the_rest_is_given_up() -> None:
    assert [state for _, state in states(failed())] == ["waiting", "failed", "waiting", "waiting"]
    assert "Insufficient credits" in steps(failed())[1].note


def test_a_stage_that_failed_is_marked() -> None:
    failure = {"stage": "stitching", "code": "disk_full", "message": "no room"}
    timeline = [entry(5000, "stitching", "stitching 2 clips")]
    view = failed(failure=failure, timeline=timeline, clips=[clip(1, "ready"), clip(2, "ready")])
    assert states(view)[2:] == [("join", "failed"), ("deliver", "waiting")]
    assert steps(view)[2].note == "no room"


def test_a_second_attempt_is_shown() -> None:
    again = clip(1, "generating")
    again["attempts"] = [again["attempts"][0] | {"number": number} for number in (1, 2)]
    assert steps(job(clips=[again]))[0].note == "attempt 2 · sora-2-text-to-video · prompt 1"


def test_the_heading_stops_counting_when_the_job_ends() -> None:
    assert heading_of(Job.model_validate(job()), BEGAN + 61_000).endswith("generating · 24 % · 1:01")
    assert heading_of(Job.model_validate(completed()), BEGAN + 9_999_000).endswith("completed · 100 % · 0:08")


def test_lines_are_printed_once_each_where_nothing_can_be_redrawn() -> None:
    out = io.StringIO()
    with display_on(Console(file=out)) as display:
        assert isinstance(display, LineDisplay)
        for view in (job(), job(), completed(), completed()):
            display.show(Job.model_validate(view))
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["0.0", "4.0", "5.0", "6.5", "6.5", "8.0"]


def test_a_screen_shows_every_step_in_the_width_it_has() -> None:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, width=60, color_system=None, legacy_windows=False)
    display = display_on(screen)
    assert isinstance(display, LiveDisplay)
    with display:
        display.show(Job.model_validate(job(clips=[clip(1, "generating", prompt="x" * 500), clip(2, "pending")])))
        display.show(Job.model_validate(completed()))
    shown = out.getvalue()
    for part in ("clip 1", "clip 2", "join", "deliver", "✔", "attached to"):
        assert part in shown
    assert "x" * 60 not in shown


def test_lines_can_be_asked_for_on_a_screen_too() -> None:
    assert isinstance(display_on(Console(file=io.StringIO(), force_terminal=True), lines=True), LineDisplay)


def test_what_is_being_done_stands_beside_its_step() -> None:
    stitching = Job.model_validate(job("stitching", timeline=[entry(5000, "stitching", "stitching 2 clips")]))
    progress = Progress(percent=87, stage="stitching", message="encoding", eta_seconds=4)
    notes = {step.name: step.note for step in with_progress(steps_of(stitching), progress)}
    assert notes["join"] == "encoding · 0:04 left"
    assert "encoding" not in notes["deliver"]
    assert with_progress(steps_of(stitching), Progress(stage="generating")) == steps_of(stitching)
    assert with_progress(steps_of(stitching), None) == steps_of(stitching)
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, width=100, color_system=None, legacy_windows=False)
    with display_on(screen) as display:
        display.show(stitching)
        display.tell(progress)
    assert "encoding" in out.getvalue()
    lines = io.StringIO()
    LineDisplay(Console(file=lines)).tell(progress)
    assert lines.getvalue() == "", "lines are for what lasts"
