"""The stream of the soak: events at a steady rate, some out of order, late or broken."""

import json
import random
import threading
import time
from dataclasses import dataclass, field

from kafka import KafkaProducer

DISORDER_S = 1


@dataclass
class Stream(threading.Thread):
    """Writes events at a steady rate, stamped with the clock: some out of order, late or broken."""

    bootstrap: str
    rate: int
    seconds: float
    partitions: int
    dirty: bool
    seed: int
    #: Partitions of the topic; of them only the first `partitions` are written, and `extra`.
    topic_partitions: int = 3
    #: A partition that was added while the stream ran.
    extra: int | None = None
    sent: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        threading.Thread.__init__(self, daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Send until the time is up."""
        rng = random.Random(self.seed)
        # A partition that is added is seen, and written to, within a second.
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap, linger_ms=10, compression_type="lz4", metadata_max_age_ms=1000
        )
        start, total = time.time(), int(self.rate * self.seconds)
        while self.sent < total:
            due = min(int((time.time() - start) * self.rate), total)
            known = producer.partitions_for("soak")
            places = [*range(self.partitions), *([self.extra] if self.extra in known else [])]
            for _ in range(due - self.sent):
                producer.send("soak", self._event(rng, time.time()), partition=places[self.sent % len(places)])
                self.sent += 1
            time.sleep(0.02)
        producer.flush()
        producer.close()
        self.done.set()

    def _event(self, rng: random.Random, now: float) -> bytes:
        if self.dirty:
            luck = rng.random()
            if luck < 0.005:
                return b"{broken"
            if luck < 0.015:
                now -= rng.uniform(8, 20)
            elif luck < 0.3:
                now -= rng.random() * 0.9 * DISORDER_S
        ad = rng.randrange(30)
        return json.dumps(
            {
                "t": round(now * 1000),
                "ad": ad,
                "site": f"s{rng.randrange(200)}",
                "user": rng.randrange(3000),
                "hour": rng.randrange(24),
                "device": rng.choice(["a", "b", None]),
                "mobile": rng.random() < 0.5,
                "label": int(rng.random() < 0.02 + 0.005 * ad),
            }
        ).encode()
