"""Putting a process together: which adapters the environment names, and clear words where it names none."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from shared import runtime
from shared.bus.memory import MemoryBus
from shared.bus.rabbit import RabbitBus
from shared.errors import ConfigurationError, StoreUnavailable
from shared.job.policy import AmbiguousPolicy
from shared.runtime import cancel, choose_backend, choose_bus, connect, open_parts, until_told_to_stop
from shared.settings import Settings
from shared.store.redis import RedisBackend
from shared.store.sqlite import SqliteBackend
from shared.store.upstash import UpstashBackend
from tests.support.world import load_settings

UPSTASH = {"upstash_redis_rest_url": "https://db.upstash.io", "upstash_redis_rest_token": "token"}


def settings(folder: Path, **values: Any) -> Settings:
    return load_settings(data_dir=folder / "data", **values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [({}, SqliteBackend), ({"redis_url": "redis://host:6379"}, RedisBackend), (UPSTASH, UpstashBackend)],
)
def test_the_environment_chooses_the_job_store(tmp_path: Path, values: dict[str, Any], kind: type[object]) -> None:
    assert isinstance(choose_backend(settings(tmp_path, **values), distributed=False), kind)


def test_separate_processes_need_a_store_and_a_broker_and_are_told_which_variables(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        choose_backend(settings(tmp_path), distributed=True)
    assert "UPSTASH_REDIS_REST_URL" in str(caught.value)
    with pytest.raises(ConfigurationError, match="RABBITMQ_URL"):
        choose_bus(settings(tmp_path), distributed=True)


def test_the_environment_chooses_the_bus(tmp_path: Path) -> None:
    assert isinstance(choose_bus(settings(tmp_path), distributed=False), MemoryBus)
    named = settings(tmp_path, rabbitmq_url="amqp://guest:guest@localhost/")
    assert isinstance(choose_bus(named, distributed=True), RabbitBus)


def test_a_data_folder_that_cannot_be_made_is_said_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in its place")
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        choose_backend(settings(tmp_path), distributed=False)


async def test_separate_processes_need_a_common_signing_key(tmp_path: Path) -> None:
    named = settings(tmp_path, redis_url="redis://host", rabbitmq_url="amqp://host/")
    async with open_parts(named, "stitcher", distributed=True) as parts:  # signs nothing, and needs none
        with pytest.raises(ConfigurationError, match="SECRET_KEY"):
            _ = parts.links


async def test_artifacts_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ARTIFACTS_URL"):
        async with open_parts(settings(tmp_path, artifacts_url="ftp://host/films"), "gateway", distributed=False):
            pass


async def test_what_a_service_is_built_from_follows_the_settings_and_is_gone_in_the_end(tmp_path: Path) -> None:
    chosen = settings(tmp_path, job_timeout=5_000, ambiguous_policy="fail", public_url="https://films.example")
    async with open_parts(chosen, "embedded", distributed=False) as parts:
        await connect(parts)
        assert parts.bus.connected
        await parts.context.store.ping()
        assert (parts.context.policy.job_timeout_ms, parts.context.policy.ambiguous) == (5_000, AmbiguousPolicy.FAIL)
        assert parts.links.url("jobs/job_1/film.mp4", 1).startswith("https://films.example/media/")
        assert parts.work_dir.is_dir()
        assert len({parts.context.new_owner() for _ in range(3)}) == 3
    assert not parts.work_dir.exists()
    assert not parts.bus.connected


async def test_a_dependency_that_is_down_at_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "CONNECT_AGAIN_S", 0.01)
    async with open_parts(settings(tmp_path), "embedded", distributed=False) as parts:
        tries = 0
        really_open = parts.backend.open

        async def open_at_last() -> None:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise StoreUnavailable("not yet")
            await really_open()

        monkeypatch.setattr(parts.backend, "open", open_at_last)
        await connect(parts)
        assert (tries, parts.bus.connected) == (4, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    forever = asyncio.create_task(_forever())
    waiting = asyncio.create_task(until_told_to_stop(forever))
    await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(waiting, 10)
    assert not forever.done()
    await cancel(forever)
    assert forever.cancelled()


async def test_a_part_that_fails_ends_the_wait_with_its_error() -> None:
    async def fail() -> None:
        raise ConfigurationError("the port is taken")

    forever = asyncio.create_task(_forever())
    with pytest.raises(ConfigurationError, match="port"):
        await until_told_to_stop(forever, asyncio.create_task(fail()))
    await cancel(forever)


async def _forever() -> None:
    await asyncio.Event().wait()
