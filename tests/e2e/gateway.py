"""Starts the real gateway with a configuration, waits for it, stops it, and checks what it leaves behind."""
import json
import os
import random
import re
import signal
import socket
import ssl
import string
import subprocess
import time
import urllib.request

import grpc

SCALE = float(os.environ.get("FUSEGATE_TEST_TIMESCALE", "1"))  # a slow machine sets it above 1
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("FUSEGATE_BIN", os.path.join(ROOT, "build-asan", "fusegate"))
TIMEOUT = 10 * SCALE  # for whatever should happen at once
CHANNEL = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0),
           ("grpc.max_receive_message_length", 32 << 20), ("grpc.max_send_message_length", 32 << 20),
           ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_metadata_size", 1 << 20)]
GAUGES = ("downstream_connections", "downstream_streams", "upstream_streams", "calls_active", "attempts_active",
          "calls_pending", "taps_active")


def wait_for(what, condition, timeout=TIMEOUT):
    """The first true value of CONDITION."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}; last value {value!r}")
        time.sleep(0.005)


USED_PORTS = set()


def free_port():
    """A port below the range that outgoing connections take theirs from; never the same one twice."""
    while True:
        port = random.randrange(20000, 32000)
        if port in USED_PORTS:
            continue
        USED_PORTS.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def accepts(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    except OSError:
        return False


def parse_metrics(text):
    """Prometheus text -> {(name, ((label, value), ...)): number}"""
    metrics = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
        assert match, f"not a line of Prometheus text: {line!r}"
        labels = re.findall(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', match[2] or "")
        metrics[match[1], tuple(labels)] = float(match[3])
    return metrics


class Gateway:
    """A running gateway. $listen and $admin in the configuration are its addresses; keys that every test needs are
    added when they are missing."""

    def __init__(self, folder, text, **names):
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.log = os.path.join(folder, "access.log")
        self.file = os.path.join(folder, "gateway.yaml")
        self.errors_file = os.path.join(folder, "stderr")
        self.clients = []
        self.expected_status = 0
        text = string.Template(text).substitute(names, listen=self.address, admin=self.admin)
        for key, value in (("workers", "1"), ("drain_timeout", "10s"), ("admin", f"{{address: {self.admin}}}"),
                           ("access_log", f"{{path: {self.log}}}")):
            if not re.search(rf"^{key}:", text, re.M):
                text += f"\n{key}: {value}"
        token = re.search(r"^admin:.*token: ([\w-]+)", text, re.M)
        self.token = token and token[1]
        with open(self.file, "w") as file:
            file.write(text + "\n")
        with open(self.errors_file, "w") as errors:
            self.process = subprocess.Popen([BINARY, "run", "-c", self.file], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=errors)
        wait_for("the gateway listens", lambda: self.process.poll() is not None or
                 re.search(r"(?s)listening on .*admin on ", self.errors()))
        assert self.process.poll() is None, self.errors()

    def errors(self):
        with open(self.errors_file) as file:
            return file.read()

    # ---- clients ----

    def channel(self, *options, credentials=None):
        target = self.address
        options = CHANNEL + list(options)
        channel = grpc.secure_channel(target, credentials, options) if credentials else \
            grpc.insecure_channel(target, options)
        self.clients.append(channel)
        return channel

    def owns(self, client):
        """CLIENT is closed before the gateway is looked at."""
        self.clients.append(client)
        return client

    # ---- the admin address ----

    def get(self, path, method="GET", token=None):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        token = self.token if token is None else token
        asked = urllib.request.Request(f"http://{self.admin}{path}", method=method,
                                       headers={"authorization": f"Bearer {token}"} if token else {})
        try:
            with opener.open(asked, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path):
        status, text = self.get(path)
        assert status == 200, (path, status, text)
        return json.loads(text)

    def metrics(self):
        status, text = self.get("/metrics")
        assert status == 200, (status, text)
        return parse_metrics(text)

    def metric(self, name, **labels):
        """The sum over all samples of fusegate_NAME that carry LABELS."""
        wanted = set(labels.items())
        return sum(value for (key, having), value in self.metrics().items()
                   if key == f"fusegate_{name}" and wanted <= set(having))

    def faults(self, cause):
        """How often peers did CAUSE, a row of src/h2/fault.h."""
        return self.metric("protocol_faults_total", cause=cause)

    def log_lines(self, count):
        def read():
            with open(self.log) as file:
                lines = [json.loads(line) for line in file.read().splitlines()]
            return lines if len(lines) >= count else None
        return wait_for(f"{count} lines in the access log", read)

    # ---- the end ----

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def unrest(self):
        metrics = self.metrics()
        total = {}
        for (name, _), value in metrics.items():
            total[name] = total.get(name, 0) + value
        wrong = {name: total.get(f"fusegate_{name}", "absent") for name in GAUGES if total.get(f"fusegate_{name}") != 0}
        started, ended = total.get("fusegate_calls_started_total"), total.get("fusegate_calls_ended_total")
        if started is None or started != ended:
            wrong["calls"] = f"{started} started, {ended} ended"
        opened, active = total.get("grpc_stream_open_total", 0), total.get("grpc_stream_active", 0)
        tried = total.get("grpc_client_attempt_started_total", 0)
        if total.get("grpc_client_attempt_duration_seconds_count", 0) != tried:
            wrong["attempts by method"] = f"{tried} started, but {total.get('grpc_client_attempt_duration_seconds_count')} ended"
        if (opened, active) != (started, 0):
            wrong["streams by method"] = f"{opened} opened, {active} active, {started} calls started"
        return wrong

    def assert_rest(self):
        """Every gauge is 0 once the clients have gone: opened = closed, started = ended."""
        try:
            wait_for("rest", lambda: not self.unrest(), 5 * SCALE)
        except AssertionError:
            raise AssertionError(f"not at rest: {self.unrest()}\n{self.get('/streams')[1]}") from None

    def stop(self, signal_number=signal.SIGTERM):
        """Ends it; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.join()

    def join(self):
        try:
            return self.process.wait(timeout=2 * TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not end:\n{self.errors()}") from None

    def finish(self):
        """What every test ends with."""
        self.close_clients()
        try:
            if self.process.poll() is None:
                self.assert_rest()
        finally:
            status = self.stop()
        errors = self.errors()
        assert not re.search(r"Sanitizer|runtime error:", errors), errors
        assert status == self.expected_status, f"exit status {status}\n{errors}"


def run_command(*arguments, timeout=TIMEOUT):
    """A command of the binary that ends by itself."""
    return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout)


def tls_client_context(ca, **settings):
    context = ssl.create_default_context(cafile=ca)
    for key, value in settings.items():
        setattr(context, key, value)
    return context
