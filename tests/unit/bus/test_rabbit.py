import pytest

from shared.bus.rabbit import parse_urls
from shared.bus.rabbit_topology import delay_arguments, work_arguments
from shared.errors import ConfigurationError


def test_urls_come_as_a_list_or_separated_by_commas() -> None:
    assert [u.host for u in parse_urls("amqp://a:5672/v, amqps://u:p@b/")] == ["a", "b"]
    assert [u.host for u in parse_urls(["amqp://a"])] == ["a"]


@pytest.mark.parametrize("bad", ["", ",", "http://u:geheim@a", "amqp://", "localhost:5672", "amqp://u:geheim@a:port/"])
def test_a_bad_url_is_named_without_repeating_it(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="RABBITMQ_URL") as caught:
        parse_urls(bad)
    assert "geheim" not in str(caught.value)


def test_queues_are_quorum_queues_and_never_lose_by_the_brokers_own_counter() -> None:
    for arguments in (work_arguments("q"), delay_arguments(250)):
        assert arguments["x-queue-type"] == "quorum"
    assert int(work_arguments("q")["x-delivery-limit"]) > 20
    assert work_arguments("q")["x-dead-letter-routing-key"] == "q.dead"
