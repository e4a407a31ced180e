"""Two checkouts run side by side, and a restart finds its ports again."""

from __future__ import annotations

import socket
from pathlib import Path

from deploy.embedded.part import HOST
from deploy.embedded.ports import free_ports, is_free, read_ports, settle_ports


def listen() -> socket.socket:
    server = socket.socket()
    server.bind((HOST, 0))
    server.listen()
    return server


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with listen() as server:
        assert not is_free(server.getsockname()[1])


def test_the_preferred_port_is_used_when_it_is_free(tmp_path: Path) -> None:
    [port] = free_ports(1)
    assert settle_ports(tmp_path / "ports.json", {"s3": port}) == {"s3": port}


def test_a_preferred_port_of_zero_asks_for_any(tmp_path: Path) -> None:
    assert settle_ports(tmp_path / "ports.json", {"s3": 0})["s3"] > 0


def test_a_restart_uses_the_same_ports(tmp_path: Path) -> None:
    first = settle_ports(tmp_path / "ports.json", {"s3": 0, "kafka": 0})
    assert settle_ports(tmp_path / "ports.json", {"s3": 9000, "kafka": 9092}) == first


def test_a_port_that_somebody_else_took_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    with listen() as server:
        taken = server.getsockname()[1]
        [other] = free_ports(1)
        settled = settle_ports(file, {"s3": taken, "kafka": other})
    assert settled["s3"] != taken
    assert settled["kafka"] == other
    assert read_ports(file) == settled
