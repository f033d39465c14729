"""Putting the gateway together."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import structlog
from fastapi import FastAPI

from services.gateway.accepting import Accepting
from services.gateway.addresses import Addresses
from services.gateway.airtable_hook import AirtableHook
from services.gateway.airtable_watch import APPROVED, QUEUED, Watching, WatchPlan
from services.gateway.announcing import Announcer
from services.gateway.app import create_app
from services.gateway.budgets import Budgets
from services.gateway.caller import Access, RateLimit
from services.gateway.controlling import Controlling
from services.gateway.estimating import Market
from services.gateway.live import Live
from services.gateway.pages.site import Site
from services.gateway.records import RecordReader
from services.gateway.state import GatewayState
from shared.airtable.status import StatusWriter
from shared.airtable.watch import Watch
from shared.airtable_connection import Table, open_table
from shared.errors import ConfigurationError
from shared.http_server import HttpServer, make_server
from shared.job.mirror import NAMES
from shared.limits import KeyLimits, parse_api_key
from shared.runtime import Parts, cancel
from shared.settings import Settings

log = structlog.get_logger(__name__)

_WAIT_S = 0.2


async def build_app(parts: Parts, stack: AsyncExitStack) -> FastAPI:
    """Return the gateway's application."""
    settings = parts.settings
    table = await open_table(settings, parts.backend, stack)
    if not settings.api_keys:
        log.warning("the API is open: set API_KEYS to require a key")
    webhook_key = settings.sora_webhook_hmac_key
    context = parts.context
    access = _access(settings)
    addresses = Addresses(settings.fetch_allowed_hosts)
    stack.push_async_callback(addresses.close)
    budgets = Budgets(context.store, access, context.clock, max_unfinished=settings.max_unfinished_jobs)
    announcer = Announcer(context.emitter)
    stack.push_async_callback(announcer.close)
    accepting = Accepting(
        context,
        parts.bus,
        records=RecordReader(table.records if table is not None else None),
        addresses=addresses,
        budgets=budgets,
        market=Market(
            settings.video_models,
            assumed_credits=settings.assumed_clip_credits,
            orders_per_window=settings.provider_orders_per_10s,
        ),
        announcer=announcer,
        max_clips=settings.max_clips,
    )
    controlling = Controlling(context, accepting)
    state = GatewayState(
        context=context,
        bus=parts.bus,
        accepting=accepting,
        controlling=controlling,
        access=access,
        rate_limit=RateLimit(context.store, access, context.clock),
        signer=parts.signer,
        links=parts.links,
        live=_open_live(parts, stack),
        base_url=settings.base_url,
        site=Site.of(settings),
        webhook_key=webhook_key.get_secret_value() if webhook_key is not None else None,
        redirect_media=settings.media_redirect,
        watching=_start_watching(parts, table, accepting, controlling, stack),
    )
    return create_app(state)


def _access(settings: Settings) -> Access:
    return Access(
        keys=tuple(parse_api_key(key.get_secret_value()) for key in settings.api_keys),
        everybody=KeyLimits.model_validate(
            {
                "requestsPerMinute": settings.rate_limit_per_minute,
                "maxCreditsPerJob": settings.max_credits_per_job,
                "maxClipsPerDay": settings.max_clips_per_day,
                "maxCreditsPerDay": settings.max_credits_per_day,
            }
        ),
        by_key=settings.key_limits,
    )


def _open_live(parts: Parts, stack: AsyncExitStack) -> Live:
    live = Live(parts.context.store, parts.bus, places=parts.settings.live_connections)
    stack.push_async_callback(live.close)
    return live


def _start_watching(
    parts: Parts, table: Table | None, accepting: Accepting, controlling: Controlling, stack: AsyncExitStack
) -> Watching | None:
    settings = parts.settings
    if table is None:
        if settings.airtable_trigger != "off":
            raise ConfigurationError("AIRTABLE_TRIGGER is set, but AIRTABLE_API_KEY and AIRTABLE_BASE_ID are not")
        return None
    words = settings.airtable_status_map
    plan = WatchPlan(
        queued=words.get(QUEUED, QUEUED),
        approved=words.get(APPROVED, APPROVED),
        ours=frozenset(words.get(name, name) for name in NAMES.values()),
        trigger=settings.airtable_trigger,
        view=settings.airtable_trigger_view,
        poll_s=settings.airtable_trigger_poll_s,
        approval_s=settings.airtable_approval_poll_s,
    )
    context, watch = parts.context, Watch(table.records)
    hook = AirtableHook(context.store, watch, settings.base_url, context.clock)
    writer = StatusWriter(table.records, status_map=words)
    watching = Watching(context, accepting, controlling, watch, hook, writer, plan)
    stack.push_async_callback(cancel, asyncio.create_task(_watch_when_up(parts, watching), name="airtable-watching"))
    return watching


async def _watch_when_up(parts: Parts, watching: Watching) -> None:
    """Watch once jobs can be made."""
    while not parts.bus.connected:  # noqa: ASYNC110 - a bus tells nobody when it opens
        await asyncio.sleep(_WAIT_S)
    await watching.run()


def server_of(app: FastAPI, settings: Settings) -> HttpServer:
    """Return the gateway's server for its application; nothing listens yet."""
    return make_server(
        app,
        settings.host,
        settings.port,
        grace_s=settings.drain_s,
        stopping=partial(end_streams, app),
        proxies=settings.forwarded_allow_ips,
    )


def end_streams(app: FastAPI) -> None:
    """End the streams of live pages, which would last as long as the process: it is about to stop."""
    state: GatewayState = app.state.gateway
    state.live.stop()
