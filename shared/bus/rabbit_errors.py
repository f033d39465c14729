"""Turning all that a broken broker can make aio-pika raise into one error of ours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError, PublishError

from shared.bus.outcomes import describe
from shared.cancellation import cancellations, heeding_cancellation
from shared.errors import PublishFailed


class Unroutable(PublishFailed):
    """The broker returned the message: no queue wants it."""


@contextmanager
def broker_call(what: str) -> Iterator[None]:
    """Wrap calls of the broker; `what` begins the error's message.

    Raises:
        PublishFailed: anything went wrong, be it a time-out, a closed channel or a `CancelledError` that nobody
            asked for. Only a cancellation of the running task passes as it is.
    """
    cancelled_before = cancellations()
    try:
        with heeding_cancellation():
            yield
    except PublishFailed:
        raise
    except PublishError as error:
        raise Unroutable(f"{what}: no queue is bound for it") from error
    except DeliveryError as error:
        raise PublishFailed(f"{what}: the broker refused it ({error})") from error
    except TimeoutError as error:
        raise PublishFailed(f"{what}: no answer from the broker in time") from error
    except ChannelPreconditionFailed as error:
        raise PublishFailed(
            f"{what}: {describe(error)}; delete what an older version declared, or use another virtual host"
        ) from error
    except asyncio.CancelledError as error:
        if cancellations() > cancelled_before:
            raise
        raise PublishFailed(f"{what}: the connection was lost") from error
    except Exception as error:
        raise PublishFailed(f"{what}: {describe(error)}") from error
