"""The restaurant without a gateway, called by grpcio: all types of calls, every fault, the end. Run by meson.

    test_restaurant.py RESTAURANT_BINARY [CALLS]
"""
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time

os.environ["GRPC_VERBOSITY"] = "NONE"  # it would tell of every fault

import grpc  # noqa: E402
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402

from stubs import Restaurant, health_pb2, order_pb2, order_request, start_kitchen, wait_until  # noqa: E402

CALLS = int(sys.argv[2]) if len(sys.argv) > 2 else 100
NOODLES = ("beef noodles", 2, 1250)
OPTIONS = [("grpc.enable_retries", 0), ("grpc.max_receive_message_length", 8 << 20),
           ("grpc.max_send_message_length", 8 << 20)]
TIMEOUT = 20


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def code_of(call):
    """CALL fails; its status."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


class Table:
    """One kitchen and one client of it."""

    kitchens = []  # all that were started

    def __init__(self, binary, *arguments):
        self.process, self.address = start_kitchen(binary, "north", *arguments)
        Table.kitchens.append(self.process)
        self.channel = grpc.insecure_channel(self.address, options=OPTIONS)
        self.api = Restaurant(self.channel)

    def close(self):
        self.channel.close()
        expect(self.process.stop(), 0, "exit status")

    def stats(self):
        """Asks again when the connection is just going: that is what some faults do to it."""
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                return self.api.faults.GetStats(order_pb2.GetStatsRequest(), timeout=TIMEOUT, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                    raise

    def handled(self, method):
        return next(m.handled for m in self.stats().methods if m.method.endswith("/" + method))

    def fault(self, kind, value=0):
        self.api.faults.SetFault(order_pb2.SetFaultRequest(kind=kind, value=value), timeout=TIMEOUT, wait_for_ready=True)


def unary_calls(table):
    orders = table.api.orders
    for i in range(CALLS):
        order = orders.CreateOrder(order_request(4, NOODLES, ("tea", 1, 300), ref=f"unary-{i}"), timeout=TIMEOUT)
        expect((order.total_cents, order.state, order.kitchen), (2800, order_pb2.ORDER_STATE_RECEIVED, "north"), "order")
        expect(orders.GetOrder(order_pb2.GetOrderRequest(id=order.id), timeout=TIMEOUT), order, "the same order")
        cancelled = orders.CancelOrder(order_pb2.CancelOrderRequest(id=order.id), timeout=TIMEOUT)
        expect(cancelled.state, order_pb2.ORDER_STATE_CANCELLED, "state")
    again = orders.CreateOrder(order_request(4, NOODLES, ref="unary-0"), timeout=TIMEOUT)
    expect(again.state, order_pb2.ORDER_STATE_CANCELLED, "the first order comes back")
    expect(table.stats().repeated_refs, 1, "repeated refs")


def raw_call(address, data, **changes):
    """One call by hand: ECHO of DATA with CHANGES to the headers ("_" for "-"; None: absent). The headers and trailers
    of the answer."""
    headers = {":method": "POST", ":scheme": "http", ":authority": "kitchen", ":path": "/order.v1.EchoService/Echo",
               "content-type": "application/grpc", "te": "trailers"}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    host, port = address.rsplit(":", 1)
    answer, done = {}, False
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        client.send_headers(1, [(name, value) for name, value in headers.items() if value is not None])
        client.send_data(1, data, end_stream=True)
        connection.sendall(client.data_to_send())
        while not done:
            for event in client.receive_data(connection.recv(65536)):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    answer.update(event.headers)
                done = done or isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset))
            connection.sendall(client.data_to_send())
    return answer


def broken_clients(table):
    for data, status in [(b"\0\0\0\0\0", "0"), (b"\0\0\0\0", "13"), (b"\0\0\0\0\2\x0a", "13"), (b"\1\0\0\0\0", "12"),
                         (b"\0\xff\xff\xff\xff", "8"), (b"", "13"), (b"\0\0\0\0\0" * 2, "13")]:
        expect(raw_call(table.address, data).get("grpc-status"), status, f"status of the message {data!r}")
    expect(raw_call(table.address, b"\0\0\0\0\2\x0a", **{":path": "/order.v1.EchoService/EchoStream"})["grpc-status"],
           "13", "a stream that ends inside a message")
    expect(raw_call(table.address, b"{}", content_type="application/json")[":status"], "415", "no gRPC")
    expect(raw_call(table.address, b"", content_type=None)[":status"], "415", "no content-type")
    expect(raw_call(table.address, b"\0\0\0\0\0", grpc_timeout="soon")["grpc-status"], "13", "bad timeout")
    expect(raw_call(table.address, b"\0\0\0\0\2\x18\x64", grpc_timeout="1n")["grpc-status"], "4", "short timeout")


def refusals(table):
    orders = table.api.orders
    expect(code_of(lambda: orders.GetOrder(order_pb2.GetOrderRequest(id="north-0"), timeout=TIMEOUT)),
           grpc.StatusCode.NOT_FOUND, "unknown order")
    expect(code_of(lambda: orders.CreateOrder(order_request(1), timeout=TIMEOUT)), grpc.StatusCode.INVALID_ARGUMENT,
           "empty order")
    expect(code_of(lambda: orders.CreateOrder(order_request(1, ("x" * 64, 1, 1)), timeout=TIMEOUT)),
           grpc.StatusCode.INVALID_ARGUMENT, "long name")
    missing = table.channel.unary_unary("/order.v1.OrderService/Missing")
    expect(code_of(lambda: missing(b"", timeout=TIMEOUT)), grpc.StatusCode.UNIMPLEMENTED, "unknown method")
    broken = table.channel.unary_unary("/order.v1.OrderService/GetOrder")
    expect(code_of(lambda: broken(b"\xff\xff", timeout=TIMEOUT)), grpc.StatusCode.INTERNAL, "no protobuf")
    two = table.channel.stream_unary("/order.v1.OrderService/GetOrder")
    expect(code_of(lambda: two(iter([b"", b""]), timeout=TIMEOUT)), grpc.StatusCode.INTERNAL, "two messages")
    expect(code_of(lambda: two(iter([]), timeout=TIMEOUT)), grpc.StatusCode.INTERNAL, "no message")


def client_streams(table):
    for _ in range(CALLS):
        receipt = table.api.orders.PlaceOrders(iter([order_request(7, NOODLES)] * 3), timeout=TIMEOUT)
        expect((len(receipt.order_ids), receipt.total_cents), (3, 7500), "receipt")
    bad = iter([order_request(7, NOODLES), order_request(7), order_request(7, NOODLES)])
    expect(code_of(lambda: table.api.orders.PlaceOrders(bad, timeout=TIMEOUT)), grpc.StatusCode.INVALID_ARGUMENT,
           "an empty order among them")


def server_streams(table):
    watch = table.api.streams.WatchOrders(order_pb2.WatchOrdersRequest(table=9, max_events=CALLS), timeout=TIMEOUT)
    begin = next(watch)
    expect(begin.HasField("order"), False, "the first event has no order")
    ids = []
    for i in range(CALLS):
        table.api.orders.CreateOrder(order_request(8, NOODLES), timeout=TIMEOUT)
        ids.append(table.api.orders.CreateOrder(order_request(9, NOODLES), timeout=TIMEOUT).id)
    expect([event.order.id for event in watch], ids, "watched orders")
    resumed = table.api.streams.WatchOrders(
        order_pb2.WatchOrdersRequest(table=9, after=begin.sequence, max_events=CALLS), timeout=TIMEOUT)
    expect([event.order.id for event in resumed][1:], ids, "watched orders after resuming")
    for _ in range(CALLS):
        few = table.api.streams.WatchOrders(order_pb2.WatchOrdersRequest(after=begin.sequence, max_events=1),
                                            timeout=TIMEOUT)
        expect(len(list(few)), 2, "events of a short watch")


def screens(table):
    updates = queue.Queue()
    screen = table.api.streams.KitchenScreen(iter(updates.get, None), timeout=TIMEOUT)
    expect(next(screen).HasField("order"), False, "the first ticket has no order")
    for _ in range(CALLS):
        order = table.api.orders.CreateOrder(order_request(2, NOODLES), timeout=TIMEOUT)
        expect(next(screen).order.id, order.id, "ticket")
        updates.put(order_pb2.CookUpdate(order_id=order.id, state=order_pb2.ORDER_STATE_READY))
    updates.put(order_pb2.CookUpdate(order_id=order.id, state=order_pb2.ORDER_STATE_COOKING))
    expect(next(screen).problem, "the order cannot become that", "problem")
    updates.put(order_pb2.CookUpdate(order_id="south-1", state=order_pb2.ORDER_STATE_READY))
    expect(next(screen).problem, "this kitchen has no such order", "problem")
    updates.put(None)
    expect(list(screen), [], "the end of the screen")
    expect(table.api.orders.GetOrder(order_pb2.GetOrderRequest(id=order.id)).state, order_pb2.ORDER_STATE_READY, "state")
    expect(code_of(lambda: table.api.orders.CancelOrder(order_pb2.CancelOrderRequest(id=order.id))),
           grpc.StatusCode.FAILED_PRECONDITION, "too late to cancel")
    for _ in range(CALLS):
        expect(len(list(table.api.streams.KitchenScreen(iter([]), timeout=TIMEOUT))), 1, "tickets of a short screen")


def echoes(table):
    echo = table.api.echo
    for i in range(CALLS):
        payload = bytes([i % 256]) * (i * 997 % 100000)
        expect(echo.Echo(order_pb2.EchoRequest(payload=payload), timeout=TIMEOUT).payload, payload, "echo")
    large = bytes(range(256)) * (3 << 12)  # 3 MiB: more than any window
    expect(echo.Echo(order_pb2.EchoRequest(payload=large), timeout=TIMEOUT).payload, large, "large echo")
    expect(code_of(lambda: echo.Echo(order_pb2.EchoRequest(payload=b"x" * (5 << 20)), timeout=TIMEOUT)),
           grpc.StatusCode.RESOURCE_EXHAUSTED, "an echo too large")
    expect(code_of(lambda: echo.Echo(order_pb2.EchoRequest(fail_code=9), timeout=TIMEOUT)),
           grpc.StatusCode.FAILED_PRECONDITION, "as told")
    expect(code_of(lambda: echo.Echo(order_pb2.EchoRequest(delay_ms=60000), timeout=0.2)),
           grpc.StatusCode.DEADLINE_EXCEEDED, "slow echo")
    requests = [order_pb2.EchoRequest(payload=b"%d" % i, messages=1 + i % 3) for i in range(CALLS)]
    responses = list(echo.EchoStream(iter(requests), timeout=TIMEOUT))
    expect([r.payload for r in responses], [r.payload for r in requests for _ in range(r.messages)], "streamed echoes")
    slow = [order_pb2.EchoRequest(payload=b"x", messages=3, delay_ms=5)]
    expect([r.index for r in echo.EchoStream(iter(slow), timeout=TIMEOUT)], [0, 1, 2], "indices")
    failing = echo.EchoStream(iter([order_pb2.EchoRequest(messages=2, fail_code=14)] * 2), timeout=TIMEOUT)
    expect((len([next(failing), next(failing)]), code_of(lambda: next(failing))), (2, grpc.StatusCode.UNAVAILABLE),
           "two messages, then the status")


def endless_streams(table):
    """More than fits in memory is never queued: the kitchen stops where the client stops reading."""
    stream = table.api.echo.EchoStream(iter([order_pb2.EchoRequest(response_bytes=100000, messages=0xffffffff)]))
    for _ in range(200):
        expect(len(next(stream).payload), 100000, "payload")
    expect(next(stream).index, 200, "index")
    stream.cancel()
    wait_until(lambda: table.stats().open_calls == 1, TIMEOUT, "the endless stream ends with its client")


def parallel_calls(table):
    problems = []

    def customer(i):
        try:
            for j in range(CALLS // 5):
                payload = b"%d-%d" % (i, j)
                found = table.api.echo.Echo(order_pb2.EchoRequest(payload=payload, delay_ms=j % 3), timeout=TIMEOUT)
                expect(found.payload, payload, "own echo")
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=customer, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(problems, [], "problems of parallel customers")


def seconds_of(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def slowness(table):
    one = order_pb2.EchoRequest(payload=b"x", messages=3)
    table.fault("slow", 60)
    if (took := seconds_of(lambda: table.api.echo.Echo(one, timeout=TIMEOUT))) < 0.06:
        raise AssertionError(f"slow: the call took {took} s")
    table.fault("slow_stream", 40)
    if (took := seconds_of(lambda: list(table.api.echo.EchoStream(iter([one]), timeout=TIMEOUT)))) < 0.12:
        raise AssertionError(f"slow_stream: three messages took {took} s")
    table.fault("none")


FAULTS = [  # kind, value, status of a call, does the method run?
    ("trailer_error", 0, grpc.StatusCode.UNAVAILABLE, 0),
    ("trailer_error", 13, grpc.StatusCode.INTERNAL, 0),
    ("trailers_only", 0, grpc.StatusCode.UNAVAILABLE, 0),
    ("no_trailers", 0, grpc.StatusCode.UNKNOWN, 0),
    ("http_status", 503, grpc.StatusCode.UNAVAILABLE, 0),
    ("reset", 0, grpc.StatusCode.INTERNAL, 0),
    ("reset", 8, grpc.StatusCode.CANCELLED, 0),
    ("drop", 0, grpc.StatusCode.UNAVAILABLE, 0),
    ("goaway", 0, grpc.StatusCode.OK, 1),
    ("hang", 0, grpc.StatusCode.DEADLINE_EXCEEDED, 0),
    ("slow", 50, grpc.StatusCode.OK, 1),
    ("slow_stream", 20, grpc.StatusCode.OK, 1),
    ("none", 0, grpc.StatusCode.OK, 1),
]


def faults(table):
    for kind, value, wanted, runs in FAULTS:
        timeout = 0.2 if kind == "hang" else TIMEOUT
        table.fault(kind, value)
        for call, method in [
                (lambda: table.api.echo.Echo(order_pb2.EchoRequest(payload=b"x"), timeout=timeout), "Echo"),
                (lambda: list(table.api.echo.EchoStream(iter([order_pb2.EchoRequest(messages=3)]), timeout=timeout)),
                 "EchoStream"),
                (lambda: table.api.orders.PlaceOrders(iter([order_request(1, NOODLES)]), timeout=timeout),
                 "PlaceOrders")]:
            before = table.handled(method)
            expect(code_of(call), wanted, f"{kind}={value}, {method}")
            expect(table.handled(method) - before, runs, f"effects of {method} under {kind}={value}")
        health = table.api.health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        expect(health.status, health_pb2.HealthCheckResponse.SERVING, f"health under {kind}")
    expect(code_of(lambda: table.fault("bad_mood")), grpc.StatusCode.INVALID_ARGUMENT, "unknown fault")


def limits_of_streams(binary):
    """Calls above --max-streams wait in the client; all are served."""
    table = Table(binary, "--max-streams", "2")
    calls = [table.api.echo.Echo.future(order_pb2.EchoRequest(payload=b"%d" % i, delay_ms=5), timeout=TIMEOUT)
             for i in range(20)]
    expect([call.result().payload for call in calls], [b"%d" % i for i in range(20)], "echoes")
    table.close()


def encrypted(binary):
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=kitchen",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        process, address = start_kitchen(binary, "north", "--tls-cert", certificate, "--tls-key", key)
        with open(certificate, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(address, credentials, options=OPTIONS) as channel:
        large = bytes(range(256)) * (3 << 12)
        for payload in (b"x", large):
            found = Restaurant(channel).echo.Echo(order_pb2.EchoRequest(payload=payload), timeout=TIMEOUT)
            expect(found.payload, payload, "echo over TLS")
    expect(process.stop(), 0, "exit status")


def draining(binary):
    """SIGTERM ends endless streams with a status and lets a call in progress finish."""
    table = Table(binary, "--fault", "slow=300")
    table.fault("none")
    watch = table.api.streams.WatchOrders(order_pb2.WatchOrdersRequest(), timeout=TIMEOUT)
    next(watch)
    slow = table.api.echo.Echo.future(order_pb2.EchoRequest(payload=b"x", delay_ms=300), timeout=TIMEOUT)
    wait_until(lambda: table.stats().open_calls == 3, TIMEOUT, "both calls are open")
    table.process.process.terminate()
    expect(code_of(lambda: next(watch)), grpc.StatusCode.UNAVAILABLE, "the watch ends")
    expect(slow.result().payload, b"x", "the call in progress")
    expect(table.process.process.wait(TIMEOUT), 0, "exit status")
    table.close()


def cut_off(binary):
    """Clients that vanish with everything open leave nothing behind."""
    table = Table(binary)
    for _ in range(20):
        channel = grpc.insecure_channel(table.address, options=OPTIONS + [("grpc.use_local_subchannel_pool", 1)])
        api = Restaurant(channel)
        next(api.streams.WatchOrders(order_pb2.WatchOrdersRequest()))
        next(api.echo.EchoStream(iter([order_pb2.EchoRequest(response_bytes=1000, messages=0xffffffff)])))
        api.echo.Echo.future(order_pb2.EchoRequest(delay_ms=60000))
        channel.close()
    wait_until(lambda: table.stats().open_calls == 1, TIMEOUT, "no call is left but ours")
    wait_until(lambda: table.stats().connections == 1, TIMEOUT, "no connection is left but ours")
    table.close()


def main():
    binary = sys.argv[1]
    table = Table(binary)
    for check in (unary_calls, refusals, broken_clients, client_streams, server_streams, screens, echoes, endless_streams,
                  parallel_calls, slowness, faults):
        check(table)
        print("ok", check.__name__, flush=True)
    for method in table.stats().methods:
        if method.method.endswith("/GetStats"):
            continue
        expect(method.ended, method.arrived, method.method)
    table.close()
    for check in (limits_of_streams, encrypted, draining, cut_off):
        check(binary)
        print("ok", check.__name__, flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        for kitchen in Table.kitchens:  # whatever went wrong: nothing may hold the caller's pipe
            if kitchen.process.poll() is None:
                kitchen.process.kill()
