"""What is settled before all clips are there: a guess about the missing ones, of which nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.film import Action, Logo, Plan, Probe, Transition, Wishes, foresee, plan
from shared.film.piece_keys import clips_of, is_encoded, piece_key
from shared.film.wishes import Fit
from tests.support.probes import a_probe, probes, transitions

TOOLS = "an encoder"
PLAIN = Wishes()
FADE = Wishes(transition=Transition("fade", 0.5))


def named(found: Probe, name: object) -> Probe:
    return replace(found, fingerprint=str(name))


def keys(made: Plan, clips: Sequence[Probe], wishes: Wishes) -> dict[int, str | None]:
    return {
        number: piece_key(made, number, clips, wishes, tools=TOOLS, logo="a logo")
        for number in range(len(made.segments))
    }


@st.composite
def films(draw: st.DrawFn) -> tuple[list[Probe | None], Wishes]:
    """Some clips of a film, of which some are there."""
    clips: list[Probe | None] = [named(draw(probes()), number) for number in range(draw(st.integers(2, 6)))]
    for missing in draw(st.sets(st.integers(0, len(clips) - 1))):
        clips[missing] = None
    logo = draw(st.sampled_from([None, None, Logo(Path("logo.png"))]))
    return clips, Wishes(transitions=tuple(draw(transitions) for _ in clips[1:]), logo=logo)


@settings(deadline=None, max_examples=30)
@given(films())
def test_what_is_settled_involves_no_missing_clip_and_is_what_the_film_needs_if_they_are_as_was_guessed(
    film: tuple[list[Probe | None], Wishes],
) -> None:
    clips, wishes = film
    foresight = foresee(clips, wishes)
    if foresight is None:
        return

    assert foresight.settled
    assert all(clips[clip] is not None for clip in foresight.clips)
    assert [each for each in foresight.probes if each.fingerprint] == [each for each in clips if each is not None]
    ahead = keys(foresight.plan, foresight.probes, wishes)
    for number, segment in enumerate(foresight.plan.segments):
        settled = is_encoded(segment) and all(clips[clip] is not None for clip in clips_of(segment))
        assert (number in foresight.settled) == settled == (ahead[number] is not None)
    home = [each if each.fingerprint else named(each, f"late {n}") for n, each in enumerate(foresight.probes)]
    assert {ahead[number] for number in foresight.settled} <= set(keys(plan(home, wishes), home, wishes).values())


@pytest.mark.parametrize("missing", [{0}, {2}, {0, 1}, {1, 3}, set()])
def test_of_clips_of_one_kind_without_transitions_nothing_is_encoded_ahead(missing: set[int]) -> None:
    clips = [named(a_probe(frames=100 + number), number) for number in range(4)]

    assert foresee([None if number in missing else clip for number, clip in enumerate(clips)], PLAIN) is None


def test_an_odd_clip_and_the_transitions_between_clips_that_are_there_are_settled() -> None:
    odd = named(a_probe(width=1920, height=1080), "odd")
    clips = [named(a_probe(), 1), odd, None, named(a_probe(), 4)]

    cuts, fades = foresee(clips, Wishes()), foresee(clips, FADE)

    assert cuts is not None
    assert fades is not None
    assert [(cuts.plan.segments[n].clip, cuts.plan.segments[n].action) for n in cuts.settled] == [(1, Action.NORMALISE)]
    found = [(fades.plan.segments[n].clip, fades.plan.segments[n].transition is not None) for n in fades.settled]
    assert found == [(1, False), (0, True)]
    assert fades.clips == (0, 1)


@pytest.mark.parametrize(
    ("like", "odd"), [((), 1), ((None, None, None), 1), ((None, None, 0), 1), ((None, None, 1), 0), ((0, 0, 2), 1)]
)
def test_a_missing_clip_is_like_the_one_it_is_expected_to_be_like_or_the_first_of_the_most_common_form(
    like: tuple[int | None, ...], odd: int
) -> None:
    """Though the other one has more bytes, which would decide between two clips of as many seconds."""
    clips = [named(a_probe(), 1), named(a_probe(width=1920, height=1080, size_bytes=9_000_000), 2), None]

    foresight = foresee(clips, PLAIN, like=like)

    assert foresight is not None
    assert foresight.clips == (odd,)


def test_a_wrong_guess_only_leaves_pieces_unused() -> None:
    """The one clip that seemed odd turns out to be of the film's form."""
    clips = [named(a_probe(), 1), *(named(a_probe(width=1920, height=1080), number) for number in (2, 3, 4))]
    foresight = foresee([*clips[:2], None, None], PLAIN)
    assert foresight is not None
    made = plan(clips, PLAIN)

    ahead = keys(foresight.plan, foresight.probes, PLAIN)

    (settled,) = foresight.settled
    assert ahead[settled] not in keys(made, clips, PLAIN).values()
    assert made.clips[1].video is Action.COPY


@pytest.mark.parametrize("clips", [[], [None], [None, None], [None, named(a_probe(width=64, height=64), 1)]])
def test_without_clips_that_differ_nothing_is_settled(clips: list[Probe | None]) -> None:
    assert foresee(clips, Wishes()) is None


def test_a_clip_in_an_odd_container_counts_as_missing() -> None:
    """What its packets are like is known only when it has been taken out of it."""
    wrapped = replace(named(a_probe(odd=("odd",)), 2), container="matroska")

    assert foresee([named(a_probe(), 1), wrapped, None], FADE) is None


def test_wishes_that_fit_no_film_foresee_nothing() -> None:
    assert foresee([named(a_probe(), 1), None], Wishes(transitions=(None, None))) is None


def test_a_piece_is_called_by_all_that_changes_its_pictures_and_nothing_else() -> None:
    odd = named(a_probe(width=1920, height=1080), "odd")
    clips, logo = [named(a_probe(), 1), odd, named(a_probe(), 3)], Logo(Path("logo.png"))

    def key(given: Sequence[Probe] = clips, wishes: Wishes = PLAIN, tools: str = TOOLS, mark: str = "a logo") -> str:
        made = plan(given, wishes)
        number = next(n for n, each in enumerate(made.segments) if is_encoded(each) and given[each.clip].fingerprint)
        found = piece_key(made, number, given, wishes, tools=tools, logo=mark)
        assert found is not None
        return found

    same = [
        key(),
        key([clips[0], odd, named(a_probe(), "another")]),  # not made of it
        key([clips[0], clips[2], odd]),  # at another place in the film
        key(wishes=Wishes(loudness_lufs=-14.0, poster_at_s=1.0)),  # nothing to be seen
        key(wishes=Wishes(audio="exact")),
    ]
    assert set(same) == {key()}
    fits: tuple[Fit, ...] = ("cover", "contain-blur")
    others = [
        key([clips[0], named(odd, "another"), clips[2]]),
        key([clips[0], named(a_probe(width=1920, height=1080, frames=299), "odd"), clips[2]]),
        key([replace(each, video=replace(each.video, colour=replace(each.video.colour, matrix=1))) for each in clips]),
        key(tools="another encoder"),
        *(key(wishes=Wishes(fit=fit)) for fit in fits),
        key(wishes=Wishes(crf=20)),
        key(wishes=Wishes(preset="fast")),
        key(wishes=Wishes(fps=Fraction(25))),
        key(wishes=Wishes(logo=logo)),
        key(wishes=Wishes(logo=logo), mark="another logo"),
        key(wishes=Wishes(logo=replace(logo, opacity=0.5))),
        key(wishes=FADE),
    ]
    assert len({key(), *others}) == 1 + len(others)
