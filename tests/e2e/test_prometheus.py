"""The metrics of a gateway under load are exactly what its clients saw: on the page, in OpenMetrics, and in a Prometheus
that scrapes it."""
import json
import os
import random
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from backends import Echo, code_of
from gateway import SCALE, TIMEOUT, free_port, wait_for
from scripted import answering
from wire import Client

TWO = """
workers: 2
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {enabled: false}}}
"""
CODES = ("OK", "NOT_FOUND", "INTERNAL", "RESOURCE_EXHAUSTED")
SIZES = (0, 10, 1024, 1025, 70_000)
PREFIX = 5  # bytes before a message


def total(metrics, name, **labels):
    """The sum over all samples of NAME that carry LABELS."""
    wanted = set(labels.items())
    return sum(value for (key, having), value in metrics.items() if key == name and wanted <= set(having))


class Sent:
    """What a client sent and got, counted by the client."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls = Counter()     # by method and code
        self.received = Counter()  # bytes of messages that the gateway received, by method
        self.sent = Counter()

    def add(self, method, code, received, sent):
        with self.lock:
            self.calls[method, code] += 1
            self.received[method] += received
            self.sent[method] += sent

    def count(self):
        return sum(self.calls.values())


def call_once(echo, chance, sent):
    code, size = chance.choice(CODES), chance.choice(SIZES)
    metadata = [("do-code", code)] if code != "OK" else []
    kind = chance.randrange(3)
    if kind == 0:
        method, received, answer = "Unary", size, size
        invoke = lambda: echo.unary(b"x" * size, metadata=metadata, timeout=TIMEOUT)  # noqa: E731
    elif kind == 1:
        method, received, answer = "ClientStream", 3 * size, len(str(3 * size))
        invoke = lambda: echo.client_stream(iter([b"x" * size] * 3), metadata=metadata, timeout=TIMEOUT)  # noqa: E731
    else:
        method, received, answer = "ServerStream", 0, 4 * (size or 2)
        size = size or 2
        metadata += [("do-count", "4"), ("do-size", str(size))]
        invoke = lambda: list(echo.server_stream(b"", metadata=metadata, timeout=TIMEOUT))  # noqa: E731
    if code == "OK":
        invoke()
        sent.add(method, code, received, answer)
        return
    assert code_of(invoke).name == code
    # Of a request that is refused at once the gateway may have seen only a part.
    sent.add(method, code, received if method != "ClientStream" else 0, 0)


def load(gate, threads=4, each=60, channels=4):
    """Calls of several clients at once."""
    sent, problems = Sent(), []
    echoes = [Echo(gate.channel(("fusegate.test", i))) for i in range(channels)]

    def work(number):
        chance = random.Random(number)
        try:
            for _ in range(each):
                call_once(chance.choice(echoes), chance, sent)
        except BaseException as error:  # shown by the test
            problems.append(error)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not problems, problems[0]
    wait_for("all calls have ended", lambda: gate.metric("calls_ended_total") == sent.count())
    return sent


def assert_exact(metrics, sent):
    for (method, code), count in sent.calls.items():
        assert total(metrics, "fusegate_calls_total", method=f"/t.Echo/{method}", code=code) == count, (method, code)
        by_status = {"grpc_method": f"/t.Echo/{method}", "grpc_status": code}
        assert total(metrics, "grpc_server_call_duration_seconds_count", **by_status) == count, (method, code)
    assert total(metrics, "fusegate_calls_total") == sent.count()
    for method in {method for method, _ in sent.calls}:
        path = f"/t.Echo/{method}"
        count = sum(n for (of, _), n in sent.calls.items() if of == method)
        assert total(metrics, "grpc_stream_open_total", method=path) == count
        assert total(metrics, "grpc_server_call_started_total", grpc_method=path) == count
        assert total(metrics, "grpc_stream_active", method=path) == 0
        assert total(metrics, "grpc_client_attempt_started_total", grpc_method=path, grpc_target="c") == count
        assert total(metrics, "fusegate_call_duration_seconds_count", method=path) == count
        assert total(metrics, "fusegate_call_duration_seconds_bucket", method=path, le="+Inf") == count
        size = "grpc_server_call_{}_total_compressed_message_size_bytes_{}"
        assert total(metrics, size.format("sent", "count"), grpc_method=path) == count
        assert total(metrics, size.format("sent", "sum"), grpc_method=path) == sent.sent[method]
        if method != "ClientStream":
            assert total(metrics, size.format("rcvd", "sum"), grpc_method=path) == sent.received[method]
        else:
            assert total(metrics, size.format("rcvd", "sum"), grpc_method=path) >= sent.received[method]
    assert total(metrics, "fusegate_attempts_total") == sent.count()
    assert total(metrics, "fusegate_attempt_duration_seconds_count") == sent.count()
    assert total(metrics, "fusegate_endpoint_attempts_started_total") == sent.count()
    assert total(metrics, "fusegate_metrics_others_total") == 0


@pytest.fixture
def two(gateway, backend):
    return gateway(TWO, backend=backend.address)


def test_the_page_says_what_the_clients_sent(two):
    sent = load(two)
    assert_exact(two.metrics(), sent)
    assert total(two.metrics(), "grpc_subchannel_open_connections") == two.metric("upstream_connections")


def openmetrics(gate):
    request = urllib.request.Request(f"http://{gate.admin}/metrics", headers={
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_openmetrics_says_the_same(two):
    """By the parser of Prometheus' own client library, which checks the rules of OpenMetrics."""
    sent = load(two, threads=2, each=20)
    kind, text = openmetrics(two)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = list(text_string_to_metric_families(text))
    metrics = {(sample.name, tuple(sample.labels.items())): sample.value for family in families for sample in family.samples}
    assert_exact(metrics, sent)
    by_name = {family.name: family for family in families}
    assert (by_name["fusegate_calls"].type, by_name["grpc_stream_active"].type) == ("counter", "gauge")
    assert by_name["fusegate_call_duration_seconds"].unit == "seconds"
    # Both pages have the same metrics.
    plain = {name for name, _ in two.metrics()}
    assert {name for name, _ in metrics} == plain


