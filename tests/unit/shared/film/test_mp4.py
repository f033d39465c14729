"""Sample tables survive a round trip, and no bytes whatsoever raise anything but this reader's errors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.film import EngineError, Limits, probe
from shared.film.mp4 import Mp4Error, Mp4Truncated, OutputTrack, read_movie, write_movie, writer
from shared.film.mp4.boxes import Box, make_box
from shared.film.mp4.layout import run_lengths
from shared.film.splice import Arrivals
from shared.film.tracks import audio_info, video_info
from tests.support.media import Clip, make_clip


@pytest.fixture(scope="module")
def uncompressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two thirds of a second with PCM sound, of which every sample is one in the track."""
    return make_clip(
        tmp_path_factory.mktemp("pcm") / "clip.mov", Clip(frames=20, gop=7, audio="pcm_s16le", audio_extra=())
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("real") / "clip.mp4", Clip(frames=20, gop=7))


def _track(sizes: list[int], durations: list[int], orders: list[int], sync: list[bool], source: int) -> OutputTrack:
    length = np.array(sizes, np.int64)
    return OutputTrack(
        kind="video", timescale=15360, entry=b"\0\0\0\x10avc1" + bytes(8), source=np.full(len(sizes), source, np.int64),
        offsets=np.cumsum(length) - length, sizes=length, durations=np.array(durations, np.int64),
        composition=np.array(orders, np.int64), sync=np.array(sync), group=np.arange(len(sizes), dtype=np.int64) // 3,
        media_time=512, duration=sum(durations), width=64, height=48,
    )  # fmt: skip


samples = st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 2000), st.integers(0, 5000), st.booleans()), min_size=1, max_size=40
)


@settings(deadline=None)
@given(samples, samples)
def test_what_is_written_is_read_back(
    first: list[tuple[int, int, int, bool]], second: list[tuple[int, int, int, bool]]
) -> None:
    tracks, blobs = [], []
    for index, rows in enumerate((first, second)):
        sizes, durations, orders, sync = (list(column) for column in zip(*rows, strict=True))
        tracks.append(_track(sizes, durations, orders, sync, index))
        blobs.append(bytes((index * 100 + n) % 256 for n in range(sum(sizes))))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        written = write_movie(path, blobs, tracks, 15360)
        movie = read_movie(path)
        data = path.read_bytes()

    assert written == len(data)
    for wrote, read, blob in zip(tracks, movie.tracks, blobs, strict=True):
        assert read.sizes.tolist() == wrote.sizes.tolist()
        assert read.durations.tolist() == wrote.durations.tolist()
        assert read.composition.tolist() == wrote.composition.tolist()
        assert read.sync.tolist() == wrote.sync.tolist()
        assert read.presentation is not None
        assert read.presentation.offset == 512
        parts = [data[o : o + s] for o, s in zip(read.offsets.tolist(), read.sizes.tolist(), strict=True)]
        assert b"".join(parts) == blob


