r"""Offline twins of kie.ai and Airtable: real HTTP contracts, real MP4 clips, faults on request.

A twin is a small HTTP server that answers as the real service does: same paths, bodies, error envelopes, limits and
oddities (an error code inside HTTP 200, a callback that arrives twice, an attachment that vanishes in silence). What
talks to it cannot tell. It holds its state in memory, listens on 127.0.0.1 and needs no account and no internet.

Start
    ``python -m sandbox all`` prints one line of JSON with addresses and keys; ``kie`` or ``airtable`` run one alone;
    ``--help`` lists all settings, each also a ``SANDBOX_…`` variable. Within a program::

        async with running_twins(TwinsConfig(clips=FAST_CLIPS)) as twins:
            twins.kie_url               # SORA_API_BASE_URL       http://127.0.0.1:…/api/v1
            twins.api_keys.kie          # SORA_API_KEY
            twins.airtable_url          # AIRTABLE_ENDPOINT_URL
            twins.airtable_content_url  # AIRTABLE_CONTENT_URL    uploads; attachments are served from here too
            twins.api_keys.airtable     # AIRTABLE_API_KEY
            twins.base_id, twins.table  # AIRTABLE_BASE_ID, AIRTABLE_TABLE_NAME
            await twins.kie_control.fault("callback=lost", every=5)

    Result files and the partners' callbacks are on loopback addresses, so whoever fetches them must allow 127.0.0.1
    (``FETCH_ALLOWED_HOSTS=127.0.0.1``).

What is in it
    The table "Video Generation" of the original, with the example records recSANDBOX0000001, …02 and …03. All kie.ai
    models of `sandbox.kie.models` are alive and 1000 credits are there. Clips show their prompt, last two seconds
    whatever was ordered, and carry a bar code in every frame (`sandbox.clips.read_mark`).

Faults
    A fault is written ``channel=how[:argument]``. It comes into force through the control plane::

        curl -d '{"fault": "callback=late:5000", "match": "cat", "times": 3}' $KIE/__twin__/faults

    where ``match`` is a substring of the prompt (Airtable: of the path or the record's text), ``times`` how often it
    applies, ``every`` only each k-th time, ``skip`` not the first n times, ``for_ms`` only that long, and ``group`` a
    pattern whose match in the prompt says which tasks belong together. Or by a marker in the prompt itself, which a
    person can try from any client; ``*n`` limits it to the first n times::

        A cat on a roof [twin:fail=content]
        A dog in the rain [twin:callback=lost]
        A fish [twin:create=drop_after*1,file=broken*1,seconds=1]

    A marker in a record's prompt reaches both twins; each takes the channels it knows. ``GET /__twin__/faults`` shows
    the full catalogue. In short:

    kie.ai
        ``create`` (the createTask call), ``info``, ``credit``, ``link``, ``any``: ``<code>`` such as 401 402 429 433
        455 500, ``paused``, ``unknown_model``, ``latency:ms``, ``late:ms``, ``drop_before``, ``drop_after`` (order
        taken, connection reset), ``hang_before``, ``hang_after``, ``malformed``, ``html:502``; ``info=null``
        ``task``: ``stuck``, ``stuck_waiting``, ``slow:ms``
        ``fail``: ``content``, ``guardrails``, ``internal``, ``credits``, ``timeout``, ``withdrawn``
        ``result``: ``null``, ``blank``, ``absent``, ``invalid``, ``no_urls``, ``watermark_only``, ``object``,
        ``private_url``
        ``callback``: ``lost``, ``late:ms``, ``duplicate:k``, ``early``, ``barrier:k``, ``reordered:k``, ``progress``,
        ``old_names``, ``malformed``, ``lying``, ``bad_signature``, ``contradict``
        ``file``: ``truncated``, ``broken`` (resumable), ``slow``, ``endless``, ``empty``, ``html``, ``not_video``,
        ``403`` and any other status, ``link_only``, ``private_redirect``, ``redirects:n``, ``redirect_loop``, …
        A pair of callbacks in the same millisecond, for each of many jobs whose prompts say "job 17":
        ``{"fault": "callback=barrier:2", "group": "job \\d+"}``

    Airtable
        ``whoami``, ``bases``, ``schema``, ``list``, ``get``, ``create``, ``update``, ``delete``, ``upload``, ``any``:
        the HTTP faults above and ``rate_limit``, ``quota``, ``missing`` (also ``missing_403/_404/_422``), ``413``,
        ``422``, ``500``, ``502`` (HTML), ``retriable:s`` (503 with Retry-After)
        ``ingest``: ``slow:ms``, ``cleared``, ``broken_url``, ``never``, ``truncated``
        ``attachment``: as kie.ai's ``file``
        Down for ten seconds: ``{"fault": "any=drop_before", "for_ms": 10000}``. A table without Status and Error:
        ``POST /__twin__/fields {"remove": ["Status", "Error"]}``.

Clip settings are markers too: ``[twin:seconds=3,fps=24,size=640x360,audio=none,gop=30,clip=7]`` makes the odd clip that
a stitcher has to bring into line; ``[twin:seconds=7200,fps=1,size=160x90,audio=none]`` is a two-hour film.

What happened is told by the control planes: `sandbox.kie.control` (orders received, paid orders by prompt and by
callback URL, tasks, callbacks) and `sandbox.airtable.control` (every write of every record with its time, every
attachment ever attached). `TwinControl` is a client for both.
"""

from sandbox.config import FAST_CLIPS, AirtableConfig, ClipConfig, KieConfig, TwinsConfig
from sandbox.control_client import TwinControl
from sandbox.twins import ApiKeys, Twins, running_twins

__all__ = [
    "FAST_CLIPS",
    "AirtableConfig",
    "ApiKeys",
    "ClipConfig",
    "KieConfig",
    "TwinControl",
    "Twins",
    "TwinsConfig",
    "running_twins",
]