def test_calls_in_progress_are_counted_by_method(two, backend):
    echo = Echo(two.channel())
    call = echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
    backend.wait_seen()
    metrics = two.metrics()
    assert total(metrics, "grpc_stream_active", method="/t.Echo/Unary") == 1
    assert total(metrics, "grpc_stream_open_total", method="/t.Echo/Unary") == 1
    call.cancel()
    wait_for("it has ended", lambda: total(two.metrics(), "grpc_stream_active", method="/t.Echo/Unary") == 0)


def test_calls_without_a_route_are_other(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen, http2: {max_header_list: 2KiB}}]
routes: [{match: {method: t.Echo/Unary}, cluster: c}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    client = Client(gate)
    client.until_end(*(client.start(f"/no/Route{i}", end=True) for i in range(5)))
    bad = client.start("/t.Echo/Unary", ("x", "y" * 3000), end=True)  # too large: never routed
    client.until_end(bad)
    assert code_of(lambda: Echo(gate.channel()).client_stream(iter([b""]), timeout=TIMEOUT)).name == "UNIMPLEMENTED"
    wait_for("all have ended", lambda: gate.metric("calls_ended_total") == 7)
    metrics = gate.metrics()
    assert total(metrics, "grpc_stream_open_total", method="other") == 7 == total(metrics, "grpc_stream_open_total")
    assert total(metrics, "grpc_stream_active") == 0
    assert total(metrics, "fusegate_calls_total", method="other") == 7


def test_what_is_too_much_to_tell_apart_is_counted(gateway, backend):
    gate = gateway(TWO.replace("workers: 2", "workers: 1"), backend=backend.address)
    client = Client(gate)
    for i in range(0, 1100, 50):
        client.until_end(*(client.start(f"/t.Many/M{k}", end=True) for k in range(i, i + 50)))
    wait_for("all have ended", lambda: gate.metric("calls_ended_total") == 1100)
    metrics = gate.metrics()
    others = total(metrics, "fusegate_metrics_others_total", what="calls")
    assert others == total(metrics, "grpc_stream_open_total", method="other") == 1100 - 1023
    assert total(metrics, "grpc_stream_open_total") == 1100 and total(metrics, "grpc_stream_active") == 0


def test_retries_of_a_method(gateway, scripted):
    service = scripted(answering(code=14, trailers_only=True))
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, retry: {attempts: 3, idempotent: true, backoff: {initial: 20ms, max: 20ms, jitter: 0%}}}]
clusters: {c: {endpoints: [$service], breaker: {enabled: false}, retry_budget: {share: 100%}}}
""", service=service.address)
    echo = Echo(gate.channel())
    for _ in range(4):
        assert code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "UNAVAILABLE"
    wait_for("all have ended", lambda: gate.metric("calls_ended_total") == 4)
    metrics = gate.metrics()
    labels = {"grpc_method": "/t.Echo/Unary", "grpc_target": "c"}
    assert total(metrics, "grpc_client_attempt_started_total", **labels) == 12
    assert total(metrics, "grpc_client_call_retries_count", **labels) == 4
    assert total(metrics, "grpc_client_call_retries_sum", **labels) == 8 == gate.metric("retries_total")
    assert total(metrics, "grpc_client_call_retries_bucket", le="1", **labels) == 0
    assert total(metrics, "grpc_client_call_retries_bucket", le="2", **labels) == 4
    assert total(metrics, "grpc_client_call_retry_delay_seconds_count", **labels) == 4
    assert total(metrics, "grpc_client_call_retry_delay_seconds_sum", **labels) >= 8 * 0.02
    assert total(metrics, "fusegate_endpoint_attempts_started_total", endpoint=service.address) == 12


def test_connections_of_an_endpoint(gateway, backend):
    nobody = f"127.0.0.1:{free_port()}"
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: t.Echo/Unary}, cluster: up}, {cluster: down}]
clusters: {up: {endpoints: [$backend]}, down: {endpoints: [$nobody], breaker: {enabled: false}}}
""", backend=backend.address, nobody=nobody)
    echo = Echo(gate.channel())
    echo.unary(b"", timeout=TIMEOUT)
    assert code_of(lambda: list(echo.server_stream(b"", timeout=TIMEOUT))).name == "UNAVAILABLE"
    metrics = gate.metrics()
    up, down = {"grpc_target": "up", "server_address": backend.address}, {"grpc_target": "down", "server_address": nobody}
    assert total(metrics, "grpc_subchannel_connection_attempts_succeeded_total", **up) == 1
    assert total(metrics, "grpc_subchannel_open_connections", **up) == 1
    assert total(metrics, "grpc_subchannel_connection_attempts_failed_total", **up) == 0
    assert total(metrics, "grpc_subchannel_connection_attempts_failed_total", **down) == 1
    assert total(metrics, "grpc_subchannel_open_connections", **down) == 0
    backend.close()
    wait_for("the connection has ended", lambda: total(gate.metrics(), "grpc_subchannel_open_connections", **up) == 0)
    assert total(gate.metrics(), "grpc_subchannel_disconnections_total", **up) == 1


