"""Kafka source and sinks: one small client protocol, a reader over many partitions, exact accounts."""
