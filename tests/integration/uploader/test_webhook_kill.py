"""The uploader dies between the receiver's answer and writing it down: the event is told again, under the same id."""

import threading
from functools import partial
from pathlib import Path

from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.clock import now_ms
from shared.emitter import Emitter
from shared.job.create import ClipWish, JobWish, new_job, new_job_id
from shared.job.film import fail
from shared.job.mirror import is_settled
from shared.job.model import Failure, Stage
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.job.webhook_model import WebhookState
from shared.store.jobs import JobStore
from shared.store.redis import RedisBackend
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.support.system import FAST_SERVICES, Process
from tests.support.waiting import eventually

BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")


async def test_an_uploader_that_is_killed_while_it_tells(
    tmp_path: Path, rabbit_url: str, own_redis_server: RedisServer
) -> None:
    policy, now = Policy(), now_ms()  # a job that ended long ago would be purged as soon as all is told
    store = JobStore(
        RedisBackend(own_redis_server.url),
        due_at=partial(due_at, policy=policy),
        expires_at=partial(expires_at, policy=policy),
    )
    receiver, answered = ScriptedPartner(), threading.Event()
    receiver.says(Reply(204, held_by=answered), Reply(204))
    port = free_port()
    env = {
        **FAST_SERVICES,
        "LEASE_MS": "2000",
        "RABBITMQ_URL": rabbit_url,
        "REDIS_URL": own_redis_server.url,
        "SECRET_KEY": "0123456789abcdef" * 4,
        "DATA_DIR": str(tmp_path / "data"),
        "METRICS_PORT": str(port),
        "FETCH_ALLOWED_HOSTS": "127.0.0.1",
    }
    uploader = Process("uploader", ["services.uploader"], env, tmp_path)
    bus = RabbitBus(rabbit_url, SUBSCRIPTIONS)
    try:
        uploader.start()
        await store.open()
        await bus.start()
        wish = JobWish(clips=(ClipWish("a boat"),), webhook_url=receiver.url)
        job = await store.create(fail(new_job(new_job_id(now), ["1" * 32], wish, now), failure=BROKEN, now=now))
        await Emitter(bus, "test").announce(job)

        async def asked() -> bool:
            return len(receiver.requests) >= 1

        await eventually(asked, "the first try", 60)
        uploader.kill()
        answered.set()
        uploader.start()

        async def told() -> bool:
            nonlocal job
            job = await store.get(job.id)
            return is_settled(job)

        await eventually(told, f"the event is told; {uploader.tail()}", 60)
        (webhook,) = job.webhooks
        assert webhook.state is WebhookState.DELIVERED
        assert [request.headers["webhook-id"] for request in receiver.requests] == [webhook.id] * 2
    finally:
        answered.set()
        uploader.kill()
        receiver.close()
        await bus.close()
        await store.close()
