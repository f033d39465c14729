"""Publishing to RabbitMQ: persistent, mandatory, confirmed, and never without a time-out."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, HeadersType
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError

from shared.bus.observer import BusObserver
from shared.bus.rabbit_channel import Lane
from shared.bus.rabbit_errors import Unroutable, broker_call
from shared.bus.rabbit_link import Link
from shared.bus.rabbit_topology import DELAY_HEADER, Topology
from shared.bus.wire import Stamp, encode, new_uid
from shared.clock import Clock
from shared.errors import PublishFailed
from shared.events import CONTENT_TYPE, Event

_MOURNING_S = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """What is repeated of an event in AMQP properties, for people who look at queues."""

    event_id: str
    type: str
    job_id: str

    @classmethod
    def of(cls, event: Event) -> "Identity":
        """Take it from the event."""
        return cls(event.id, event.type, event.subject)


class Publisher:
    """Puts messages into the exchange, the delay queues, work queues and dead letters."""

    def __init__(self, link: Link, topology: Topology, observer: BusObserver, clock: Clock) -> None:
        self._link = link
        self._topology = topology
        self._observer = observer
        self._clock = clock
        self._lane = Lane(link.connection)
        self._quick_lane = Lane(link.connection, confirms=False)
        # aiormq finds the publish that a returned message belongs to by its message id alone, so an id must not be
        # in flight twice on a channel. The id of a publish that timed out stays taken as long as its channel lives.
        self._taken: set[str] = set()
        self._taken_on: AbstractChannel | None = None

    async def publish(self, event: Event, timeout_s: float, *, transient: bool = False) -> None:
        """Return once every interested queue has stored `event`, or, if `transient`, once it is sent.

        Raises:
            PublishFailed: otherwise; ambiguous.
        """
        stamp = Stamp.fresh(self._clock())
        try:
            with broker_call(f"{event.id} may not have been published"):
                async with asyncio.timeout(timeout_s):
                    if transient:
                        await self._publish_transient(event, stamp)
                    else:
                        await self._publish(event, stamp)
        except Unroutable:
            self._observer.published(event.name, "unroutable")
            raise
        except PublishFailed:
            self._observer.published(event.name, "failed")
            raise
        self._observer.published(event.name, "ok")

    async def put(self, queue: str, body: bytes, identity: Identity, headers: HeadersType, timeout_s: float) -> None:
        """Put a message into this one queue."""
        await self._send("", queue, body, identity, headers, timeout_s)

    async def delay(
        self, queue: str, body: bytes, identity: Identity, stamp: Stamp, delay_ms: int, timeout_s: float
    ) -> None:
        """Let a message wait for `delay_ms`, one of the topology's delays, before it comes to `queue`."""
        headers: HeadersType = {**stamp.headers(), DELAY_HEADER: str(delay_ms)}
        await self._send(self._topology.delay_exchange, queue, body, identity, headers, timeout_s)

    async def close(self) -> None:
        """Close the channels."""
        await self._lane.close()
        await self._quick_lane.close()

    async def _publish(self, event: Event, stamp: Stamp) -> None:
        body, identity, key = encode(event), Identity.of(event), str(event.name)
        for last in (False, True):
            try:
                await self._put(self._topology.exchange, key, body, identity, {**stamp.headers()})
            except (PublishError, ChannelNotFoundEntity):
                if last or not self._topology.routes(event.name):
                    raise
                # Somebody deleted a queue or the exchange under us. Its consumers must hear of that before it exists
                # again, or RabbitMQ 3.10 hands the new queue's messages to them in vain (measured).
                await asyncio.sleep(_MOURNING_S)
                await self._link.redeclare()
            else:
                return

    async def _publish_transient(self, event: Event, stamp: Stamp) -> None:
        identity = Identity.of(event)
        message = self._message(
            encode(event), identity, {**stamp.headers()}, DeliveryMode.NOT_PERSISTENT, identity.event_id
        )
        channel = await self._quick_lane.channel()
        exchange = await channel.get_exchange(self._topology.exchange, ensure=False)
        await exchange.publish(message, str(event.name), mandatory=False)

    async def _send(
        self, exchange: str, key: str, body: bytes, identity: Identity, headers: HeadersType, timeout_s: float
    ) -> None:
        with broker_call(f"{identity.event_id} may not have been put into {key}"):
            async with asyncio.timeout(timeout_s):
                await self._put(exchange, key, body, identity, headers)

    async def _put(self, exchange: str, key: str, body: bytes, identity: Identity, headers: HeadersType) -> None:
        async with self._lane.used() as channel:
            if channel is not self._taken_on:
                self._taken, self._taken_on = set(), channel
            taken = self._taken
            message_id = identity.event_id
            if message_id in taken:
                message_id = f"{message_id}#{new_uid()}"
            taken.add(message_id)
            message = self._message(body, identity, headers, DeliveryMode.PERSISTENT, message_id)
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            try:
                await target.publish(message, key, mandatory=True)
            except DeliveryError as error:
                taken.discard(message_id)
                if not isinstance(error, PublishError):
                    # RabbitMQ 3.10 goes on refusing what comes on a channel that first met a queue while its leader
                    # was being elected (measured: for as long as the channel lived).
                    self._lane.leave(channel)
                raise
            taken.discard(message_id)

    def _message(
        self, body: bytes, identity: Identity, headers: HeadersType, mode: DeliveryMode, message_id: str
    ) -> Message:
        return Message(
            body,
            headers=headers,
            content_type=CONTENT_TYPE,
            delivery_mode=mode,
            message_id=message_id,
            correlation_id=identity.job_id,
            type=identity.type,
            timestamp=datetime.fromtimestamp(self._clock() / 1000, UTC),
        )
