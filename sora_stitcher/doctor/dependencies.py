"""What the services lean on: broker, job store, artifact store, and the gateway itself."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from shared.artifacts.factory import open_artifacts
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import SUBSCRIPTIONS
from shared.errors import DependencyDown
from shared.logs import redact
from shared.runtime import choose_backend
from shared.settings import Settings, is_private_url
from sora_stitcher.doctor.findings import Finding, none, ok, problem, warning

HTTP_S = 5.0


async def broker(settings: Settings) -> list[Finding]:
    """Connect as a service does (which declares the queues) and count what waits there."""
    if settings.rabbitmq_url is None:
        return [none("Broker: RABBITMQ_URL is not set; `sora-stitcher up` carries messages itself")]
    name = redact(settings.rabbitmq_url.get_secret_value())
    bus = RabbitBus(settings.rabbitmq_url.get_secret_value(), SUBSCRIPTIONS)
    try:
        await bus.start()
        health = await bus.health(everything=True)
    except DependencyDown as down:
        return [problem(f"Broker: {name}: {redact(str(down))}", "start RabbitMQ, or mend RABBITMQ_URL")]
    finally:
        await bus.close()
    if not health.ok:
        return [problem(f"Broker: {name}: {redact(health.problem)}", "see the broker's log")]
    waiting = sum(queue.ready for queue in health.queues)
    dead = sum(queue.dead for queue in health.queues)
    found = [ok(f"Broker: {name} answers; {len(health.queues)} queues, {waiting} messages waiting")]
    if dead:
        advice = "`sora-stitcher dead list` says why; replay them once the cause is mended"
        found.append(warning(f"Broker: {dead} dead letters", advice))
    if settings.secret_key is None:
        advice = "set it to the same value for all services, e.g. from `openssl rand -hex 32`"
        found.append(warning("SECRET_KEY: not set, which services of their own processes need", advice))
    return found


async def store(settings: Settings) -> list[Finding]:
    """Open the job store as a service does, and ask it."""
    if settings.redis_url is None and settings.upstash_redis_rest_url is None:
        path = settings.data_dir / "jobs.sqlite3"
        if not await asyncio.to_thread(path.exists):
            return [none(f"Job store: {path} is made at the first start (REDIS_URL is not set)")]
        name = str(path)
    else:
        url = settings.redis_url.get_secret_value() if settings.redis_url else settings.upstash_redis_rest_url or ""
        name = redact(url)
    backend = choose_backend(settings, distributed=False)
    try:
        await backend.open()
        await backend.ping()
        counts = await backend.counts()
    except DependencyDown as down:
        advice = "start the store, or mend REDIS_URL, UPSTASH_REDIS_REST_URL or DATA_DIR"
        return [problem(f"Job store: {name}: {redact(str(down))}", advice)]
    finally:
        with suppress(DependencyDown):  # what could not be opened need not close well
            await backend.close()
    return [ok(f"Job store: {name} answers; {sum(counts.values())} jobs")]


async def artifacts(settings: Settings) -> list[Finding]:
    """Try the place for films."""
    location = redact(settings.artifacts_location)
    parts = urlsplit(settings.artifacts_location)
    if parts.scheme == "file" and not await asyncio.to_thread(Path(unquote(parts.netloc + parts.path)).exists):
        return [none(f"Films: {location} is made at the first start")]
    place = open_artifacts(settings.artifacts_location, s3=settings.s3_access)
    try:
        await place.ping()
    except DependencyDown as down:
        return [problem(f"Films: {location}: {redact(str(down))}", "mend ARTIFACTS_URL, or make room there")]
    finally:
        await place.close()
    return [ok(f"Films: {location} is writable")]


async def gateway(settings: Settings) -> list[Finding]:
    """See whether the system runs on this machine, and whether the world can reach it."""
    local = f"http://127.0.0.1:{settings.port or 3000}"
    runs = await _is_ours(local)
    found = [
        ok(f"Gateway: runs at {local}")
        if runs is True
        else none(f"Gateway: nothing runs at {local}; `sora-stitcher up` starts it")
        if runs is None
        else problem(f"Gateway: another program answers at {local}", "stop it, or set another PORT")
    ]
    return [*found, await _public(settings, runs_here=runs is True)]


async def _public(settings: Settings, *, runs_here: bool) -> Finding:
    url = settings.base_url
    if is_private_url(url) and settings.sora_api_key is None and settings.airtable_api_key is None:
        return none(f"Public address: {url} is enough for offline twins")
    if is_private_url(url):
        return warning(
            f"Public address: {url} is private",
            "kie.ai cannot call back (it is asked every few seconds instead) and Airtable takes films up to 5 MB only; "
            "set PUBLIC_URL to an address the internet reaches, e.g. of a tunnel",
        )
    reached = await _is_ours(url)
    if reached is True:
        return ok(f"Public address: {url} leads here")
    what = f"Public address: {url} does not answer" if reached is None else f"Public address: {url} is something else"
    advice = f"let the tunnel or proxy behind PUBLIC_URL lead to port {settings.port}"
    if not runs_here:
        return warning(f"{what}, while nothing runs here", "start `sora-stitcher up` and ask the doctor again")
    return problem(what, advice)


async def _is_ours(base_url: str) -> bool | None:
    """Whether our API answers at an address; None if nobody does."""
    try:
        async with httpx.AsyncClient(timeout=HTTP_S, trust_env=not is_private_url(base_url)) as http:
            answer = await http.get(f"{base_url}/api/health")
            body = answer.json()
    except httpx.HTTPError:
        return None
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("mode") == "async-callback"
