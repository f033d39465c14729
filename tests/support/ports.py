"""Free ports for servers that the tests start."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below those that systems give to outgoing connections, which could take a port before its server listens."""

_random = random.SystemRandom()


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    while True:
        port = _random.randrange(LOWEST, HIGHEST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # somebody does
