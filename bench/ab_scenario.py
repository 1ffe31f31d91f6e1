"""What happens in `./dev bench ab`: the service, the load, the phases, and what has to be reached."""
from dataclasses import dataclass

ENDPOINTS = 4
SLOTS = 4  # calls that an endpoint works on at once
SERVICE_US = 10_000  # mean time of that work
CAPACITY = ENDPOINTS * SLOTS * 1_000_000 / SERVICE_US  # calls/s of all endpoints together
DEADLINE_MS = 1000
SLO_MS = 200  # slower calls count as bad for the time to protect
FAULT_ENDPOINT, FAULT_MS = ENDPOINTS - 1, 300
NORMAL_LOAD, OVERLOAD = 0.5, 2.0  # of the capacity
PRIORITIES = {2: "high", 1: "normal", 0: "low"}
TENANTS = ("gold", "silver")

# Protected: of so many calls in a row, over at least that time, at most that share is bad. So many, since an endpoint
# that is sick gets few calls from a balancer that counts those in progress: half a second without one proves nothing.
QUIET_CALLS, QUIET_S, QUIET_SHARE = 1000, 0.5, 0.001

PROTECT_MS = 110
AVAILABILITY = 0.9997
HEALTHY_ERRORS_PPM = 10_000

SHAPES = {
    "early": "headers at once, UNAVAILABLE in trailers after it",
    "late": "headers and UNAVAILABLE in trailers after it",
}


@dataclass(frozen=True)
class Phase:
    name: str
    seconds: float
    load: float = NORMAL_LOAD  # of the capacity
    fault: str = ""  # its shape; empty: all endpoints are well

    @property
    def rate(self):
        return self.load * CAPACITY

    @property
    def has_onset(self):
        """Something goes wrong when it begins."""
        return bool(self.fault) or self.load > 1

    def title(self):
        what = f"{self.seconds:g} s, {self.rate:.0f} calls/s = {self.load:g} x capacity"
        if self.fault:
            what += f"; endpoint {FAULT_ENDPOINT} of {ENDPOINTS}: +{FAULT_MS} ms, {SHAPES[self.fault]}"
        return f"{self.name}: {what}"


QUICK = [Phase("warm", 4), Phase("fault", 8, fault="early"), Phase("heal", 6), Phase("overload", 8, OVERLOAD),
         Phase("calm", 4)]
FULL = [Phase("warm", 10), Phase("fault", 20, fault="early"), Phase("heal", 15), Phase("late fault", 20, fault="late"),
        Phase("heal again", 15), Phase("overload", 20, OVERLOAD), Phase("calm", 10)]


def healthy(minutes):
    return [Phase("healthy", minutes * 60)]
