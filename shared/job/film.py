"""Transitions of the film: joining it, delivering it, ending the job.

Pure functions (job, fact) -> job with the rules of `shared.job.clips`.

    processing ──begin_stitch──► stitching ──film_stitched──► stitching, with a film
        ──begin_delivery──► uploading ──delivered──► completed
"""

from shared.errors import Refused
from shared.job._edit import ended_badly, lease_for, log, progressed, reached
from shared.job.fencing import holds, require_free, require_owner
from shared.job.mirror import has_moved
from shared.job.model import ClipStatus, Delivery, Failure, Film, Job, JobStatus, Stage
from shared.job.policy import Policy

S = Stage.STITCHING
U = Stage.UPLOADING

PATIENT_TRIES = 5
"""A step begun more often than this does not move the job's deadline any more by working."""


def begin_stitch(job: Job, *, owner: str, now: int, policy: Policy) -> Job:
    """Take the right to stitch.

    Raises:
        Refused: there is nothing to stitch (yet, or any more), or somebody is doing it.
    """
    if job.status not in (JobStatus.PROCESSING, JobStatus.STITCHING) or job.film is not None:
        raise Refused("nothing_to_stitch", f"the job is {job.status}")
    if holds(job.lease, owner, now):
        return job
    require_free(job.lease, owner, now)
    again = job.status is JobStatus.STITCHING
    job = job if again else reached(job, JobStatus.STITCHING, now)
    job = job.but(lease=lease_for(owner, now, policy.lease_ms), step_tries=job.step_tries + 1)
    return log(job, now, S, "stitching again" if again else f"stitching {_count(job)}")


def film_stitched(job: Job, *, owner: str, film: Film, now: int) -> Job:
    """The film is in the artifact store.

    Raises:
        Refused: the owner lost its lease.
    """
    if job.film is not None:
        return job
    require_owner(job.lease, owner)
    job = progressed(job, now).but(film=film, lease=None)
    return log(job, now, S, f"film of {film.video.size_bytes} bytes, {film.video.duration_s or 0:.2f} s")


def begin_delivery(job: Job, *, owner: str, now: int, policy: Policy) -> Job:
    """Take the right to deliver the film and to write to its record.

    Raises:
        Refused: there is no film to deliver (yet, or any more), or somebody is at it or at the record.
    """
    if job.status not in (JobStatus.STITCHING, JobStatus.UPLOADING) or job.film is None:
        raise Refused("nothing_to_deliver", f"the job is {job.status}")
    if holds(job.lease, owner, now):
        return job
    require_free(job.lease, owner, now)
    require_free(job.mirror.lease, owner, now)
    again = job.status is JobStatus.UPLOADING
    job = job if again else reached(job, JobStatus.UPLOADING, now)
    lease = lease_for(owner, now, policy.lease_ms)
    job = job.but(lease=lease, mirror=job.mirror.but(lease=lease), step_tries=job.step_tries + 1)
    return log(job, now, U, "delivering again" if again else "delivering")


def renew_step(job: Job, *, owner: str, now: int, policy: Policy, progress: bool = False) -> Job:
    """Keep the right to stitch or deliver; `progress` says that the work moves on.

    A step that is begun again and again (a film that kills every stitcher at half way, say) comes no closer to
    its end, whatever progress it reports.

    Raises:
        Refused: the owner lost its lease; when delivering, also that of the record.
    """
    require_owner(job.lease, owner)
    lease = lease_for(owner, now, policy.lease_ms)
    if job.status is JobStatus.UPLOADING:
        require_owner(job.mirror.lease, owner)
        job = job.but(mirror=job.mirror.but(lease=lease))
    job = job.but(lease=lease)
    return progressed(job, now) if progress and job.step_tries <= PATIENT_TRIES else job


def release_step(job: Job, *, owner: str, untried_since: int | None = None) -> Job:
    """Give the right back without a result.

    That is nothing new to the reconciler: its patience goes on growing, so that a step that fails again and
    again is not asked for again and again.

    Args:
        job: the job.
        owner: who had the right.
        untried_since: if given, nothing that the step does has failed: `progress_at` when it was begun. Unless it
            has moved since, the step does not count as tried: what it needs was only not there.
    """
    if job.lease is None or job.lease.owner != owner:
        return job
    mirror = job.mirror.but(lease=None) if job.mirror.lease and job.mirror.lease.owner == owner else job.mirror
    tries = job.step_tries - 1 if job.progress_at == untried_since else job.step_tries
    return job.but(lease=None, mirror=mirror, step_tries=max(0, tries))


def delivered(job: Job, *, owner: str, delivery: Delivery | None, now: int, moved: bool = True) -> Job:
    """The film stands in the record and its last status is written there (or there is no record): completed.

    Args:
        job: the job.
        owner: who delivered.
        delivery: what stands in the record.
        now: the time.
        moved: whether the record took the last status.

    Raises:
        Refused: delivery has not begun, or the owner lost its lease; also that of the record alone, for
            whoever took it may have written an older status over the last one.
    """
    if job.status is JobStatus.COMPLETED:
        return job
    require_owner(job.lease, owner)
    if job.status is not JobStatus.UPLOADING:
        raise Refused("not_delivering", f"the job is {job.status}")
    require_owner(job.mirror.lease, owner)
    job = reached(job, JobStatus.COMPLETED, now).but(delivery=delivery, lease=None, finished_at=now)
    mirror = job.mirror.but(written=len(job.passages), lease=None, problem=None)
    if delivery is not None:
        mirror = mirror.but(moved=has_moved(job) or moved)
    job = job.but(mirror=mirror)
    return log(job, now, U, "delivered to the record" if delivery else "completed; no record to deliver to")


def fail(job: Job, *, failure: Failure, now: int, owner: str | None = None) -> Job:
    """The job is given up.

    Args:
        job: the job.
        failure: why.
        now: the time.
        owner: if given, only the holder of the step's lease may say so.
    """
    if job.status.is_final:
        return job
    if owner is not None:
        require_owner(job.lease, owner)
        if job.mirror.lease is not None and job.mirror.lease.owner == owner:
            job = job.but(mirror=job.mirror.but(lease=None))
    return ended_badly(job, failure, now)


def _count(job: Job) -> str:
    count = sum(clip.status is ClipStatus.READY for clip in job.shots)
    return "1 clip" if count == 1 else f"{count} clips"
