#!/usr/bin/python3
"""Compares gateways side by side: CPU time per call, calls per second, latency, memory of idle connections.
README.md says how to read the result."""
import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import sys
import time

import idle
import load
import measure
import peers
import processes
import report
import work

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
OUT = os.path.join(HERE, "out")
SETTLE_S = 0.3  # a gateway's own timers free or allocate a little after the last byte
LATENCY_SHARE = 4  # of the measured calls: a quarter, at least a row's `least_logged`
BACKEND_WORK = work.WORKS[0]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many runs counts (default 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run (default 2)")
    parser.add_argument("--idle-connections", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="one short round, for CI: about a minute")
    parser.add_argument("--only", type=names, help="rows: " + ",".join(all_rows()))
    parser.add_argument("--peers", type=names, help="of " + ",".join(p.name for p in peers.PEERS))
    parser.add_argument("--json", metavar="FILE", help="also write every figure there")
    parser.add_argument("--check", action="store_true", help=f"fail where a target is missed by more than a factor of "
                        f"{work.TOLERANCE}")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build folder (default build)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.idle_connections = 1, 0.5, 500
    for chosen, known in ((options.only, all_rows()), (options.peers, [p.name for p in peers.PEERS])):
        for name in chosen or []:
            if name not in known:
                parser.error(f"{name} is none of {', '.join(known)}")
    return options


def names(text):
    return [name for name in text.split(",") if name]


def all_rows():
    return [w.key for w in work.WORKS] + list(work.IDLE_KEYS)


def cores():
    """The gateway's core, and the one that load generator and backend share."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: two cores are needed")
    return allowed[-1], allowed[0]


def find_peers(options, kinds):
    found, absent = [], {}
    for kind in kinds:
        if options.peers and kind.name not in options.peers:
            continue
        peer = kind(ROOT, OUT, os.path.abspath(options.build))
        try:
            found.append((peer, peer.find()))
        except peers.Absent as reason:
            absent[kind.name] = str(reason)
    return found, absent


class Bench:
    def __init__(self, options):
        self.options = options
        self.gateway_core, self.load_core = cores()
        self.generator = load.Generator(self.load_core, os.path.join(OUT, "run", "load"))
        self.backend_port = processes.free_port()
        self.backend_name, self.backend = peers.backend_command(os.path.abspath(options.build), self.backend_port)

    def start_backend(self):
        folder = os.path.join(OUT, "run", "backend")
        return processes.Server("backend", self.backend, self.backend_port, self.load_core, folder)

    def start(self, peer, program):
        folder = os.path.join(OUT, "run", peer.name)
        os.makedirs(folder, exist_ok=True)
        port = processes.free_port()
        command = peer.command(program, folder, port, self.backend_port)
        return processes.Server(peer.name, command, port, self.gateway_core, folder)

    def wanted(self, key):
        return not self.options.only or key in self.options.only

    def calls(self, row, server):
        """Warms up until the rate is known; the number of calls that take about the time of one run."""
        calls, needed_s = row.warm_calls, min(0.3, self.options.seconds / 2)
        while True:
            result = self.generator.run(row, server.port, calls)
            if result.problem or calls >= result.calls_per_s * needed_s:
                break
            calls = int(result.calls_per_s * needed_s * 1.5) + 1
        return result, max(row.connections * row.streams, int(result.calls_per_s * self.options.seconds))

    def run(self, row, server, calls):
        """One measured run: a dict of figures. Latencies come from a shorter run after it: writing them down costs the
        load generator a third of its rate."""
        pids = server.pids()
        busy, cpu = measure.core_busy_ns(self.gateway_core), measure.cpu_ns(pids)
        result = self.generator.run(row, server.port, calls)
        cpu = measure.cpu_ns(pids) - cpu
        busy = measure.core_busy_ns(self.gateway_core) - busy
        if result.problem:
            return {"problem": result.problem}
        logged = self.generator.run(row, server.port, max(calls // LATENCY_SHARE, row.least_logged), log=True)
        wall_ns = calls / result.calls_per_s * 1e9
        return {"cpu_us": cpu / calls / 1000, "calls_per_s": result.calls_per_s, "core_share": cpu / wall_ns,
                "others_share": max(0.0, (busy - cpu) / wall_ns), "p50_us": logged.p50_us, "p99_us": logged.p99_us,
                "problem": logged.problem}

    def measure_backend(self, server):
        """Its CPU time per call when asked directly: a slow backend would hide what a fast gateway costs."""
        _, calls = self.calls(BACKEND_WORK, server)
        return self.run(BACKEND_WORK, server, calls)

    def measure_calls(self, row, servers):
        """All peers on one row, interleaved within each round."""
        counts, runs = {}, {name: [] for name in servers}
        for name, server in servers.items():
            warm, counts[name] = self.calls(row, server)
            if warm.problem:
                runs[name].append({"problem": warm.problem})
        for number in range(self.options.rounds):
            for name, server in servers.items():
                if any(r["problem"] for r in runs[name]):
                    continue
                say(f"{row.key}: {name}, round {number + 1} of {self.options.rounds}")
                runs[name].append(self.run(row, server, counts[name]))
        return {name: median(runs[name]) for name in servers}

    def measure_idle(self, peer, program):
        """Resident bytes per connection, before and after a call on each, of a fresh process."""
        count = self.options.idle_connections
        say(f"idle: {peer.name}, {count} connections")
        with self.start(peer, program) as server, contextlib.ExitStack() as opened:
            def open_one():
                connection = idle.Connection(server.port)
                opened.callback(connection.close)
                return connection

            for _ in range(10):  # what is allocated once is not the connections'
                open_one().call()
            before = settled_bytes(server)
            connections = [open_one() for _ in range(count)]
            after_open = settled_bytes(server)
            for connection in connections:
                connection.call()
            after_call = settled_bytes(server)
        return {"idle": {"bytes": (after_open - before) / count, "problem": ""},
                "idle-called": {"bytes": (after_call - before) / count, "problem": ""}}


def settled_bytes(server):
    time.sleep(SETTLE_S)
    return measure.resident_bytes(server.pids())


def median(runs):
    broken = [r["problem"] for r in runs if r["problem"]]
    if broken:
        return {"problem": broken[0]}
    figures = {key: statistics.median(r[key] for r in runs) for key in runs[0] if key != "problem"}
    return {**figures, "problem": "", "runs": runs}


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_all(options):
    bench = Bench(options)
    found, absent = find_peers(options, peers.PEERS)
    result = {"machine": machine(bench), "backend": {"name": bench.backend_name}, "absent": absent, "rows": {},
              "versions": {peer.name: peer.version(program) for peer, program in found},
              "rounds": options.rounds, "seconds": options.seconds, "idle_connections": options.idle_connections}
    rows = [w for w in work.WORKS if bench.wanted(w.key)]
    with bench.start_backend() as backend:
        if rows:
            result["backend"].update(bench.measure_backend(backend))
            with contextlib.ExitStack() as running:
                servers = {}
                for peer, program in found:
                    try:
                        servers[peer.name] = running.enter_context(bench.start(peer, program))
                    except RuntimeError as error:
                        absent[peer.name] = str(error)
                for row in rows:
                    at_work = {peer.name: servers[peer.name] for peer, _ in found
                               if peer.name in servers and row.key in (peer.rows or [row.key])}
                    result["rows"][row.key] = bench.measure_calls(row, at_work)
        if any(bench.wanted(key) for key in work.IDLE_KEYS):
            for peer, program in found:
                if peer.name in absent or peer.rows:
                    continue
                try:
                    figures = bench.measure_idle(peer, program)
                except (OSError, RuntimeError) as error:
                    figures = {key: {"problem": str(error)} for key in work.IDLE_KEYS}
                for key, figure in figures.items():
                    if bench.wanted(key):
                        result["rows"].setdefault(key, {})[peer.name] = figure
    say("")
    return result


def machine(bench):
    model = ""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return {"cpu": model, "kernel": platform.release(), "cores": len(os.sched_getaffinity(0)),
            "gateway_core": bench.gateway_core, "load_core": bench.load_core}


def unwind(number, _frame):
    """Ends the bench by an exception, so that every server is stopped; a second signal does not disturb that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def prepare():
    """What this process needs before it starts servers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, unwind)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    processes.adopt_orphans()
    os.makedirs(OUT, exist_ok=True)
    for tool, package in (("h2load", "nghttp2-client"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: no {tool} (Debian package {package})")


def main():
    options = parse_arguments()
    prepare()
    try:
        result = run_all(options)
    except peers.Absent as reason:
        raise SystemExit(f"bench: {reason}") from None
    checks = report.checks(result)
    report.print_all(result, checks)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({**result, "checks": checks}, file, indent=1)
    failures = report.failures(result, checks if options.check else [], options.peers)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
