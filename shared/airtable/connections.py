"""Connections that can be cut from another thread, so that a hanging call does not hold up a shutdown."""

import contextlib
import socket
import threading
from typing import Any, ClassVar
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class OpenConnections:
    """The connections of some adapters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()

    def add(self, connection: HTTPConnection) -> None:
        """Note a connection that was just made."""
        with self._lock:
            self._open.add(connection)

    def cut(self) -> None:
        """End all connections; whoever waits for an answer on one gets a connection error at once."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            if isinstance(connection.sock, socket.socket):
                with contextlib.suppress(OSError):  # it ended by itself meanwhile
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


class CuttableAdapter(HTTPAdapter):
    """Sends requests without retries of its own, over connections that are noted in `open_connections`."""

    def __init__(self, open_connections: OpenConnections) -> None:
        noted = {"open_connections": open_connections}
        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": type("Connection", (_Http,), noted)}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": type("Connection", (_Https,), noted)}),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of this adapter; called by requests."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools


class _Http(HTTPConnection):
    open_connections: ClassVar[OpenConnections]

    def connect(self) -> None:
        super().connect()
        self.open_connections.add(self)


class _Https(HTTPSConnection):
    open_connections: ClassVar[OpenConnections]

    def connect(self) -> None:
        super().connect()
        self.open_connections.add(self)
