import pytest

from sandbox.config import TwinsConfig, config_from, flag_name, variable_name


def test_flags_win_over_variables_which_win_over_defaults() -> None:
    environ = {"SANDBOX_KIE_GENERATING_MS": "7", "SANDBOX_KIE_QUEUING_MS": "8", "HOME": "x"}
    config = config_from({("kie", "generating_ms"): "9"}, environ, kie_port=1234)
    assert (config.kie.generating_ms, config.kie.queuing_ms, config.kie.waiting_ms) == (9, 8, 150)
    assert config.kie_port == 1234


def test_variables_of_other_programs_are_left_alone() -> None:
    assert config_from({}, {"SANDBOX_ID": "x"}) == TwinsConfig()


def test_lists_are_separated_by_commas() -> None:
    config = config_from({}, {"SANDBOX_KIE_PAUSED_MODELS": "sora-2-text-to-video,wan/3-0-video"})
    assert config.kie.paused_models == ("sora-2-text-to-video", "wan/3-0-video")


@pytest.mark.parametrize(
    ("environ", "named"),
    [({"SANDBOX_KIE_GENERATING": "1"}, "SANDBOX_KIE_GENERATING"), ({"SANDBOX_KIE_JITTER": "2"}, "--kie-jitter: ")],
)
def test_unknown_or_bad_values_are_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        config_from({}, environ)


def test_names_of_flags_and_variables_follow_from_the_fields() -> None:
    assert flag_name("airtable", "penalty_ms") == "--airtable-penalty-ms"
    assert variable_name("clip", "seconds") == "SANDBOX_CLIP_SECONDS"


def test_the_defaults_are_the_real_services_where_they_are_known() -> None:
    config = TwinsConfig()
    assert (config.kie.create_limit, config.kie.create_window_ms) == (20, 10_000)
    assert (config.kie.callback_timeout_ms, config.kie.callback_retries) == (15_000, 3)
    assert (config.airtable.rate_limit, config.airtable.penalty_ms) == (5, 30_000)
    assert config.host == "127.0.0.1"
