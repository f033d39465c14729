"""Which modules have crash points (prototype)."""

from collections.abc import Iterator
from pathlib import Path
from tests.support.crash.points import modules

WANTED_SHARED = (
    "shared.emitter",
    "shared.giving_up",
    "shared.leases",
    "shared.reconciler",
    "shared.service",
    "shared.bus.runner",
    "shared.bus.rabbit_inbox",
    "shared.airtable.delivery",
    "shared.airtable.status",
    "shared.airtable.client",
    "shared.artifacts.files",
)


def instrumented_modules() -> Iterator[tuple[str, Path]]:
    for name, path in modules("services", "shared"):
        if name.endswith(("__main__",)) or ".engine" in name:
            continue
        if name.startswith("services.") or name in WANTED_SHARED:
            if b"await " in path.read_bytes() or b"async " in path.read_bytes():
                yield name, path
