"""Free ports differ from each other and can be bound."""

import socket

from benchmarks.common.free_ports import free_addresses, free_ports


def test_ports_differ_and_are_free():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as one:
        one.bind(("127.0.0.1", ports[0]))
        assert one.getsockname()[1] == ports[0]


def test_addresses_are_of_this_machine():
    host, _, port = free_addresses(1)[0].partition(":")
    assert host == "127.0.0.1"
    assert 0 < int(port) < 2**16
