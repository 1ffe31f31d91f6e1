"""Runs h2load for one row and reads what it says."""
import contextlib
import hashlib
import os
import re
import statistics
import struct
import subprocess
from dataclasses import dataclass

import processes

RUN_TIMEOUT_S = 120


@dataclass
class Result:
    calls: int
    calls_per_s: float
    problem: str = ""  # why the figures are worth nothing
    p50_us: float = 0
    p99_us: float = 0


class Generator:
    """The load generator of a bench run: h2load on one core, its input files in a folder."""

    def __init__(self, core, folder):
        self.core, self.folder = core, folder
        os.makedirs(folder, exist_ok=True)

    def run(self, work, port, calls, log=False):
        """LOG: with latencies, which slows the generator down."""
        command = ["taskset", "-c", str(self.core), "h2load", "-t", "1", "-n", str(calls), "-c", str(work.connections),
                   "-m", str(work.streams), *self.request(work, port)]
        log_file = os.path.join(self.folder, "h2load.log")
        if log:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(log_file)  # h2load appends
            command += ["--log-file", log_file]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=RUN_TIMEOUT_S, preexec_fn=processes.die_with_parent)
        except subprocess.TimeoutExpired:
            return Result(calls, 0, f"not done within {RUN_TIMEOUT_S} s")
        if done.returncode != 0:
            return Result(calls, 0, f"h2load: {(done.stderr or done.stdout).strip()[-200:]}")
        result = parse(done.stdout, calls, self.answer_bytes(work, port))
        if log and not result.problem:
            result.p50_us, result.p99_us = percentiles(log_file)
        return result

    def request(self, work, port):
        """h2load's arguments that say what each call is."""
        return ["-d", self.message_file(work), "-H", "content-type: application/grpc", "-H", "te: trailers",
                f"--base-uri=http://127.0.0.1:{port}", "-i", self.paths_file(work)]

    def answer_bytes(self, work, _port):
        """Content of each answer: the echo, a prefix of 5 bytes and the message."""
        return 5 + work.message_bytes

    def message_file(self, work):
        path = os.path.join(self.folder, f"message-{work.message_bytes}")
        if not os.path.exists(path):
            noise = hashlib.shake_128(b"message").digest(work.message_bytes)
            with open(path, "wb") as file:
                file.write(struct.pack(">BI", 0, len(noise)) + noise)
        return path

    def paths_file(self, work):
        """The only header field that h2load can vary is :path. h2load keeps it out of the dynamic table, so a query of
        the length of a trace id costs every hop what a trace id costs: a literal to decode and to encode. A query and
        not 20,000 methods: how a gateway keeps its statistics by method is not the question."""
        path = os.path.join(self.folder, f"paths-{work.paths}")
        if not os.path.exists(path):
            with open(path, "w") as file:
                for i in range(work.paths):
                    query = "?" + hashlib.shake_128(b"%d" % i).hexdigest(16) if work.paths > 1 else ""
                    file.write(f"http://127.0.0.1/bench.Echo/Unary{query}\n")
        return path


def parse(text, calls, echo_bytes):
    def number(pattern):
        match = re.search(pattern, text)
        return float(match.group(1)) if match else -1

    succeeded, ok = number(r"(\d+) succeeded"), number(r"status codes: (\d+) 2xx")
    lost = sum(number(rf"(\d+) {word}[,\n]") for word in ("failed", "errored", "timeout"))
    data = number(r"traffic: .*\((\d+)\) data")
    problem = ""
    if succeeded != calls or ok != calls or lost != 0:
        problem = f"{ok:.0f} of {calls} calls answered 2xx, {lost:.0f} failed"
    elif data != calls * echo_bytes:
        # A gateway's own error is HTTP 200 with a grpc-status: only the echo proves that the call went through.
        problem = f"{data:.0f} bytes echoed instead of {calls * echo_bytes}"
    return Result(calls, number(r"finished in .*?, ([\d.]+) req/s"), problem)


def percentiles(log_file):
    """p50 and p99 of the log's third column: microseconds until the end of the response."""
    with open(log_file, "rb") as file:
        times = [int(line.split(b"\t")[2]) for line in file]
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]
