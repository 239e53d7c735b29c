"""For tests of code that works with sparsewatch: a broker in memory, a window without Beam, golden files.

`FakeBroker` stands in for Kafka, `SimulatedClock` for time; `EmbeddedBroker` is a real broker in a process of its own.
`run_window` measures and concludes a window without Beam, `golden` compares stored bytes with a golden file.
Our own tests use the same. See docs/testing.md.
"""

from typing import TYPE_CHECKING

from sparsewatch.lazy_names import lazy_names

if TYPE_CHECKING:
    from sparsewatch.testing.broker import FakeBroker as FakeBroker
    from sparsewatch.testing.broker_state import Call as Call
    from sparsewatch.testing.clients import FakeAdmin as FakeAdmin
    from sparsewatch.testing.clients import FakeReader as FakeReader
    from sparsewatch.testing.clients import FakeWriter as FakeWriter
    from sparsewatch.testing.clock import SimulatedClock as SimulatedClock
    from sparsewatch.testing.embedded_broker import EmbeddedBroker as EmbeddedBroker
    from sparsewatch.testing.golden import golden as golden
    from sparsewatch.testing.topic import FakeRecord as FakeRecord
    from sparsewatch.testing.windows import run_window as run_window
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
