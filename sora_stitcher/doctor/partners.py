"""The partners: kie.ai and its models, Airtable and its table. Reads only, and buys nothing."""

import asyncio
from contextlib import AsyncExitStack

from services.generator.provider.kie import KieProvider, KieTimeouts, open_kie_http
from services.generator.provider.outcomes import ErrorCode, Liveness, ModelHealth, ProviderFault
from shared.airtable.check import Finding as AirtableFinding
from shared.airtable.check import check_airtable
from shared.airtable.client import AirtableRecords
from shared.airtable.limiter import local_limiter
from shared.airtable.retry import RetryPolicy
from shared.airtable_connection import open_table
from shared.models.catalogue import profile_of
from shared.settings import Settings
from shared.store.memory import MemoryBackend
from sora_stitcher.doctor.findings import Finding, none, ok, problem, warning

KIE_TIMEOUTS = KieTimeouts(connect_s=5, read_s=10, total_s=12, look_retry_delays_s=(0.3,))
AIRTABLE_POLICY = RetryPolicy(patience_s=8, down=1, server_error=1)
AIRTABLE_TIMEOUT_S = (5, 8)


async def kie(settings: Settings) -> list[Finding]:
    """Ask kie.ai whose key it is, what is left on the account, and which models take orders.

    A model is asked with an order whose `input` is empty: one that lives rejects it, so nothing is bought.

    Raises:
        ConfigurationError: the key, the address or a model's name is malformed.
    """
    for slug in settings.video_models:
        profile_of(slug)
    if settings.sora_api_key is None:
        advice = "set SORA_API_KEY for real clips: https://kie.ai/api-key"
        return [none("kie.ai: SORA_API_KEY is not set; an offline twin draws test clips instead", advice)]
    async with open_kie_http() as http:
        provider = KieProvider(settings.sora_api_base_url, settings.sora_api_key.get_secret_value(), http, KIE_TIMEOUTS)
        try:
            credit = await provider.credits()
        except ProviderFault as fault:
            error = fault.error
            what = "key" if error.code in (ErrorCode.AUTH, ErrorCode.KEY_LIMIT) else settings.sora_api_base_url
            return [problem(f"kie.ai {what}: {error.message}", error.remedy)]
        models = await asyncio.gather(*(provider.alive(slug) for slug in settings.video_models))
    what = f"kie.ai key: accepted by {settings.sora_api_base_url}; {credit:g} credits left"
    account = ok(what) if credit > 0 else problem(what, "top up the account at https://kie.ai")
    return [account, *judge_models(models)]


def judge_models(models: list[ModelHealth]) -> list[Finding]:
    """Say how each of `VIDEO_MODELS` stands; it takes one that lives. Pure."""
    usable = [model for model in models if model.liveness in (Liveness.ALIVE, Liveness.UNCLEAR)]
    found = []
    for model in models:
        what = f"Model {model.model}: {model.liveness}"
        if model.liveness is Liveness.ALIVE:
            found.append(ok(what))
        elif model.liveness is Liveness.UNCLEAR:
            found.append(none(f"{what}: {model.note}"))
        else:
            found.append(warning(f"{what}: {model.note}", "the next of VIDEO_MODELS is used instead"))
    if not usable:
        found.append(problem("None of VIDEO_MODELS takes orders", "name one that does: docs.kie.ai lists them"))
    return found


async def airtable(settings: Settings) -> list[Finding]:
    """Ask Airtable about token, base, table, and every field.

    Raises:
        ConfigurationError: the variables are malformed, or only half of them are set.
    """
    if settings.airtable_api_key is None:
        set_half = " (AIRTABLE_BASE_ID alone does nothing)" if settings.airtable_base_id else ""
        advice = "set AIRTABLE_API_KEY and AIRTABLE_BASE_ID to have films attached to your own records"
        return [none(f"Airtable: AIRTABLE_API_KEY is not set; an offline twin plays it{set_half}", advice)]
    async with AsyncExitStack() as stack:
        table = await open_table(settings, MemoryBackend(), stack)
        assert table is not None, "a key is set"
        limiter = local_limiter(table.config.base_id)
        records = AirtableRecords(table.config, limiter, policy=AIRTABLE_POLICY, timeout_s=AIRTABLE_TIMEOUT_S)
        stack.push_async_callback(records.close, 0.5)
        return [_translated(finding) for finding in await check_airtable(records)]


def _translated(finding: AirtableFinding) -> Finding:
    if finding.ok:
        return ok(finding.what)
    return (warning if finding.optional else problem)(finding.what, finding.advice)