def test_breakers_of_endpoints_eject(gateway, scripted):
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$bad], breaker: {consecutive_failures: 2, open_for: 60s}}}
""", bad=bad.address)
    echo = Echo(gate.channel())
    for _ in range(3):
        assert code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "UNAVAILABLE"
    metrics = gate.metrics()
    trips = total(metrics, "fusegate_breaker_trips_total", endpoint=bad.address, method="")
    assert total(metrics, "grpc_lb_outlier_detection_ejections_enforced_total", grpc_target="c") == trips == 1


# ---- Prometheus itself ----

class Prometheus:
    """Scrapes GATE every second."""

    def __init__(self, folder, gate):
        self.address = f"127.0.0.1:{free_port()}"
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w") as file:
            json.dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [
                {"job_name": "fusegate", "static_configs": [{"targets": [gate.admin]}]}]}, file)
        self.errors = os.path.join(folder, "prometheus.stderr")
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
                 f"--web.listen-address={self.address}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def query(self, expression):
        """{labels: value}, or None while it cannot answer."""
        address = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            assert self.process.poll() is None, open(self.errors).read()
            return None
        return {tuple(sorted((key, value) for key, value in one["metric"].items() if key not in ("job", "instance"))):
                float(one["value"][1]) for one in result}

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def test_prometheus_scrapes_the_same(two, tmp_path):
    sent = load(two)
    prometheus = Prometheus(str(tmp_path), two)
    try:
        scraped = wait_for("a scrape", lambda: prometheus.query('{__name__=~"grpc_.+|fusegate_.+"}'), 30 * SCALE)
        assert prometheus.query("up") == {(("__name__", "up"),): 1}
        metrics = {(dict(labels)["__name__"], tuple(pair for pair in labels if pair[0] != "__name__")): value
                   for labels, value in scraped.items()}
        assert_exact(metrics, sent)
        # As one asks it.
        by_method = prometheus.query("sum by (method, code) (fusegate_calls_total)")
        assert by_method == {(("code", code), ("method", f"/t.Echo/{method}")): count
                             for (method, code), count in sent.calls.items()}
        # What comes later is there after the next scrape.
        Echo(two.channel()).unary(b"", timeout=TIMEOUT)
        wait_for("the next scrape", lambda: prometheus.query("sum(grpc_stream_open_total)") == {(): sent.count() + 1}, 30 * SCALE)
        start = prometheus.query("process_start_time_seconds")
        assert all(0 <= time.time() - value < 600 * SCALE for value in start.values()) and len(start) == 1
    finally:
        prometheus.close()
