"""All types of calls pass unchanged: messages, metadata, compression, statuses."""
import os
import threading

import grpc
import pytest

from backends import Echo, code_of, error_of
from gateway import TIMEOUT

BIG = os.urandom(4 << 20)


def test_unary_call(echo):
    assert echo.unary(b"hello", timeout=TIMEOUT) == b"hello"


def test_empty_message(echo):
    assert echo.unary(b"", timeout=TIMEOUT) == b""


def test_client_stream(echo):
    assert echo.client_stream(iter([b"x" * 1000] * 100), timeout=TIMEOUT) == b"100000"


def test_client_stream_without_a_message(echo):
    assert echo.client_stream(iter([]), timeout=TIMEOUT) == b"0"


def test_server_stream(echo):
    answer = echo.server_stream(b"m", metadata=[("do-count", "1000")], timeout=TIMEOUT)
    assert list(answer) == [b"m%d" % i for i in range(1000)]


def test_server_stream_without_a_message(echo):
    assert list(echo.server_stream(b"m", metadata=[("do-count", "0")], timeout=TIMEOUT)) == []


def test_server_stream_that_fails_after_its_messages(echo):
    answer = echo.server_stream(b"m", metadata=[("do-count", "3"), ("do-last-code", "ABORTED")], timeout=TIMEOUT)
    assert [next(answer) for _ in range(3)] == [b"m0", b"m1", b"m2"]
    assert code_of(lambda: next(answer)) == grpc.StatusCode.ABORTED


def test_bidi_messages_alternate(echo):
    """Each message is sent only after the echo of the one before: nothing is held back."""
    turn = threading.Semaphore(1)

    def requests():
        for i in range(50):
            assert turn.acquire(timeout=TIMEOUT)
            yield b"%d" % i

    for i, message in enumerate(echo.bidi(requests(), timeout=TIMEOUT)):
        assert message == b"%d" % i
        turn.release()
    assert i == 49


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_messages_of_4_mib(echo, compression):
    assert echo.unary(BIG, compression=compression, metadata=[("do-gzip", "1")], timeout=TIMEOUT) == BIG
    answer = echo.bidi(iter([BIG, b"", BIG]), compression=compression, timeout=TIMEOUT)
    assert [len(message) for message in answer] == [len(BIG), 0, len(BIG)]


def test_gzip_stays_gzip_on_the_way(echo, backend):
    text = b"compress me " * 10000
    call = echo.unary.with_call(text, compression=grpc.Compression.Gzip, metadata=[("do-gzip", "1")], timeout=TIMEOUT)
    assert call[0] == text


def test_metadata_both_ways(echo, backend):
    sent = [("x-text", "a, b; c=d"), ("x-twice", "1"), ("x-twice", "2"), ("x-data-bin", bytes(range(256))),
            ("x-empty", ""), ("x-empty-bin", b"")]
    _, call = echo.unary.with_call(b"", metadata=sent + [("do-headers", "10"), ("do-trailers", "10")], timeout=TIMEOUT)
    seen = backend.wait_seen()[0].metadata
    assert [pair for pair in map(tuple, seen) if pair[0] in dict(sent)] == sent
    assert ("x-bytes-bin", b"\0\xff") in call.initial_metadata()
    assert ("x-end-bin", b"\1\xfe") in call.trailing_metadata()


def test_large_headers_and_trailers(echo):
    size = 16 << 10
    metadata = [("x-fill", "f" * size), ("do-headers", str(size)), ("do-trailers", str(size))]
    _, call = echo.unary.with_call(b"", metadata=metadata, timeout=TIMEOUT)
    assert dict(call.initial_metadata())["x-large"] == "h" * size
    assert dict(call.trailing_metadata())["x-large"] == "t" * size


def test_header_list_over_the_limit_fails_its_call_alone(echo):
    error = error_of(lambda: echo.unary(b"", metadata=[(f"x-{i}", "v") for i in range(110)], timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(error.trailing_metadata())["x-fusegate-origin"] == "local_limit"
    assert echo.unary(b"after", timeout=TIMEOUT) == b"after"


CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def test_every_status_code_and_message_passes(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {enabled: false}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    for code in CODES:
        error = error_of(lambda: echo.unary(b"", metadata=[("do-code", code.name), ("do-message", "why: 100% & more")],
                                            timeout=TIMEOUT))
        assert (error.code(), error.details()) == (code, "why: 100% & more")
        assert "x-fusegate-origin" not in dict(error.trailing_metadata()), "the status is not the gateway's"


def test_unknown_method_is_the_backends_answer(plain):
    unknown = plain.channel().unary_unary("/t.Echo/Nothing")
    error = error_of(lambda: unknown(b"", timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "x-fusegate-origin" not in dict(error.trailing_metadata())


def test_1000_calls_one_after_another(echo):
    for i in range(1000):
        assert echo.unary(b"%d" % i, timeout=TIMEOUT) == b"%d" % i


def test_100_calls_at_once_and_again(plain, echo):
    for _ in range(5):
        calls = [echo.unary.future(b"%d" % i, timeout=TIMEOUT) for i in range(100)]
        assert [call.result() for call in calls] == [b"%d" % i for i in range(100)]
    assert plain.metric("calls_ended_total") == 500


def test_many_channels(plain):
    echoes = [Echo(plain.channel()) for _ in range(50)]
    calls = [echo.unary.future(b"%d" % i, timeout=TIMEOUT) for echo in echoes for i in range(4)]
    assert [call.result() for call in calls] == [b"%d" % i for _ in echoes for i in range(4)]
    assert plain.metric("downstream_connections") == 50
