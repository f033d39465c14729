"""Fixtures for all tests; those of one area live in `tests/support/fixtures_<area>.py`."""
