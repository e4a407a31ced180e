"""The embedded parts are real servers: they do their work, and keep their data through kill -9."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.embedded.stack import EmbeddedStack

pytestmark = pytest.mark.live

TOPIC = "dfp.test"


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("stack"), request.config.getoption("--source")) as running:
        yield running


def query(stack: EmbeddedStack, sql: str) -> list[tuple[object, ...]]:
    with stack.blueprint.warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        connection.commit()
        return list(cursor.fetchall())


def create_topic(stack: EmbeddedStack) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stack.blueprint.kafka.bootstrap)
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def produce(stack: EmbeddedStack, *values: bytes) -> None:
    """In one transaction, as capture does."""
    producer = KafkaProducer(bootstrap_servers=stack.blueprint.kafka.bootstrap, transactional_id="test", acks="all")
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(TOPIC, value)
        producer.commit_transaction()
    finally:
        producer.close()


def consume(stack: EmbeddedStack, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=stack.blueprint.kafka.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=20_000,
    )
    try:
        consumer.assign([TopicPartition(TOPIC, 0)])
        return [message.value for _, message in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def put(stack: EmbeddedStack, key: str, body: bytes) -> None:
    client = stack.blueprint.s3.client()
    client.put_object(Bucket=stack.blueprint.s3.bucket, Key=key, Body=body)
    client.close()


def get(stack: EmbeddedStack, key: str) -> bytes:
    client = stack.blueprint.s3.client()
    with client.get_object(Bucket=stack.blueprint.s3.bucket, Key=key)["Body"] as body:
        content = body.read()
    client.close()
    return content


def test_the_warehouse_logs_whole_rows_and_keeps_them_through_a_kill(stack: EmbeddedStack) -> None:
    settings = query(stack, "SELECT @@binlog_format, @@binlog_row_metadata, @@binlog_row_image, @@sync_binlog")
    assert settings == [("ROW", "FULL", "FULL", 1)]
    query(stack, "CREATE DATABASE ootp")
    query(stack, "CREATE TABLE ootp.t (id INT PRIMARY KEY)")
    before = stack.blueprint.warehouse.gtid()
    query(stack, "INSERT INTO ootp.t VALUES (7)")
    after = stack.blueprint.warehouse.gtid()
    assert before != after

    stack.kill("source")
    stack.start_part("source")

    assert query(stack, "SELECT id FROM ootp.t") == [(7,)]
    assert stack.blueprint.warehouse.gtid() == after


def test_the_account_may_read_the_binlog_and_the_positions(stack: EmbeddedStack) -> None:
    assert query(stack, "SHOW BINARY LOGS")
    assert stack.blueprint.warehouse.gtid()


def test_the_administrator_comes_through_the_socket(stack: EmbeddedStack) -> None:
    with stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE elsewhere")
        cursor.execute("SET GLOBAL max_connections = 200")


def test_the_broker_commits_transactions_and_keeps_them_through_a_kill(stack: EmbeddedStack) -> None:
    create_topic(stack)
    produce(stack, b"one", b"two")
    assert consume(stack, 2) == [b"one", b"two"]

    stack.kill("kafka")
    stack.start_part("kafka")

    produce(stack, b"three")
    assert consume(stack, 3) == [b"one", b"two", b"three"]


def test_the_object_store_keeps_objects_through_a_kill(stack: EmbeddedStack) -> None:
    put(stack, "lake/a.parquet", b"columns")
    assert get(stack, "lake/a.parquet") == b"columns"

    stack.kill("s3")
    stack.start_part("s3")

    assert get(stack, "lake/a.parquet") == b"columns"


def test_a_stack_started_again_on_its_directory_finds_everything(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path) as first:
        query(first, "CREATE DATABASE ootp")
        create_topic(first)
        put(first, "k", b"v")
        environment = first.environment()
    with EmbeddedStack(tmp_path) as second:
        assert second.environment() == environment
        assert query(second, "SHOW DATABASES LIKE 'ootp'") == [("ootp",)]
        assert consume(second, 0) == []
        assert get(second, "k") == b"v"


def test_no_process_is_left_after_a_stop(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path) as stack:
        running = [process.pid for process in stack._processes.values()]
        assert len(running) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)
