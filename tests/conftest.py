"""Fixtures for all tests; those of one area live in `tests/support/fixtures_<area>.py`."""

import signal

pytest_plugins = [
    "tests.support.fixtures_bus",
    "tests.support.fixtures_s3",
    "tests.support.fixtures_store",
    "tests.support.fixtures_world",
]


def pytest_configure() -> None:
    """Let tests and commands under test be interrupted, also where the tests run in the background of a shell.

    A shell without job control starts such commands with interrupts ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
