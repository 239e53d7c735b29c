"""Opens the Kafka client that a job names: kafka-python by default, `confluent-kafka` as an extra."""

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin, Reader, Writer


def open_reader(settings: KafkaSettings, topic: str, max_bytes: int) -> Reader:
    """A reader of `topic` that takes records of up to `max_bytes` and a margin."""
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentReader

        return ConfluentReader(settings, topic, max_bytes)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonReader

    return KafkaPythonReader(settings, topic, max_bytes)


def open_writer(settings: KafkaSettings) -> Writer:
    """A writer that waits for all replicas."""
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentWriter

        return ConfluentWriter(settings)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonWriter

    return KafkaPythonWriter(settings)


def open_admin(settings: KafkaSettings) -> Admin:
    """Topic administration; kafka-python serves both clients."""
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonAdmin

    return KafkaPythonAdmin(settings)
