"""Promises to make one job where the same is asked for twice: by an idempotency key, or for a record.

The claim in the store holds the id that the job will have, and comes before the job. Whoever meets a claim whose job
does not exist makes it under that very id: so a crash between the two heals, and of two at once only one is stored.
"""

import hashlib
from dataclasses import dataclass

from services.gateway.caller import Caller
from services.gateway.errors import ApiError
from shared.clock import Clock
from shared.errors import JobNotFound
from shared.job.create import new_job_id
from shared.job.model import Job
from shared.store.jobs import JobStore

CLAIM_TTL_MS = 90 * 86_400_000
"""Longer than a job lives; renewed whenever the claim is used."""
FORGOTTEN_AFTER_MS = 600_000
"""A claim this old whose job does not exist is one whose job has been purged."""
MAX_KEY_CHARS = 255
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An `Idempotency-Key` and what was posted with it.

    Attributes:
        claim: the key's name in the store; another caller's equal key is another claim.
        fingerprint: of the request.
    """

    claim: str
    fingerprint: str

    @classmethod
    def of(cls, caller: Caller, key: str, endpoint: str, body: str) -> "Idempotency":
        """Return the claim of a request.

        Raises:
            ApiError: the key is unusable.
        """
        if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isascii() or not key.isprintable():
            raise ApiError(
                400, "invalid_request", f"Idempotency-Key: must be 1 to {MAX_KEY_CHARS} printable ASCII characters"
            )
        owner = caller.name if caller.name is not None else ""
        claim = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
        fingerprint = hashlib.sha256(f"{endpoint}\n{body}".encode()).hexdigest()[:32]
        return cls(f"idempotency:{claim}", fingerprint)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make a job under this id.

    Attributes:
        job: the job, where it exists already.
        value: what the store holds.
        mine: whether this very request made the claim.
        instead_of: the unfinished job from which it was taken by force.
    """

    key: str
    value: str
    job_id: str
    mine: bool
    job: Job | None = None
    instead_of: str | None = None


class Claims:
    """Claims in the job store."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def for_key(self, idempotency: Idempotency, job_id: str) -> Claim:
        """Claim an idempotency key for a job.

        Raises:
            ApiError: 409; the key was used for something else.
            StoreUnavailable: nobody knows whether it is claimed now; a repetition finds out.
        """
        for _ in range(_TRIES):
            held = await self._store.claim(idempotency.claim, f"{job_id} {idempotency.fingerprint}", CLAIM_TTL_MS)
            held_id, _, fingerprint = held.partition(" ")
            job = None if held_id == job_id else await self.find(held_id)
            if job is None and held_id != job_id and self._is_forgotten(held_id):
                await self._store.release(idempotency.claim, held)
                continue
            if fingerprint != idempotency.fingerprint:
                raise ApiError(
                    409,
                    "idempotency_conflict",
                    "Idempotency-Key: this key was used with another request; take a new key for a new job",
                )
            if held_id != job_id:
                await self._store.claim(idempotency.claim, held, CLAIM_TTL_MS)
            return Claim(idempotency.claim, held, held_id, held_id == job_id, job)
        raise _contended("Idempotency-Key")

    async def for_record(self, record_id: str, job_id: str, *, force: bool) -> Claim:
        """Claim a record for a job, unless an unfinished one has it.

        Args:
            record_id: the record.
            job_id: the job to be made.
            force: take the record over even from an unfinished job.
        """
        key, instead_of = f"record:{record_id}", None
        for _ in range(_TRIES):
            held = await self._store.claim(key, job_id, CLAIM_TTL_MS)
            if held == job_id:
                return Claim(key, held, held, mine=True, instead_of=instead_of)
            job = await self.find(held)
            is_free = self._is_forgotten(held) if job is None else job.status.is_final
            if not force and not is_free:
                return Claim(key, held, held, mine=False, job=job)
            instead_of = None if is_free else held
            await self._store.release(key, held)
        raise _contended("recordId")

    async def move(self, claim: Claim, idempotency: Idempotency, job_id: str) -> None:
        """Let a repetition of the request find this job."""
        if claim.job_id != job_id:
            await self._store.release(claim.key, claim.value)
            await self._store.claim(claim.key, f"{job_id} {idempotency.fingerprint}", CLAIM_TTL_MS)

    async def drop_key(self, claim: Claim) -> None:
        """Give a key back if this request claimed it: no job was made, so the key may be used for something else.

        A repetition that met the claim may have made the job under it meanwhile; then it stays.
        """
        if claim.mine:
            await self._store.release(claim.key, claim.value)
            if await self.find(claim.job_id) is not None:
                await self._store.claim(claim.key, claim.value, CLAIM_TTL_MS)

    async def keep_key(self, claim: Claim) -> None:
        """Make sure of a key that another request claimed: it may have been refused, and given it back."""
        if not claim.mine:
            await self._store.claim(claim.key, claim.value, CLAIM_TTL_MS)

    async def return_record(self, claim: Claim) -> None:
        """Give a record back to the unfinished job from which it was taken by force: no other job was made.

        A claim that was not taken by force stays: whoever comes next makes the job under it, and others that met it
        may be about to.
        """
        if claim.instead_of is not None and await self.find(claim.job_id) is None:
            await self._store.release(claim.key, claim.value)
            await self._store.claim(claim.key, claim.instead_of, CLAIM_TTL_MS)

    async def find(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none."""
        try:
            return await self._store.get(job_id)
        except JobNotFound:
            return None

    def new_id(self) -> str:
        """Return an id for a new job."""
        return new_job_id(self._clock())

    def _is_forgotten(self, job_id: str) -> bool:
        _, _, rest = job_id.partition("_")
        made_at = rest.partition("_")[0]
        return made_at.isdecimal() and self._clock() - int(made_at) > FORGOTTEN_AFTER_MS


def _contended(field: str) -> ApiError:
    return ApiError(503, "contended", f"{field}: too many at once; try again in a second", headers={"Retry-After": "1"})
