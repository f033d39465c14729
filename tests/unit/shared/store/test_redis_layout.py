"""Keys and scripts keep to what Redis Cluster and Upstash ask: declared keys, one hash tag."""

import pytest
from redis.crc import key_slot

from shared.store import redis_layout
from shared.store.redis_layout import Keys, Script

SCRIPTS = [value for value in vars(redis_layout).values() if isinstance(value, Script)]


def test_all_keys_lie_in_one_slot() -> None:
    keys = Keys("sora:")
    names = (*keys.row_and_indexes("job_1"), *keys.row_and_indexes("job_2"), keys.claim("x"), keys.permits("y"))
    names = (*names, keys.marks, keys.probe)
    assert len({key_slot(name.encode()) for name in names}) == 1


@pytest.mark.parametrize("prefix", ["{x}", "a{", "}b"])
def test_a_prefix_that_would_move_the_hash_tag_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="braces"):
        Keys(prefix)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.sha1[:8])
def test_scripts_build_no_key_names_and_read_no_clock(script: Script) -> None:
    assert "sora:" not in script.source
    assert "TIME" not in script.source
    assert "KEYS" in script.source


def test_all_seven_scripts_are_found() -> None:
    assert len({script.sha1 for script in SCRIPTS}) == 7
