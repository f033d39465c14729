"""Which addresses are public, and which hosts are exempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.fetch.addresses import AllowedHosts, is_public


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "",
        "localhost",
        "0x7f.1",
    ],
)
def test_everything_else_is_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_private_is_never_public(address: object) -> None:
    from ipaddress import IPv4Address

    assert isinstance(address, IPv4Address)
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        # 192.0.0.9 and .10 are anycast services on a private network's list; refusing them costs nothing.
        assert not is_public(str(address))
    assert is_public(f"::ffff:{address}") == is_public(str(address))


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("minio.local", "minio.local", 9000, True),
        ("minio.local", "MINIO.local.", 443, True),
        ("minio.local:9000", "minio.local", 9000, True),
        ("minio.local:9000", "minio.local", 9001, False),
        ("minio.local", "evil.minio.local", 80, False),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1", "localhost", 80, False),
        ("[::1]:8080", "::1", 8080, True),
        ("[0:0:0:0:0:0:0:1]", "::1", 1, True),
        ("", "anything", 80, False),
    ],
)
def test_a_host_is_exempt_by_its_name_in_the_url(entry: str, host: str, port: int, allowed: bool) -> None:
    assert AllowedHosts([entry]).allow(host, port) is allowed


@pytest.mark.parametrize("entry", ["http://minio:9000", "a b", "::1", "host:", "host:port", "*.local", "host/path"])
def test_a_malformed_exemption_names_the_variable(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="FETCH_ALLOWED_HOSTS"):
        AllowedHosts([entry])
