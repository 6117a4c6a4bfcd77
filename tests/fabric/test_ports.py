"""Ports that nobody else is given."""

import socket

from eddy.fabric.ports import free_port


def test_nobody_gets_one_twice_and_none_is_of_those_that_the_system_gives_away() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
    with socket.create_server(("127.0.0.1", 0)) as ephemeral:
        given = ephemeral.getsockname()[1]
    assert max(ports) < given


def test_one_that_somebody_listens_at_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        assert taken.getsockname()[1] not in {free_port() for _ in range(500)}
