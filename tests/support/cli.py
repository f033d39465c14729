"""Running commands inside the test's process without leaving traces there."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from shared.settings import Settings
from tests.support.system import clean_environment

_CONFIGURED = ("services", "shared", "sandbox", "sora_stitcher", "aio_pika", "aiormq")


@contextmanager
def own_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let commands run in a folder of the test's own, owing nothing to the developer's environment and `.env`.

    A command sets up logging for its process; here, that ends with the test.
    """
    monkeypatch.chdir(folder)
    ours = {name.upper() for name in Settings.model_fields} | os.environ.keys() - clean_environment().keys()
    for name in ours:
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in _CONFIGURED}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.configure(**config)
        structlog.contextvars.clear_contextvars()
