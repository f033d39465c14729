"""Three RabbitMQ nodes on one machine that form a cluster, to be killed one by one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.rabbit import RabbitServer
from tests.support.waiting import eventually

NAMES = ("one", "two", "three")
FORMING_S = 90.0


class RabbitCluster:
    """A cluster of three; queues of it have a member on each."""

    def __init__(self, folder: Path) -> None:
        self.nodes: dict[str, RabbitServer] = {}
        first: RabbitServer | None = None
        for name in NAMES:
            (folder / name).mkdir()
            self.nodes[name] = RabbitServer(folder / name, name=name, beside=first)
            first = first or self.nodes[name]

    def url(self, vhost: str) -> str:
        """All nodes, as `RABBITMQ_URL` takes them."""
        return ",".join(node.url(vhost) for node in self.nodes.values())

    async def start(self) -> None:
        """Start the nodes and make a cluster of them."""
        first, *others = self.nodes.values()
        self.start_nodes(*self.nodes)
        for node in others:
            node.join(first)

        async def formed() -> bool:
            return first.members() == set(NAMES)

        await eventually(formed, "a cluster of three", FORMING_S)

    def start_nodes(self, *names: str) -> None:
        """Start nodes at the same time: one that was killed waits for the others."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self.nodes[name].start(), names))

    def close(self) -> None:
        """End all of it."""
        for node in reversed(self.nodes.values()):
            node.close()
