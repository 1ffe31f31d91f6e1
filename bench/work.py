"""What is measured: the rows of the table, and the figures they have to reach."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Unary gRPC calls in a closed loop. `paths` is the number of different :path values, used in turn."""
    key: str
    title: str
    message_bytes: int
    connections: int
    streams: int
    paths: int = 1
    warm_calls: int = 2000
    least_logged: int = 1000


@dataclass(frozen=True)
class Target:
    """fusegate's figure, and the peers' figures taken beside it on one machine. Machines differ, so what is checked is
    fusegate's ratio to a peer that ran in the same run."""
    figure: float
    beside: dict = field(default_factory=dict)


WORKS = [
    Work("a", "64 B unary, 10 x 32", 64, 10, 32, warm_calls=5000),
    Work("a-varied", "same, 20,000 different :path", 64, 10, 32, paths=20000, warm_calls=20000),
    Work("b", "64 B unary, 64 x 1", 64, 64, 1),
    Work("c", "64 KB echo, 10 x 8", 64 * 1024, 10, 8, warm_calls=400),
]
IDLE_KEYS = {"idle": "idle connection, resident bytes", "idle-called": "same, after one call each"}

# CPU microseconds per call, and resident bytes per connection.
TARGETS = {
    "a": Target(2.0, {"forwarder": 1.1, "nghttpx": 8.2, "haproxy": 22, "nginx": 39, "envoy": 39}),
    "a-varied": Target(2.5, {"forwarder": 1.19}),
    "b": Target(12, {"forwarder": 16, "nghttpx": 24, "haproxy": 32, "nginx": 48, "envoy": 76}),
    "c": Target(63, {"forwarder": 55, "nghttpx": 144, "nginx": 184, "envoy": 193, "haproxy": 259}),
    "idle": Target(2000, {}),  # memory does not vary with the machine: checked as it is
}
TOLERANCE = 1.3
POLICIES_ROW, POLICIES_US = "a", 0.5  # what all policies together may add to a call
BACKEND_LIMIT_US = 3.0
DISTURBED_SHARE = 0.05  # of the gateway's core, used by others during a run
