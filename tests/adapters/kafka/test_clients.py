"""Attempts to reach a broker that is away leave no thread behind, however many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.adapters.kafka.lag import KafkaLagReader
from datafingerprint.config import Kafka, load_settings
from datafingerprint.errors import Unavailable
from deploy.embedded.ports import free_ports

WAYS: dict[str, Callable[[Kafka], object]] = {
    "admin": kafka_clients.admin,
    "consumer": lambda kafka: kafka_clients.consumer(kafka, None),
    "producer": lambda kafka: kafka_clients.producer(kafka, "x"),
    "plain producer": kafka_clients.plain_producer,
    "lag": lambda kafka: KafkaLagReader(kafka).messages(),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_an_attempt_that_fails_says_why_and_leaves_no_thread(way: str) -> None:
    before = threading.active_count()
    kafka = load_settings({}, {"DFP_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_ports(1)[0]}", "DFP_KAFKA_TIMEOUT_S": "0.2"})
    with pytest.raises(Unavailable, match="ECONNREFUSED"):
        WAYS[way](kafka.kafka)
    assert threading.active_count() == before
