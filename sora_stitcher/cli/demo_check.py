"""Whether the demo's film is really there: on the disk, in the record, the same bytes."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from pathlib import Path

from sandbox import Twins
from shared.airtable.fields import FieldNames
from shared.airtable.protocol import attachments_of
from shared.airtable_connection import open_table
from shared.film import EngineError, check_clip
from shared.job.mirror import NAMES as STATUS_NAMES
from shared.job.model import JobStatus
from sora_stitcher.cli.errors import CommandError
from sora_stitcher.cli.output import size
from sora_stitcher.embedded import Running
from sora_stitcher.models import Job

NAMES = FieldNames()


async def verified(system: Running, job: Job, film: Path) -> list[str]:
    """Look at the film and at the record; return what was found to be right, a line each.

    Raises:
        CommandError: something is not as it must be.
    """
    try:
        probe = await check_clip(film)
    except EngineError as error:
        raise CommandError(f"the film is no good: {error}") from error
    picture = f"{probe.video.frames} frames, {probe.duration_s:.1f} s, {probe.video.width}x{probe.video.height}"
    sound = f" and {probe.audio.codec}" if probe.audio is not None else ", no sound"
    lines = [f"the film decodes: {picture}, {probe.video.codec}{sound}, {size(probe.size_bytes)}"]
    if job.record_id is not None:
        lines.append(await _record_line(system, job.record_id, film))
        if "Airtable" in system.twins and system.sandbox is not None:
            lines += await _history_lines(system.sandbox, job.record_id, film)
    return lines


async def _record_line(system: Running, record_id: str, film: Path) -> str:
    """Read the record as everybody sees it."""
    async with AsyncExitStack() as stack:
        table = await open_table(system.settings, system.parts.backend, stack)
        assert table is not None, "a job with a record has a table"
        fields = (await table.records.get(record_id)).fields
    status = fields.get(NAMES.status)
    film_bytes = (await asyncio.to_thread(film.stat)).st_size
    names = [file.filename for file in attachments_of(fields.get(NAMES.video)) if file.size_bytes == film_bytes]
    if not names or status not in (STATUS_NAMES[JobStatus.COMPLETED], None):
        raise CommandError(f"record {record_id} lacks the film: its Status is {status!r}, its {NAMES.video} {names}")
    return f"record {record_id} has the film in {NAMES.video}; Status is {status or 'not kept there'}"


async def _history_lines(twins: Twins, record_id: str, film: Path) -> list[str]:
    """Read what the twin remembers of the record: every Status it had, and the very bytes that were attached."""
    history = await twins.airtable_control.get(f"records/{record_id}")
    statuses = [str(write["value"]) for write in history["writes"] if write["field"] == NAMES.status]
    digest = hashlib.sha256(await asyncio.to_thread(film.read_bytes)).hexdigest()
    attached = [file["sha256"] for file in history["attachments"]]
    if attached != [digest]:
        raise CommandError(f"record {record_id} was given {len(attached)} files; the film must be the only one")
    return [
        f"its Status went {' → '.join(statuses)}",
        "its attachment is the film, byte for byte, and there is only one",
    ]
