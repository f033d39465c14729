import pytest

from shared.airtable.delivery_plan import (
    Absent,
    Complete,
    Fetching,
    FilmFile,
    OtherSize,
    is_on,
    is_private,
    judge,
    origin_of,
    others_of,
)
from shared.airtable.protocol import Attachment

FILM = FilmFile("job_1.mp4", 1000)
HOSTS = ("airtableusercontent.com",)
THEIRS = "https://v5.airtableusercontent.com/x"
OURS = "https://me.example/media/x"


def item(
    identity: str | None, size: int | None = 1000, filename: str = FILM.filename, url: str | None = THEIRS
) -> Attachment:
    return Attachment(identity, filename, size, url)


FOREIGN = item("attF", 5, "holiday.mp4")


def test_a_film_with_its_name_and_size_is_complete() -> None:
    assert judge([FOREIGN, item("att1")], FILM) == Complete(item("att1"))


def test_of_several_copies_the_first_stays_and_the_rest_is_surplus() -> None:
    cell = [item("att0", 7), item("att1"), FOREIGN, item("att2"), item("att3", None)]
    assert judge(cell, FILM) == Complete(item("att1"), ("att0", "att2", "att3"))


@pytest.mark.parametrize("cell", [[], [FOREIGN], [item("att1", 1000, "job_2.mp4")]])
def test_other_peoples_files_are_not_the_film(cell: list[Attachment]) -> None:
    assert judge(cell, FILM) == Absent()


def test_a_film_without_size_is_still_being_fetched() -> None:
    assert judge([item("att1", None, url=OURS)], FILM) == Fetching(item("att1", None, url=OURS))


def test_an_airtable_url_without_size_is_marked_because_it_may_be_broken() -> None:
    assert judge([item("att1", None)], FILM, HOSTS) == Fetching(item("att1", None), url_known=True)
    assert judge([item("att1", None, url=OURS)], FILM, HOSTS) == Fetching(item("att1", None, url=OURS))


def test_a_film_of_another_size_is_an_earlier_one_or_not_ours() -> None:
    assert judge([item("att1", 999)], FILM) == OtherSize(item("att1", 999))


def test_a_fetch_beside_an_earlier_film_counts_as_fetching() -> None:
    assert isinstance(judge([item("att1", 999), item("att2", None)], FILM), Fetching)


def test_where_hosts_matter_the_right_size_is_not_enough() -> None:
    cell = [item("att1", url=OURS)]
    assert judge(cell, FILM) == Complete(item("att1", url=OURS))
    assert judge(cell, FILM, HOSTS) == Fetching(item("att1", url=OURS), size_known=True)
    assert judge([item("att1")], FILM, HOSTS) == Complete(item("att1"))


def test_everything_that_is_not_this_jobs_is_to_stay_in_its_order() -> None:
    cell = [item("attB", 1, "b"), item("att1"), item("attA", 1, "a"), item("attC", 9, "job_2.mp4")]
    assert others_of(cell, FILM) == ("attB", "attA", "attC")


def test_a_file_that_cannot_be_kept_by_id_forbids_writing() -> None:
    assert others_of([item(None, None, "b")], FILM) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://v5.airtableusercontent.com/x", True),
        ("https://airtableusercontent.com/x", True),
        ("https://evilairtableusercontent.com/x", False),
        ("https://me.example/airtableusercontent.com", False),
        ("http://127.0.0.1:9000/x", True),
        ("http://127.0.0.1:9001/x", False),
        ("http://[bad", False),
        (None, False),
    ],
)
def test_a_host_is_matched_as_domain_or_with_its_port(url: str | None, expected: bool) -> None:
    assert is_on(url, (*HOSTS, "127.0.0.1:9000")) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:3000/media/x", True),
        ("http://127.0.0.1:3000/x", True),
        ("http://192.168.1.4/x", True),
        ("http://[::1]/x", True),
        ("http://gateway:3000/x", True),
        ("http://me.local/x", True),
        ("https://video.example.com/x", False),
        ("https://8.8.8.8/x", False),
    ],
)
def test_links_nobody_outside_can_reach_are_recognised(url: str, expected: bool) -> None:
    assert is_private(url) is expected


def test_of_a_link_only_its_origin_is_shown() -> None:
    assert origin_of("https://me.example:8443/media/SIGNED/x.mp4?y") == "https://me.example:8443"
