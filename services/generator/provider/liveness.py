"""What the answer to an order with an empty `input` says about a model. Pure."""

from services.generator.provider.outcomes import (
    CreateOutcome,
    Declined,
    ErrorCode,
    Liveness,
    ModelHealth,
    Taken,
    Unknown,
)

NO_FREE_PROBE = "it has no required input, so asking might buy a clip; the first order will tell"

_BY_CODE = {
    ErrorCode.INVALID_INPUT: Liveness.ALIVE,
    ErrorCode.MODEL_PAUSED: Liveness.PAUSED,
    ErrorCode.MAINTENANCE: Liveness.PAUSED,
    ErrorCode.MODEL_UNKNOWN: Liveness.WITHDRAWN,
    ErrorCode.DISABLED: Liveness.WITHDRAWN,
}


def health_of(model: str, outcome: CreateOutcome) -> ModelHealth:
    """Return the health of a model that answered like this to an empty order."""
    match outcome:
        case Taken(task_id):
            return ModelHealth(model, Liveness.ALIVE, f"it took even an empty order (task {task_id})")
        case Declined(error):
            liveness = _BY_CODE.get(error.code, Liveness.UNCLEAR)
            note = "it takes orders" if liveness is Liveness.ALIVE else f"{error.message}: {error.remedy}"
            return ModelHealth(model, liveness, note)
        case Unknown(reason):
            return ModelHealth(model, Liveness.UNCLEAR, reason)
