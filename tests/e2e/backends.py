"""A well-behaved gRPC service on grpcio that does what the request's metadata asks for. No generated code: messages
are bytes."""
import threading
import time
from concurrent import futures

import grpc

from gateway import TIMEOUT

OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 1 << 20)]


class Seen:
    """One call as the backend saw it."""

    def __init__(self, method, context):
        self.method = method
        self.metadata = list(context.invocation_metadata())
        self.remaining = context.time_remaining()
        self.ended = threading.Event()  # also when the client cancelled
        self.ended_at = None
        self.messages = 0
        if not context.add_callback(self.on_end):
            self.on_end()

    def on_end(self):
        self.ended_at = time.monotonic()
        self.ended.set()

    def get(self, name):
        return next((value for key, value in self.metadata if key == name), None)


class Backend(grpc.GenericRpcHandler):
    """t.Echo: Unary, ClientStream, ServerStream, Bidi. Request metadata: `do-code` fails with that code, `do-hang`
    waits until the call ends, `do-sleep` waits that many seconds, `do-headers`/`do-trailers` (bytes) sends one of that
    size, `do-count` and `do-size` size the answer of ServerStream."""

    def __init__(self, address="127.0.0.1:0", workers=160, credentials=None, max_message=32 << 20):
        self.seen = []
        self.arrived = threading.Condition()
        self.release = threading.Event()  # lets hanging calls answer
        self.server = grpc.server(futures.ThreadPoolExecutor(workers), handlers=(self,),
                                  options=[("grpc.max_receive_message_length", max_message),
                                           ("grpc.max_send_message_length", max_message), *OPTIONS], compression=grpc.Compression.NoCompression)
        port = self.server.add_secure_port(address, credentials) if credentials else \
            self.server.add_insecure_port(address)
        assert port, f"cannot listen on {address}"
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.server.start()

    def close(self, grace=0):
        self.release.set()
        self.server.stop(grace).wait(TIMEOUT)

    def wait_seen(self, count=1):
        """The calls seen so far, at least COUNT."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.seen) >= count, TIMEOUT), f"{len(self.seen)} of {count}"
            return list(self.seen)

    # ---- the service ----

    def begin(self, context, method):
        seen = Seen(method, context)
        with self.arrived:
            self.seen.append(seen)
            self.arrived.notify_all()
        if seen.get("do-gzip"):
            context.set_compression(grpc.Compression.Gzip)
        if seen.get("do-headers"):
            context.send_initial_metadata((("x-large", "h" * int(seen.get("do-headers"))), ("x-bytes-bin", b"\0\xff")))
        if seen.get("do-trailers"):
            context.set_trailing_metadata((("x-large", "t" * int(seen.get("do-trailers"))), ("x-end-bin", b"\1\xfe")))
        if seen.get("do-details-bin"):
            context.set_trailing_metadata((("grpc-status-details-bin", seen.get("do-details-bin")),))
        if seen.get("do-sleep"):
            self.release.wait(float(seen.get("do-sleep")))
        if seen.get("do-hang"):
            while not seen.ended.is_set() and not self.release.is_set():
                seen.ended.wait(0.02)
        if seen.get("do-code"):
            context.abort(grpc.StatusCode[seen.get("do-code")], seen.get("do-message") or "asked for")
        return seen

    def unary(self, request, context):
        self.begin(context, "Unary").messages += 1
        return request

    def client_stream(self, requests, context):
        seen = self.begin(context, "ClientStream")
        total = 0
        for request in requests:
            seen.messages += 1
            total += len(request)
        return str(total).encode()

    def server_stream(self, request, context):
        seen = self.begin(context, "ServerStream")
        for i in range(int(seen.get("do-count") or 1)):
            seen.messages += 1
            yield request + str(i).encode() if not seen.get("do-size") else b"s" * int(seen.get("do-size"))
        if seen.get("do-last-code"):
            context.abort(grpc.StatusCode[seen.get("do-last-code")], "after the messages")
        if seen.get("do-stay"):
            while not seen.ended.is_set() and not self.release.is_set():
                seen.ended.wait(0.02)

    def bidi(self, requests, context):
        seen = self.begin(context, "Bidi")
        for request in requests:
            seen.messages += 1
            yield request

    def service(self, details):
        handlers = {
            "/t.Echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/t.Echo/Look": grpc.unary_unary_rpc_method_handler(self.unary),
            "/t.Echo/ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            "/t.Echo/ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "/t.Echo/Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
        }
        return handlers.get(details.method)


class Echo:
    """The client side of t.Echo."""

    def __init__(self, channel):
        self.unary = channel.unary_unary("/t.Echo/Unary")
        self.client_stream = channel.stream_unary("/t.Echo/ClientStream")
        self.server_stream = channel.unary_stream("/t.Echo/ServerStream")
        self.bidi = channel.stream_stream("/t.Echo/Bidi")


def code_of(call):
    """CALL() fails; its error."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def error_of(call):
    try:
        result = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"the call did not fail: {result!r}")
