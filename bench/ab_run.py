"""One run of one system: backend, gateway and load are started, faults switched, figures read, everything stopped."""
import contextlib
import json
import os
import select
import socket
import subprocess
import time

import ab_calls as calls
import ab_scenario as scenario
import processes

BEGIN_TIMEOUT_S = 10
END_TIMEOUT_S = 30  # after the last phase
CONTROL_TIMEOUT_S, CONTROL_TRIES = 0.5, 5
NICE = -10  # where that is allowed, whoever else uses the machine waits: a stall of 100 ms looks like a fault


def favour(pid):
    """The kernel schedules sessions first (sched(7), autogroup): the processes' own nice value decides within one."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write(str(NICE))


def free_ports(count):
    ports = set()
    while len(ports) < count:
        ports.add(processes.free_port())
    return list(ports)


class Backend:
    """ab_backend and its control port."""

    def __init__(self, program, core, folder, seed):
        self.control, *self.endpoints = free_ports(scenario.ENDPOINTS + 1)
        command = [program, self.control, scenario.SLOTS, scenario.SERVICE_US, seed, *self.endpoints]
        # It listens on its ports in order: the last one stands for all.
        self.server = processes.Server("backend", [str(word) for word in command], self.endpoints[-1], core, folder)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(CONTROL_TIMEOUT_S)

    def __enter__(self):
        self.server.__enter__()
        favour(self.server.pid)
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.server.stop()

    def tell(self, command):
        """The instant from which it holds, ns, and what else it says. A lost datagram is sent again: commands may be
        repeated."""
        for _ in range(CONTROL_TRIES):
            self.socket.sendto(command.encode(), ("127.0.0.1", self.control))
            with contextlib.suppress(TimeoutError):
                first, *rest = self.socket.recv(4096).decode().split()
                return int(first), [int(word) for word in rest]
        raise RuntimeError(f"the backend does not answer to {command!r}")

    def set_fault(self, shape):
        return self.tell(f"fault {scenario.FAULT_ENDPOINT} {shape or 'none'} {scenario.FAULT_MS if shape else 0}")[0]

    def stats(self):
        _, numbers = self.tell("stats")
        return [dict(zip(("taken", "served", "failed", "gone"), numbers[i:i + 4])) for i in range(0, len(numbers), 4)]


class Load:
    """ab_load. Use as a context manager: it is stopped at the end, however that comes."""

    def __init__(self, program, core, folder, port, seed, phases):
        os.makedirs(folder, exist_ok=True)
        self.records = os.path.join(folder, "calls")
        self.log = open(os.path.join(folder, "load.log"), "w")
        command = ["taskset", "-c", core, program, port, seed, scenario.DEADLINE_MS, self.records,
                   *[f"{p.seconds}:{p.rate}" for p in phases]]
        self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=self.log, text=True,
                                      preexec_fn=processes.die_with_parent, start_new_session=True)
        favour(self.child.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.log.close()

    def begin_ns(self):
        readable, _, _ = select.select([self.child.stdout], [], [], BEGIN_TIMEOUT_S)
        words = self.child.stdout.readline().split() if readable else []
        if len(words) != 2 or words[0] != "begin":
            raise RuntimeError(f"the load does not begin: no connection to the gateway? See {self.log.name}")
        return int(words[1])

    def end(self):
        """What it says of itself."""
        try:
            text, _ = self.child.communicate(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the load does not end: see {self.log.name}") from None
        if self.child.returncode != 0:
            raise RuntimeError(f"the load failed: see {self.log.name}")
        return json.loads(text)


def sleep_until(instant_ns):
    time.sleep(max(0, instant_ns - time.monotonic_ns()) / 1e9)


def switch_faults(phases, begin_ns, backend, system):
    """Goes through the phases as they pass. The instant at which each began, and the system's counters at its end."""
    onsets, counters, end_ns, fault = [], [], begin_ns, ""
    for phase in phases:
        sleep_until(end_ns)
        onsets.append(end_ns)
        if phase.fault != fault:
            onsets[-1] = backend.set_fault(phase.fault)
            fault = phase.fault
        end_ns += int(phase.seconds * 1e9)
        sleep_until(end_ns - 50_000_000)
        counters.append(system.counters())
    return onsets, counters, end_ns


def run(system, program, phases, tools, cores, folder, seed, errors_ppm):
    """All figures of one system. TOOLS: paths of ab_backend and ab_load; CORES: the gateway's, and everybody else's."""
    gateway_core, load_core = cores
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as running:
        backend = running.enter_context(Backend(tools[0], load_core, folder, seed))
        backend.tell(f"errors {errors_ppm}")
        port = processes.free_port()
        command = system.configure(program, folder, port, backend.endpoints)
        gateway = running.enter_context(processes.Server(system.name, command, port, gateway_core, folder))
        favour(gateway.pid)
        load = running.enter_context(Load(tools[1], load_core, folder, port, seed, phases))
        begin_ns = load.begin_ns()
        onsets, counters, end_ns = switch_faults(phases, begin_ns, backend, system)
        said = load.end()
        endpoints, events = backend.stats(), system.events()
    rows = calls.read(load.records)
    os.unlink(load.records)
    ends = [begin_ns + int(sum(p.seconds for p in phases[:i + 1]) * 1e9) for i in range(len(phases))]
    return {"load": said, "endpoints": endpoints, "events": events, "dropped": sorted(getattr(system, "dropped", ())),
            "phases": {phase.name: {"counters": counters[i],
                                    "priorities": calls.by_priority(rows.get(i, []), phase, onsets[i], ends[i])}
                       for i, phase in enumerate(phases)}}
