"""A private redis-server on a free loopback port, durable, to be killed, frozen and restarted at will."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import until_serves

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


class RedisServer:
    """One redis-server process with an append-only file that is synced with every write.

    Args:
        folder: for its data and its log; keeps the data over `kill` and `start`.
        options: further command-line options, such as `--requirepass secret`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start on the known port and return once it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed; `make test` installs it"
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)),
                    *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
            )
        until_serves("redis-server", self._process, self._answers, self._folder / "redis.log", START_TIMEOUT_S)

    def stop(self) -> None:
        """End it in order; nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from running without closing its connections."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._running.send_signal(signal.SIGCONT)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "redis-server was not started"
        return self._process

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                reply = connection.recv(64)
        except OSError:
            return False
        # A server that asks for a password is up as well; one that still loads its file is not.
        return reply.startswith((b"+PONG", b"-NOAUTH"))
