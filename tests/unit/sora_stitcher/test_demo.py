"""The demo: which of the environment's keys it shows to the system."""

import pytest

from shared.settings import Settings
from sora_stitcher.cli.demo_run import _key_of


@pytest.mark.parametrize(
    ("keys", "sent"),
    [("airtable:s3cret-s3cret,other:x", "s3cret-s3cret"), ("just-a-secret", "just-a-secret"), ("", None)],
)
def test_a_named_key_is_shown_without_its_name(keys: str, sent: str | None) -> None:
    assert _key_of(Settings.load(api_keys=keys)) == sent
