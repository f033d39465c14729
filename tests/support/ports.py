"""Free ports for servers that the tests start."""

import itertools
import os
import random
import socket

LOWEST, EACH = 20_000, 1_500
"""Below those that systems give to outgoing connections, which could take a port before its server listens. Every
process of a parallel run has ports of its own: two of them would sometimes find the same one free, and the tests of
one would talk to the servers of the other."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_begin = random.SystemRandom().randrange(EACH)
_ports = itertools.cycle(range(LOWEST + _worker * EACH, LOWEST + (_worker + 1) * EACH))
_next = itertools.islice(_ports, _begin, None)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment, and that was not returned lately."""
    for port in _next:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # somebody does
    raise AssertionError("the ports never end")
