"""`dead`, on a real RabbitMQ."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shared.bus.protocol import Delivery, Reject, Subscription
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import GENERATOR, STITCHER, SUBSCRIPTIONS
from shared.events import Event, VideoReady, VideoRequested
from sora_stitcher.cli import app
from tests.support.waiting import eventually

READY, REQUESTED = STITCHER[0], GENERATOR[1]


class Broker:
    """A broker with dead letters in it, and the command that looks after them."""

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        runner = CliRunner(env={"RABBITMQ_URL": self._url})
        return runner.invoke(app, ["dead", *arguments], prog_name="sora-stitcher", input=stdin)

    def letters(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.run("list", "--json", *arguments)
        assert result.exit_code == 0, result.stderr
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def bury(self, job_ids: list[str], subscription: Subscription, reason: str) -> None:
        """Publish an event for every job, and let the service reject it."""

        async def reject(_delivery: Delivery) -> None:
            raise Reject(reason)

        async def scene() -> None:
            bus = RabbitBus(self._url, SUBSCRIPTIONS)
            try:
                await bus.start()
                await bus.consume(subscription, reject)
                payload = VideoRequested(clip=1) if subscription is REQUESTED else VideoReady(clip=1)
                for job_id in job_ids:
                    await bus.publish(Event.of(job_id, payload, source="generator", step="1"))

                async def all_dead() -> bool:
                    return len(await bus.dead_letters(subscription.queue)) == len(job_ids)

                await eventually(all_dead, f"{len(job_ids)} dead letters", 30)
            finally:
                await bus.close()

        asyncio.run(scene())

    def waiting(self, subscription: Subscription) -> int:
        """How many messages are ready in a work queue."""

        async def scene() -> int:
            bus = RabbitBus(self._url, SUBSCRIPTIONS)
            try:
                await bus.start()
                (stats,) = [
                    queue for queue in (await bus.health(everything=True)).queues if queue.queue == subscription.queue
                ]
                return stats.ready
            finally:
                await bus.close()

        return asyncio.run(scene())


@pytest.fixture
def broker(rabbit_url: str) -> Broker:
    """A broker of this test alone."""
    return Broker(rabbit_url)


def test_dead_letters_are_listed_shown_replayed_and_dropped(broker: Broker) -> None:
    assert "No dead letters" in broker.run("list").stdout
    broker.bury(["job_a", "job_b"], READY, "the film is cursed\x1b[2J")
    broker.bury(["job_c"], REQUESTED, "no such model")

    listed = broker.run("list").stdout
    for part in (READY.queue, REQUESTED.queue, "job_a", "job_c", "1 try", "no such model", "the film is cursed [2J"):
        assert part in listed
    by_job = {letter["job"]: letter for letter in broker.letters()}
    assert set(by_job) == {"job_a", "job_b", "job_c"}
    assert [letter["job"] for letter in broker.letters("--queue", REQUESTED.queue)] == ["job_c"]

    shown = broker.run("show", by_job["job_a"]["id"][:8])
    assert by_job["job_a"]["id"] in shown.stdout
    assert json.loads(broker.run("show", by_job["job_a"]["id"], "--json").stdout) == by_job["job_a"]

    assert "replayed 1 dead letter\n" in broker.run("replay", by_job["job_c"]["id"][:8]).stdout
    assert broker.waiting(REQUESTED) == 1
    assert json.loads(broker.run("drop", by_job["job_a"]["id"], "--json").stdout) == {"dropped": 1}
    assert [letter["job"] for letter in broker.letters()] == ["job_b"]
    assert broker.run("drop", "--all", "--yes").exit_code == 0
    assert broker.letters() == []


def test_all_letters_of_all_queues_are_replayed_at_once(broker: Broker) -> None:
    broker.bury(["job_a"], READY, "x")
    broker.bury(["job_c"], REQUESTED, "x")
    assert "replayed 2 dead letters" in broker.run("replay", "--all").stdout
    assert (broker.waiting(READY), broker.waiting(REQUESTED), broker.letters()) == (1, 1, [])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["replay"], "or say --all"),
        (["drop", "abc", "--all", "--yes"], "or say --all"),
        (["show", "zzzz"], "no dead letter has an id that begins with 'zzzz'"),
        (["list", "--queue", "nonsense"], "no queue 'nonsense'"),
        (["drop", "--all"], "confirm with --yes"),
    ],
)
def test_what_is_not_clear_is_not_done(broker: Broker, arguments: list[str], part: str) -> None:
    result = broker.run(*arguments)
    assert result.exit_code == 2, result.stderr
    assert part in result.stderr


def test_a_broker_that_does_not_answer_is_told_without_its_password(free_port: int) -> None:
    env = {"RABBITMQ_URL": f"amqp://user:secret-password@127.0.0.1:{free_port}/"}
    result = CliRunner(env=env).invoke(app, ["dead", "list"], prog_name="sora-stitcher")
    assert result.exit_code == 3
    assert "mend RABBITMQ_URL" in result.stderr
    assert "secret-password" not in result.output