def _written_wide(path: Path, sizes: list[int], blobs: list[bytes], monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """Write a film as if it were larger than 4 GB: a track of each blob, which has samples of these sizes."""
    monkeypatch.setattr(writer, "_WIDE_FROM_BYTES", 0)
    count = len(sizes)
    tracks = [_track(sizes, [512] * count, [0] * count, [True] * count, source) for source in range(len(blobs))]
    write_movie(path, blobs, tracks, 15360)
    return bytearray(path.read_bytes())


def test_a_film_beyond_four_gigabytes_is_read_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = [b"picture" * 4, b"another" * 4]
    data = _written_wide(tmp_path / "wide.mp4", [5, 6, 7, 10], blobs, monkeypatch)

    tracks = read_movie(tmp_path / "wide.mp4").tracks

    assert data.count(b"co64") == 2
    for track, blob in zip(tracks, blobs, strict=True):
        places = zip(track.offsets.tolist(), track.sizes.tolist(), strict=True)
        assert b"".join(data[at : at + size] for at, size in places) == blob


def test_a_sample_near_the_end_of_all_numbers_lies_beyond_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _written_wide(tmp_path / "wide.mp4", [5], [b"video"], monkeypatch)
    data[(at := data.index(b"co64") + 12) : at + 8] = (2**63 - 2).to_bytes(8, "big")
    (tmp_path / "wide.mp4").write_bytes(data)

    with pytest.raises(Mp4Truncated):
        read_movie(tmp_path / "wide.mp4")


def test_of_several_boxes_of_a_kind_the_first_counts_and_of_too_many_kinds_none() -> None:
    two = make_box(b"moov", make_box(b"mvhd", b"first"), make_box(b"mvhd", b"second"))
    assert Box(b"moov", two, 8, len(two)).by_kind().require(b"mvhd").read() == b"first"

    many = make_box(b"moov", *(make_box(number.to_bytes(4, "big")) for number in range(1000)))
    with pytest.raises(Mp4Error, match="kinds"):
        Box(b"moov", many, 8, len(many)).by_kind()


def test_files_are_copied_as_blobs_are(tmp_path: Path) -> None:
    track = _track([5, 6, 7], [512] * 3, [0] * 3, [True, False, False], 0)
    payload = bytes(range(18))
    (tmp_path / "source").write_bytes(payload)

    write_movie(tmp_path / "a.mp4", [payload], [track], 15360)
    write_movie(tmp_path / "b.mp4", [tmp_path / "source"], [track], 15360)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


class _Arriving:
    """Samples of which the last is there only when somebody has waited for it."""

    most_bytes = 400

    def __init__(self, samples: list[bytes], *, late: bool = False) -> None:
        self.samples, self.late, self.asked = samples, late, 0

    def has(self, _first: int, _count: int) -> bool:
        return not self.late

    def take(self, first: int, count: int, still_wanted: Callable[[], None]) -> list[bytes]:
        self.asked += 1
        still_wanted()
        return self.samples[first : first + count]


def test_samples_that_arrive_while_the_film_is_written_lie_where_known_ones_would(tmp_path: Path) -> None:
    picture = _track([5, 60, 7, 8], [512] * 4, [0] * 4, [True, False, False, True], 0)
    sizes = [3, 300, 4, 9]
    known = _track(sizes, [512] * 4, [0] * 4, [True] * 4, 1)
    coming = replace(known, offsets=np.arange(4, dtype=np.int64), sizes=np.zeros(4, np.int64))
    samples = [bytes([index]) * size for index, size in enumerate(sizes)]
    arriving, pictures = _Arriving(samples), bytes(80)

    write_movie(tmp_path / "a.mp4", [pictures, b"".join(samples)], [picture, known], 15360)
    write_movie(tmp_path / "b.mp4", [pictures, arriving], [picture, coming], 15360)

    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "a.mp4").read_bytes()
    assert arriving.asked == 2, "once for each run of samples that lie together"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=30), st.integers(1, 400))
def test_samples_that_are_late_are_put_into_the_room_that_was_left_for_them(
    order: list[tuple[bool, int]], most_bytes: int
) -> None:
    """Whatever lies beside them, and however small they are, every sample is what it was."""
    sizes = {kind: [min(size, most_bytes) for is_sound, size in order if is_sound is kind] for kind in (False, True)}
    groups = {kind: [at for at, (is_sound, _) in enumerate(order) if is_sound is kind] for kind in (False, True)}
    kinds = [kind for kind in (False, True) if sizes[kind]]
    pictures = bytes(index % 251 for index in range(sum(sizes[False])))
    sounds = [bytes([128 + number % 100]) * size for number, size in enumerate(sizes[True])]
    arriving = _Arriving(sounds, late=True)
    arriving.most_bytes = most_bytes
    tracks = []
    for kind in kinds:
        count = len(sizes[kind])
        known = _track(sizes[kind], [512] * count, [0] * count, [True] * count, int(kind))
        numbers, none = np.arange(count, dtype=np.int64), np.zeros(count, np.int64)
        coming = replace(known, offsets=numbers, sizes=none) if kind else known
        tracks.append(replace(coming, group=np.array(groups[kind])))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        written = write_movie(film, [pictures, arriving], tracks, 15360)
        data, found = film.read_bytes(), read_movie(film).tracks
    assert written == len(data)
    for kind, track in zip(kinds, found, strict=True):
        places = zip(track.offsets.tolist(), track.sizes.tolist(), strict=True)
        assert b"".join(data[at : at + size] for at, size in places) == (b"".join(sounds) if kind else pictures)


def test_a_sample_that_is_larger_than_its_room_is_an_error(tmp_path: Path) -> None:
    picture = _track([5, 5], [512] * 2, [0] * 2, [True] * 2, 0)
    coming = _track([0], [512], [0], [True], 1)
    tracks = [replace(picture, group=np.array([0, 2])), replace(coming, group=np.array([1]))]
    with pytest.raises(ValueError, match="401 bytes arrived"):
        write_movie(tmp_path / "a.mp4", [bytes(10), _Arriving([bytes(401)], late=True)], tracks, 15360)


def test_a_film_that_is_not_wanted_any_more_does_not_wait_for_its_samples(tmp_path: Path) -> None:
    coming = replace(_track([1], [512], [0], [True], 0), sizes=np.zeros(1, np.int64))

    def stop(_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "a.mp4", [Arrivals(2)], [coming], 15360, checkpoint=stop)


