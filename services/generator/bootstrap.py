"""Putting the generator together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.generator.account import AccountWatch
from services.generator.bringing_home import BringingHome
from services.generator.clip_check import EngineClipCheck
from services.generator.handlers import routes
from services.generator.measured import MeasuredProvider
from services.generator.ordering import Ordering
from services.generator.provider.kie import KieProvider, open_kie_http
from services.generator.reporting import JobWriter
from services.generator.results import Results
from services.generator.turns import Turns
from shared.errors import ConfigurationError
from shared.fetch import Fetcher, FetchLimits
from shared.film import Limits
from shared.models.catalogue import profile_of
from shared.runtime import Parts, cancel
from shared.service import Route


async def build(parts: Parts, stack: AsyncExitStack) -> Sequence[Route]:
    """Return the generator's routes.

    Raises:
        ConfigurationError: no key for the provider, or `VIDEO_MODELS` names an unknown model.
    """
    settings, context = parts.settings, parts.context
    if settings.sora_api_key is None:
        raise ConfigurationError(
            "SORA_API_KEY is not set. For a trial without an account run `sora-stitcher up`, or start "
            "`python -m sandbox kie` and point SORA_API_BASE_URL and SORA_API_KEY at it"
        )
    for slug in settings.video_models:
        profile_of(slug)
    http = await stack.enter_async_context(open_kie_http())
    kie = KieProvider(settings.sora_api_base_url, settings.sora_api_key.get_secret_value(), http)
    provider = MeasuredProvider(kie, settings.video_models)
    limits = FetchLimits(max_bytes=settings.max_clip_bytes)
    fetcher = await stack.enter_async_context(Fetcher(settings.fetch_allowed_hosts, limits))
    writer = JobWriter(context)
    ordering = Ordering(
        context,
        provider,
        writer,
        parts.signer,
        models=settings.video_models,
        callback_base_url=settings.base_url,
        orders_per_window=settings.provider_orders_per_10s,
    )
    check = EngineClipCheck(Limits(clip_bytes=settings.max_clip_bytes, clip_duration_s=settings.max_clip_seconds))
    turns = Turns(context.store, settings.provider_looks_per_s)
    results = Results(provider, fetcher, context.artifacts, settings.max_clip_bytes)
    bringing_home = BringingHome(context, provider, writer, parts.signer, results, check, turns, parts.work_dir)
    watch = AccountWatch(context, provider, settings.video_models)
    watching = asyncio.create_task(watch.run(lambda: parts.bus.connected), name="account-watch")
    stack.push_async_callback(cancel, watching)
    return routes(context, ordering, bringing_home)
