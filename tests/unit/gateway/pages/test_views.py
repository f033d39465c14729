"""What pages show, from the job's document."""

import pytest

from services.gateway.pages.assets import asset_url
from services.gateway.pages.film_view import film_page, links_of
from services.gateway.pages.films_view import matches, row_of
from services.gateway.pages.guard import own_path
from services.gateway.pages.plan_view import plan_view
from services.gateway.pages.rendering import policy
from services.gateway.pages.routes_sign_in import neighbourhood
from services.gateway.pages.site import Site
from services.gateway.pages.words import duration, seconds, size
from shared.errors import ConfigurationError
from shared.job.control import cancel
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.wishes import FilmWishes
from shared.tokens import Signer
from tests.support.world import load_settings

NOW = 1_700_000_000_000
SITE = Site(table_url="https://airtable.com/app1/tbl1")
JOB = new_job(
    "job_1_a", ["t1", "t2"], JobWish(clips=(ClipWish("A red BOAT"), ClipWish("a harbour")), record_id="rec1"), NOW
)


def test_a_row_leads_to_the_record_and_says_how_long_it_took() -> None:
    row = row_of(JOB, SITE, NOW + 65_000)
    assert (row.title, row.ready, row.clips, row.elapsed) == ("A red BOAT", 0, 2, "1 min 05 s")
    assert row.record_url == "https://airtable.com/app1/tbl1/rec1"
    ended = row_of(cancel(JOB, now=NOW + 3_000), SITE, NOW + 999_000)
    assert (ended.word, ended.elapsed) == ("Cancelled", "3 s")


def test_a_search_looks_at_prompts_and_ids_whatever_their_case() -> None:
    assert all(matches(JOB, query) for query in ("boat", "HARBOUR", "rec1", "job_1"))
    assert not matches(JOB, "whale")


def test_buttons_are_those_that_the_state_machine_allows() -> None:
    page = film_page(JOB, SITE, links_of(Signer("k"), NOW), NOW)
    assert (page.can_cancel, page.can_retry, page.can_approve) == (True, False, False)
    ended = film_page(cancel(JOB, now=NOW), SITE, links_of(Signer("k"), NOW), NOW)
    assert (ended.can_cancel, ended.can_retry, ended.can_approve) == (False, False, False)


def test_links_stay_the_same_for_an_hour() -> None:
    signer = Signer("k")
    start = NOW // 3_600_000 * 3_600_000
    assert links_of(signer, start)("jobs/a/film.mp4") == links_of(signer, start + 3_599_999)("jobs/a/film.mp4")


def test_a_plan_is_shown_as_stretches_of_the_film() -> None:
    view = plan_view(
        {
            "explained": [
                "Film: 2.00 s, 40 frames",
                "  copy      clip 1: 30 frames: same stream parameters",
                "  encode    clips 1→2: 10 frames: fade",
                "Cost: 30 frames copied",
            ],
            "fallbacks": ["copy: the splice did not decode"],
        }
    )
    assert view is not None
    assert view.headline == "2.00 s, 40 frames"
    assert view.copied_percent == 75
    assert [(each.word, each.x, each.width) for each in view.stretches] == [("Copied", 0, 750), ("Encoded", 750, 250)]
    assert list(view.lines) == ["Cost: 30 frames copied", "Tried before, in vain: copy: the splice did not decode"]
    assert not view.copies_nothing
    assert plan_view({}) is None


def test_a_plan_that_copies_nothing_does_not_praise_itself() -> None:
    lines = ["Film: 2.00 s, 40 frames", "  encode    clips 1-2: 40 frames: another size"]
    view = plan_view({"explained": lines})
    assert view is not None
    assert view.copies_nothing


def test_all_that_was_asked_for_is_shown_and_data_as_json_has_it() -> None:
    data = {"yes": True, "none": None, "deep": {"a": "é"}, "text": "True", "long": "x" * 300}
    wish = JobWish(
        clips=(ClipWish("a boat"), ClipWish("a harbour"), ClipWish("gulls")),
        film=FilmWishes(fps="30000/1001", fit="cover", codec="hevc", exact_audio=True),
        min_clips=2,
        fields={"Reviewed": False, "Note": "x"},
        metadata=data | {str(number): number for number in range(8)},
    )
    page = film_page(new_job("job_1_a", ["t"] * 3, wish, NOW), SITE, links_of(Signer("k"), NOW), NOW)
    asked = dict(page.asked)
    assert asked["Frames per second"] == "29.97"
    assert (asked["Clips of another shape"], asked["Coded in"], asked["Sound"]) == (
        "cover",
        "hevc",
        "placed to the sample",
    )
    assert (asked["Fewest clips"], asked["Fields of the record"]) == ("2", "Reviewed, Note")
    shown = [asked[f"Data: {name}"] for name in ("yes", "none", "deep", "text")]
    assert shown == ["true", "null", '{"a": "é"}', "True"]
    assert asked["Data: long"].endswith("x…")
    assert asked["More data"] == "and 3 more"


@pytest.mark.parametrize("text", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\nb", "", "films"])
def test_signing_in_never_leads_to_another_site(text: str) -> None:
    assert own_path(text) == "/"


def test_signing_in_leads_back_to_where_one_was() -> None:
    assert own_path("/films/job_1?confirm=cancel") == "/films/job_1?confirm=cancel"


def test_words() -> None:
    assert [duration(ms) for ms in (0, 59_999, 3_600_000, 90_000_000)] == ["0 s", "59 s", "1 h 00 min", "1 d 1 h"]
    assert [size(count) for count in (12, 999, 4_200_000, 999_940, 999_960)] == [
        "12 bytes",
        "999 bytes",
        "4.2 MB",
        "999.9 kB",
        "1.0 MB",
    ]
    assert [seconds(value) for value in (None, 4.25, 62.0, 59.94, 59.97)] == ["", "0:04.2", "1:02", "0:59.9", "1:00"]


def test_the_policy_names_the_store_that_media_links_lead_on_to() -> None:
    assert "media-src 'self' https://s3.example.com;" in policy("https://s3.example.com")
    assert "unsafe" not in policy()


def test_assets_are_named_by_their_content() -> None:
    assert asset_url("style.css").endswith("/style.css")
    with pytest.raises(KeyError):
        asset_url("missing.css")


def test_the_site_takes_its_links_from_the_environment() -> None:
    settings = load_settings(
        airtable_base_id="appXXXXXXXXXXXXXX/tblXXXXXXXXXXXXXX",
        grafana_url="https://grafana.example.com/",
        public_url="https://video.example.com",
    )
    site = Site.of(settings)
    assert site.grafana_url == "https://grafana.example.com"
    assert site.secure
    assert site.record_url("rec1") == "https://airtable.com/appXXXXXXXXXXXXXX/tblXXXXXXXXXXXXXX/rec1"
    assert Site.of(load_settings()).record_url("rec1") is None
    with pytest.raises(ConfigurationError, match="GRAFANA_URL"):
        load_settings(grafana_url="grafana")


def test_tries_to_sign_in_are_counted_by_what_one_user_has_of_addresses() -> None:
    assert neighbourhood("192.0.2.7") == "192.0.2.7"
    assert neighbourhood("2001:db8:1:2::3") == neighbourhood("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert neighbourhood("unknown") == "unknown"
