"""Command lines, limits and the reading of ffmpeg's messages."""

from __future__ import annotations

import signal
from pathlib import Path

import ffmpeg
import pytest

from shared.film import ClipError, DiskFull, EncodeFailed, EngineError, Overgrown, TimedOut, TooLarge
from shared.film.encoding import blame
from shared.film.mix import Loudness, choose_gain, parse_loudness
from shared.film.process import clip_input, command_line, failure_of, file_output
from shared.film.progress import Reporter, Shares
from shared.film.result import Progress
from shared.film.verify import joint_packets
from tests.support.probes import a_probe


def test_every_input_is_fenced_in_before_it_is_named() -> None:
    both = ffmpeg.concat(clip_input(Path("a:b.mp4")).video, clip_input(Path("-c.mp4")).video)
    line = command_line(ffmpeg.output(both, file_output(Path("out.mp4"))))

    inputs = [index for index, word in enumerate(line) if word == "-i"]
    assert len(inputs) == 2
    begin = 0
    for index in inputs:
        before = line[begin:index]
        assert before[before.index("-protocol_whitelist") + 1] == "file"
        assert before[before.index("-format_whitelist") + 1] == "mov,matroska,mpegts"
        assert line[index + 1].startswith("file:/")
        begin = index
    assert {"-nostdin", "-xerror", "-hide_banner"} <= set(line)


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (1, "av_interleaved_write_frame(): No space left on device", DiskFull),
        (-signal.SIGXFSZ, "", Overgrown),
        (1, "Error writing trailer: File too large", Overgrown),
        (-signal.SIGXCPU, "", TimedOut),
        (255, "", TimedOut),
        (1, "malloc: Cannot allocate memory", TooLarge),
        (187, "first\nConversion failed!\n", EncodeFailed),
        (3, "", EncodeFailed),
    ],
)
def test_the_way_ffmpeg_ended_becomes_a_typed_error(code: int, said: str, error: type[EngineError]) -> None:
    found = failure_of(code, said)

    assert type(found) is error
    assert found.detail == said
    assert found.message


def test_a_file_that_may_not_grow_is_no_fault_of_the_clip_it_is_made_of() -> None:
    found = blame(failure_of(-signal.SIGXFSZ, ""), [1], [a_probe(), a_probe()])

    assert found.clip is None
    assert "ulimit -f" in str(found)
    assert not isinstance(found, ClipError)


def test_the_last_message_is_the_one_people_see() -> None:
    assert "Conversion failed!" in failure_of(1, "noise\nConversion failed!\n\n").message


def test_the_first_message_is_the_one_people_see_where_the_last_only_says_that_there_is_no_output() -> None:
    said = (
        "[Parsed_zscale_3 @ 0x1] code 3074: no path between colorspaces\n"
        "[vf#0:0 @ 0x2] Error while filtering: Generic error in an external library\n"
        "[out#0/mp4 @ 0x3] Nothing was written into output file, because at least one of its streams is empty"
    )

    assert failure_of(1, said).message == f"ffmpeg failed: {said.splitlines()[0]}"


SUMMARY = """[Parsed_ebur128_0 @ 0x1] Summary:
  Integrated loudness:
    I:         -17.3 LUFS
  True peak:
    Peak:       -4.2 dBFS
"""


def test_the_meter_is_read_from_its_summary() -> None:
    assert parse_loudness("I: -70.0 LUFS\n" + SUMMARY) == Loudness(-17.3, -4.2)
    with pytest.raises(EncodeFailed):
        parse_loudness("nothing")


@pytest.mark.parametrize(
    ("measured", "target", "gain"),
    [(Loudness(-20, -10), -14, 6), (Loudness(-10, -1), -14, -4), (Loudness(-30, -4), -14, 3),
     (Loudness(-70, -99), -14, 0), (Loudness(-30, 0.5), -14, 0), (Loudness(-10, 1), -11, -1)],
)  # fmt: skip
def test_one_gain_is_chosen_that_never_clips(measured: Loudness, target: float, gain: float) -> None:
    found, notes = choose_gain(measured, target)

    assert found == pytest.approx(gain)
    assert notes


def test_progress_never_goes_back_whatever_the_steps_report() -> None:
    told: list[Progress] = []
    reporter = Reporter(told.append)
    reporter.enter("encode", 80.0)
    shares = Shares(reporter, [1.0, 3.0])
    for index, done in ((0, 0.5), (1, 0.2), (0, 0.1), (1, 9.0), (0, 1.0)):
        shares.of(index)(done)
    reporter.finish()

    percents = [each.percent for each in told]
    assert percents == sorted(percents)
    assert 80.0 in percents
    assert (told[-1].stage, told[-1].percent) == ("done", 100.0)


def test_the_packets_checked_around_joints_decode_by_themselves() -> None:
    chosen = joint_packets([0, 250, 300, 310, 320, 400], [300, 20, 200], [True, False, True])

    # A key frame and its successor of every segment; of what we encoded ourselves, the last group whole.
    assert chosen == [0, 1, 300, 301, *range(310, 320), 320, 321]
