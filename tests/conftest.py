"""Fixtures for all tests; those of one area live in `tests/support/fixtures_<area>.py`."""

pytest_plugins = [
    "tests.support.fixtures_bus",
    "tests.support.fixtures_s3",
    "tests.support.fixtures_store",
    "tests.support.fixtures_world",
]
