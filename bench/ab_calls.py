"""What became of the calls: the records of ab_load, and the figures made of them. README.md defines the figures."""
import bisect
import struct
from collections import Counter
from dataclasses import dataclass

import ab_scenario as scenario

RECORD = struct.Struct("<QIBBBB")  # struct record in ab_load.c
OK, NO_ENDPOINT = 0, 255
NAMES = {0: "OK", 1: "CANCELLED", 2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 8: "RESOURCE_EXHAUSTED", 12: "UNIMPLEMENTED",
         13: "INTERNAL", 14: "UNAVAILABLE", 20: "reset", 21: "connection lost", 22: "not sent", 23: "no status",
         24: "no answer in time"}
STATUSES = range(17)


@dataclass(frozen=True)
class Call:
    start_ns: int
    took_us: int
    phase: int
    priority: int
    tenant: int
    code: int
    endpoint: int

    @property
    def ok(self):
        return self.code == OK and self.took_us <= scenario.DEADLINE_MS * 1000

    @property
    def bad(self):
        return not self.ok or self.took_us > scenario.SLO_MS * 1000


def read(path):
    """By phase, each in the order of their starts."""
    with open(path, "rb") as file:
        rows = sorted(RECORD.iter_unpack(file.read()))
    phases = {}
    tenants = len(scenario.TENANTS)
    for start_ns, took_us, phase, kind, code, endpoint in rows:
        phases.setdefault(phase, []).append(
            Call(start_ns, took_us, phase, kind // tenants, kind % tenants, code, endpoint))
    return phases


def protect(calls, onset_ns, end_ns):
    """Milliseconds from the onset to the start of the last bad call before a quiet time (None: there was none), and how
    many calls were bad after that. CALLS are in the order of their starts."""
    calls = [c for c in calls if c.start_ns >= onset_ns]
    starts = [c.start_ns for c in calls]
    bad_before = [0]  # bad ones among the first n
    for call in calls:
        bad_before.append(bad_before[-1] + call.bad)
    quiet_ns = int(scenario.QUIET_S * 1e9)
    for n in [0] + [i + 1 for i, call in enumerate(calls) if call.bad]:
        since_ns = calls[n - 1].start_ns if n else onset_ns
        until = max(n + scenario.QUIET_CALLS, bisect.bisect_right(starts, since_ns + quiet_ns))
        if until > len(calls) or since_ns + quiet_ns > end_ns:
            break
        if bad_before[until] - bad_before[n] <= scenario.QUIET_SHARE * (until - n):
            return (since_ns - onset_ns) / 1e6, bad_before[-1] - bad_before[n]
    return None, 0


def share(calls):
    return sum(c.ok for c in calls) / len(calls) if calls else None


def how_it_failed(call):
    if call.code == OK:
        return "too late"
    name = NAMES.get(call.code, f"code {call.code}")
    if call.code not in STATUSES:
        return name
    return f"{name} by {'the gateway' if call.endpoint == NO_ENDPOINT else 'an endpoint'}"


def percentile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else None


def figures(calls, phase, onset_ns, end_ns):
    """Of the calls of one phase and one priority."""
    took_ms = sorted(c.took_us / 1000 for c in calls if c.ok)
    by_tenant = {name: share([c for c in calls if c.tenant == i]) for i, name in enumerate(scenario.TENANTS)}
    result = {"offered": len(calls), "ok": sum(c.ok for c in calls), "availability": share(calls),
              "tenants": by_tenant, "p50_ms": percentile(took_ms, 0.5), "p99_ms": percentile(took_ms, 0.99),
              "slow": sum(c.ok and c.bad for c in calls),
              "failed": dict(Counter(how_it_failed(c) for c in calls if not c.ok).most_common())}
    if phase.has_onset:
        result["protect_ms"], result["bad_later"] = protect(calls, onset_ns, end_ns)
    return result


def by_priority(calls, phase, onset_ns, end_ns):
    return {name: figures([c for c in calls if c.priority == number], phase, onset_ns, end_ns)
            for number, name in scenario.PRIORITIES.items()}
