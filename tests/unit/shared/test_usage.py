"""What a job has used: every order that came to something, once."""

from shared.job.model import AttemptState, Job
from shared.usage import Use, adds_of, new_uses, rows_of, total, uses
from tests.unit.shared.job.builders import accepted, all_home, completed, generating, ordering


def newest(job: Job) -> list[Use]:
    return list(uses(job))


def test_nothing_is_used_before_a_clip_is_home() -> None:
    for job in (accepted(), ordering(accepted()), generating(accepted())):
        assert newest(job) == []


def test_every_clip_that_came_home_counts_with_what_was_charged() -> None:
    job = all_home()
    assert [(use.clips, use.key) for use in newest(job)] == [(1, "anonymous")] * len(job.clips)
    assert len({use.token for use in newest(job)}) == len(job.clips)


def test_the_measured_length_counts_not_the_wanted_one() -> None:
    job = all_home()
    clip = job.clips[0]
    assert clip.artifact is not None
    measured = clip.but(duration_s=10, artifact=clip.artifact.but(duration_s=9.96))
    assert newest(job.but(clips=(measured,)))[0].seconds == 9.96


def test_only_what_is_new_is_counted_again() -> None:
    job = all_home()
    assert new_uses(job, job.but(metadata={"a": 1})) == []
    assert new_uses(job, completed()) == []


def test_an_order_that_failed_but_was_charged_counts_its_credits() -> None:
    job = all_home()
    clip = job.clips[0]
    attempt = clip.attempts[-1].but(state=AttemptState.FAILED, credits=12.5)
    charged = job.but(clips=(clip.but(attempts=(attempt,)), *job.clips[1:]))
    use = newest(charged)[0]
    assert (use.clips, use.seconds, use.credits) == (0, 0.0, 12.5)


def test_counters_become_rows_again() -> None:
    counters: dict[str, int] = {}
    for use in (
        Use("t1", "2026-01-31", "airtable", "sora", 1, 10.04, 30.5),
        Use("t2", "2026-01-31", "airtable", "sora", 1, 5.0, 0.001),
        Use("t3", "2026-01-31", "ünnamed|x", "kling", 1, 5.0, 60),
    ):
        for name, amount in adds_of(use).items():
            counters[name] = counters.get(name, 0) + amount
    rows = rows_of("2026-01-31", counters)
    assert [(row.key, row.model, row.clips, row.seconds, row.credits) for row in rows] == [
        ("airtable", "sora", 2, 15.04, 30.501),
        ("ünnamed|x", "kling", 1, 5.0, 60.0),
    ]
    assert total(rows) == {"clips": 3, "seconds": 20.04, "credits": 90.501}
