"""Which code has crash points, and the exceptions, each with its reason.

Everything below `services` and `shared` has them unless it is named here, so a new module, a new handler or a new wait
is in the list by itself.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.support.crash.points import Point, instrumented, modules

START_AND_END = "the start or the end of a process: no message is in hand yet, or any more"
ALL_OR_NOTHING = (
    "one command that has its effect or has not: dying before it and after it are the points before and behind the call"
)
OWN_FOLDER = "works in the process's own work folder alone: dying anywhere in it is dying before its result is used"
BEST_EFFORT = (
    "encodes ahead what a film would encode anyway: nothing depends on it, and tests/integration/stitcher has what is "
    "left of it when its process dies; the points around it are those of the film that takes it"
)
EMBEDDED = "an adapter of the embedded mode, which runs in one process and is not what is killed here"
ONLOOKER = "live pages: they read, and nothing depends on them"
LOOKS_AGAIN = "what one look at the table did not finish the next one does; tests/integration/gateway has its faults"
METRICS_ONLY = "looks, for the metrics, and nothing depends on it"
PASSES_ON = "passes every call on: the points are those of the provider behind it"
STOPPED_MIDWAY = "not what is run here; tests/integration/artifacts stops its uploads midway in every way"
A_FORM = (
    "a page reads, or hands a form on to the steps of the API, which have their points; in front of them nothing has "
    "happened, and the form has an idempotency key where repeating it matters"
)
TOOL = "for operators and the command line; no step uses it"

OUTSIDE: dict[str, str] = {
    "services.gateway.__main__": START_AND_END,
    "services.gateway.airtable_hook": LOOKS_AGAIN,
    "services.gateway.airtable_watch": LOOKS_AGAIN,
    "services.gateway.attention": ONLOOKER,
    "services.gateway.bootstrap": START_AND_END,
    "services.gateway.live": ONLOOKER,
    "services.gateway.making": "a dry run spends and stores nothing",
    "services.gateway.pages": A_FORM,
    "services.gateway.routes_airtable": LOOKS_AGAIN,
    "services.gateway.routes_events": ONLOOKER,
    "services.gateway.routes_usage": "a read over HTTP: it changes nothing, and whoever reads asks again",
    "services.gateway.sse": ONLOOKER,
    "services.generator.__main__": START_AND_END,
    "services.generator.account": METRICS_ONLY,
    "services.generator.bootstrap": START_AND_END,
    "services.generator.measured": PASSES_ON,
    "services.stitcher.__main__": START_AND_END,
    "services.stitcher.ahead": BEST_EFFORT,
    "services.stitcher.bootstrap": START_AND_END,
    "services.stitcher.piece_shelf": BEST_EFFORT,
    "services.uploader.__main__": START_AND_END,
    "services.uploader.bootstrap": START_AND_END,
    "shared.airtable.check": TOOL,
    "shared.airtable.limiter": ALL_OR_NOTHING,
    "shared.artifacts._blocking": ALL_OR_NOTHING,
    "shared.artifacts._s3_upload": STOPPED_MIDWAY,
    "shared.artifacts.memory": EMBEDDED,
    "shared.artifacts.s3": STOPPED_MIDWAY,
    "shared.airtable.watch": LOOKS_AGAIN,
    "shared.bus.listening": ONLOOKER,
    "shared.bus.memory": EMBEDDED,
    "shared.bus.rabbit": START_AND_END,
    "shared.bus.rabbit_attachment": START_AND_END,
    "shared.bus.rabbit_channel": ALL_OR_NOTHING,
    "shared.bus.rabbit_consumer": START_AND_END,
    "shared.bus.rabbit_letters": TOOL,
    "shared.bus.rabbit_link": START_AND_END,
    "shared.bus.rabbit_listener": ONLOOKER,
    "shared.bus.rabbit_publisher": ALL_OR_NOTHING,
    "shared.bus.rabbit_topology": START_AND_END,
    "shared.bus.tasks": START_AND_END,
    "shared.crowding": "looks at the queues: dying there is dying in front of the reconciler's next write",
    "shared.entrypoint": START_AND_END,
    "shared.fetch": OWN_FOLDER,
    "shared.film": OWN_FOLDER,
    "shared.http_server": START_AND_END,
    "shared.presence": "says that a process is there, for the page of operators, and nothing depends on it",
    "shared.readiness": "looks, and changes nothing",
    "shared.runtime": START_AND_END,
    "shared.store": ALL_OR_NOTHING,
}
"""Modules, or packages, without crash points."""

READ = "a read over HTTP: it changes nothing, and whoever reads asks again"
REFUSED = "a request that is refused: nothing was accepted"

BY_CHANCE = "comes up only when two things happen within the same instant"
STORE_GOES = (
    "only where the store goes away just while a status is written, and the lease that is given back is stored there"
)
EIGHT_DEATHS = (
    "a message that has killed eight processes is buried as one is that nobody can read (`Runner.bury`), which has its "
    "points; `tests/integration/bus` has the eight deaths"
)
OTHERS_FILE = "only looks, while somebody else's file in the record has no id yet"

DRY_RUN = "a dry run spends and stores nothing"
A_NAME = "looks a name up, which changes nothing: dying there is dying in front of `Addresses.problems.judge`"
TWO_AT_ONCE = "two requests with the same key within the same instant; tests/integration/gateway/test_repeating.py"
A_FORCED_ONE = (
    "only where another film of a record was wished for by force, and refused: dying there leaves the record to "
    "whoever asks next, who gets that other film"
)
TWO_GENERATORS = (
    "a generator that froze with a clip finds that another one has brought it home and that it was thrown away since; "
    "one generator runs here"
)

UNREACHED: dict[str, str] = {
    "gateway.accepting:Accepting._make:4": TWO_AT_ONCE,
    "gateway.addresses:Addresses.close": START_AND_END,
    "gateway.addresses:Addresses.warnings": DRY_RUN,
    "gateway.addresses:Addresses._judge": A_NAME,
    "gateway.addresses:Addresses._look": DRY_RUN,
    "gateway.announcing:Announcer.announce": "only with 200 announcements under way; `shared.emitter` has the points",
    "gateway.announcing:Announcer.close": START_AND_END,
    "gateway.budgets:Budgets.check_left": DRY_RUN,
    "gateway.claims:Claims.drop_key:2": TWO_AT_ONCE,
    "gateway.claims:Claims.keep_key:0": TWO_AT_ONCE,
    "gateway.claims:Claims.return_record": A_FORCED_ONE,
    "gateway.quick_route:QuickRoute.get_route_handler.handler:1": REFUSED,
    "gateway.routes_batch:_answer:0": DRY_RUN,
    "gateway.routes_making:create_job:0": DRY_RUN,
    "gateway.middleware:BodyGuard.__call__:2": REFUSED,
    "gateway.middleware:BodyGuard.__call__:3": REFUSED,
    "gateway.middleware:_discard": REFUSED,
    "gateway.middleware:AnswerHeaders.__call__:0": START_AND_END,
    "gateway.middleware:HttpMetrics.__call__:0": START_AND_END,
    "gateway.middleware:HttpMetrics.__call__:1": READ,
    "gateway.routes_health:ready": READ,
    "gateway.routes_jobs:get_job": READ,
    "gateway.routes_media:media:1": "only where the artifact store has an address of its own; a read",
    "gateway.routes_jobs:list_jobs": READ,
    "gateway.middleware:_replay": "no route reads on behind the end of its body",
    "generator.bringing_home:BringingHome._bring_home:2": TWO_GENERATORS,
    "generator.bringing_home:BringingHome._bring_home:5": TWO_GENERATORS,
    "shared.airtable.client:AirtableRecords.on_webhooks": LOOKS_AGAIN,
    "shared.airtable.client:AirtableRecords.select": LOOKS_AGAIN,
    "shared.airtable_connection:_wait": ALL_OR_NOTHING,
    "shared.cancellation:outlast": "only while a task is told to stop: dying there is dying before what comes next",
    "shared.tidying:delete_unwanted_clip": TWO_GENERATORS,
    "uploader.webhook_sender:WebhookSender.__aexit__": START_AND_END,
    "generator.file_sink:FileSink.__aenter__:1": "drained just when a file is opened: nothing is decided yet",
    "generator.ordering:Ordering._keep:2": "after half a minute without the store; the same write as `_keep:0`",
    "generator.provider.kie:KieProvider.alive": TOOL,
    "generator.provider.kie:KieProvider.credits": TOOL,
    "shared.airtable.client:AirtableRecords._call:2": "Airtable's penalty of 30 s begins: only who waits is written",
    "shared.airtable.quota:CountedLimiter.pause": "Airtable's penalty of 30 s begins: only who waits is written",
    "shared.airtable.client:AirtableRecords.close": START_AND_END,
    "shared.airtable.client:AirtableRecords.probe": TOOL,
    "shared.airtable.client:AirtableRecords.schema": TOOL,
    "shared.airtable.client:AirtableRecords.whoami": TOOL,
    "shared.airtable.delivery:_Delivery._give_link:0": OTHERS_FILE,
    "shared.airtable.delivery:_Delivery._give_link:1": OTHERS_FILE,
    "shared.airtable.delivery:_Delivery._give_link:2": OTHERS_FILE,
    "shared.artifacts.files:FileArtifacts.ping": READ,
    "shared.artifacts.files:FileArtifacts.writer": "no step writes an artifact piece by piece",
    "shared.artifacts.files:FileWriter": "no step writes an artifact piece by piece",
    "shared.bus.rabbit_inbox:Inbox.finish": START_AND_END,
    "shared.bus.rabbit_inbox:Inbox._give_up": EIGHT_DEATHS,
    "shared.bus.rabbit_inbox:Inbox._judge:0": EIGHT_DEATHS,
    "shared.bus.rabbit_inbox:Inbox._surely:1": "the broker does not confirm, so nothing has happened since `_surely:0`",
    "shared.service:attach": START_AND_END,
}
"""Points, functions or classes that no job comes by; a test sees to it that this stays so."""

SELDOM: dict[str, str] = {
    "generator.ordering:Ordering.on_video_requested:1": (
        "the owner of an order has died in the middle of it: the campaign's kills lead there, a rehearsal has none"
    ),
    "stitcher.watching:Watch.check:1": "only while a film takes longer than `LOOK_S` to join",
    "uploader.delivering:Delivering.on_job_stitched:5": (
        BY_CHANCE + ": a drain or the loss of a dependency comes beside the upload, not during it"
    ),
    "uploader.mirroring:Mirroring.on_status:5": STORE_GOES,
    "uploader.mirroring:Mirroring._release:0": STORE_GOES,
    "uploader.mirroring:Mirroring._write_all:2": BY_CHANCE + ": a status comes just when the record is given back",
    "uploader.mirroring:Mirroring._write_all:3": BY_CHANCE + ": a status comes just when the record is given back",
}
"""Points that a rehearsal may miss, with what has to happen for them."""


def _named(table: dict[str, str], name: str, separators: str) -> bool:
    return any(name == key or (name.startswith(key) and name[len(key)] in separators) for key in table)


def instrumented_modules() -> Iterator[tuple[str, Path]]:
    """Yield name and file of every module with crash points."""
    for name, path in modules("services", "shared"):
        if not _named(OUTSIDE, name, "."):
            yield name, path


def all_points() -> tuple[Point, ...]:
    """Return all crash points, in the order of the code."""
    return tuple(point for name, path in instrumented_modules() for point in instrumented(name, path.read_bytes())[1])


def is_unreached(point: Point) -> bool:
    """Whether no job is said to come by."""
    return _named(UNREACHED, point.name, ":.")


def stale_exceptions() -> list[str]:
    """Return exceptions that name nothing in the code any more."""
    known = [name for name, _ in modules("services", "shared")]
    outside = [key for key in OUTSIDE if not any(_named({key: ""}, name, ".") for name in known)]
    points = all_points()
    unreached = [key for key in UNREACHED if not any(_named({key: ""}, point.name, ":.") for point in points)]
    return [*outside, *unreached]
