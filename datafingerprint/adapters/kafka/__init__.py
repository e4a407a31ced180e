"""Kafka: epochs, definitions, lake commits and requests, published and read."""