def test_a_source_that_shrinks_while_it_is_copied_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"short")

    with pytest.raises(EOFError):
        write_movie(tmp_path / "a.mp4", [tmp_path / "source"], [_track([50], [512], [0], [True], 0)], 15360)


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=50))
def test_run_lengths_expand_to_what_they_were_made_from(values: list[int]) -> None:
    rows = run_lengths(np.array(values, np.int64))

    assert np.repeat(rows[:, 1], rows[:, 0]).tolist() == values
    assert (np.diff(rows[:, 1]) != 0).all()


def _inspect(path: Path) -> None:
    """Everything our own reader does with a file, short of asking libav."""
    try:
        movie = read_movie(path, max_samples=100_000)
        picture, sound = movie.first("video"), movie.first("audio")
        if picture is not None:
            video_info(path, picture, Limits())
        if sound is not None:
            audio_info(sound)
    except (Mp4Error, EngineError):
        pass


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_a_header_escapes_the_readers_own_errors(
    real: Path, uncompressed: Path, data: st.DataObject
) -> None:
    whole = bytearray(data.draw(st.sampled_from([real, uncompressed])).read_bytes())
    start = whole.rindex(b"moov") - 4
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(start, len(whole) - 4))
        value = data.draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"]))
        whole[at : at + len(value)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mp4"
        path.write_bytes(whole)
        _inspect(path)


def test_of_uncompressed_sound_only_the_totals_are_read(uncompressed: Path) -> None:
    movie = read_movie(uncompressed, max_samples=1000)

    sound = movie.first("audio")
    assert sound is not None
    assert (sound.samples, sound.size_bytes, sound.ticks, len(sound.sizes)) == (32_000, 128_000, 32_000, 0)
    found = audio_info(sound)
    assert (found.size_bytes, found.start_s) == (128_000, 0)
    assert found.duration_s == pytest.approx(2 / 3)
    assert found.odd


def test_a_minute_of_uncompressed_sound_is_within_the_ordinary_limits(tmp_path: Path) -> None:
    kind = Clip(frames=60, fps="1", size=(32, 32), audio="pcm_s16le", audio_extra=(), channels=1)

    found = probe(make_clip(tmp_path / "clip.mov", kind))

    assert found.audio is not None
    assert found.audio.duration_s == pytest.approx(60)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({(b"stsz", 8): 35_000, (b"stsc", 12): 33_000}, "overlap"),
        ({(b"stsz", 4): 2**31}, "beyond the end"),
        ({(b"stsz", 4): 5, (b"stsc", 12): 2**31}, "beyond the end"),
        ({(b"stco", 8): 2**32 - 1}, "beyond the end"),
        ({(b"stts", 8): 5}, "fewer samples"),
        ({(b"stsc", 12): 0}, "fewer samples"),
        ({(b"stco", 4): 2**20}, "1048576 chunks"),
    ],
)
def test_uncompressed_sound_that_the_file_cannot_hold_is_an_error(
    changes: dict[tuple[bytes, int], int], said: str, uncompressed: Path, tmp_path: Path
) -> None:
    whole = bytearray(uncompressed.read_bytes())
    for (table, offset), value in changes.items():
        place = whole.rindex(table) + 4 + offset
        whole[place : place + 4] = value.to_bytes(4, "big")
    (broken := tmp_path / "x.mov").write_bytes(whole)

    with pytest.raises(Mp4Error, match=said):
        read_movie(broken, max_samples=10_000)


def test_a_sound_track_without_samples_is_described(real: Path, tmp_path: Path) -> None:
    whole = bytearray(real.read_bytes())
    count = whole.rindex(b"stsz") + 12
    whole[count : count + 4] = bytes(4)
    (empty := tmp_path / "x.mp4").write_bytes(whole)

    sound = read_movie(empty).first("audio")

    assert sound is not None
    assert (audio_info(sound).size_bytes, audio_info(sound).duration_s) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"moov", b"trak", b"ftyp", b"moof", b"mdat"]))
def test_no_noise_escapes_the_readers_own_errors(noise: bytes, kind: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mp4"
        path.write_bytes((len(noise) + 8).to_bytes(4, "big") + kind + noise)
        _inspect(path)


def test_a_file_cut_anywhere_is_truncated(real: Path, tmp_path: Path) -> None:
    whole = real.read_bytes()
    for share in (0.2, 0.5, 0.8, 0.95, 0.999):
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(Mp4Truncated):
            read_movie(cut)
