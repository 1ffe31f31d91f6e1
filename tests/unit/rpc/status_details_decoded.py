"""Decodes what status_details_print writes with Google's protobuf library. Usage: status_details_decoded.py PRINTER"""
import base64
import random
import subprocess
import sys

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory

Field = descriptor_pb2.FieldDescriptorProto


def message_types():
    """google.rpc.Status, ErrorInfo and RetryInfo as in googleapis (google/rpc/status.proto, error_details.proto)."""
    pool = descriptor_pool.Default()
    file = descriptor_pb2.FileDescriptorProto(
        name="status_details_test.proto", package="google.rpc", syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name])

    def add(message, name, number, kind, label=Field.LABEL_OPTIONAL, type_name=None):
        message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)

    status = file.message_type.add(name="Status")
    add(status, "code", 1, Field.TYPE_INT32)
    add(status, "message", 2, Field.TYPE_STRING)
    add(status, "details", 3, Field.TYPE_MESSAGE, Field.LABEL_REPEATED, ".google.protobuf.Any")
    info = file.message_type.add(name="ErrorInfo")
    add(info, "reason", 1, Field.TYPE_STRING)
    add(info, "domain", 2, Field.TYPE_STRING)
    entry = info.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, Field.TYPE_STRING)
    add(entry, "value", 2, Field.TYPE_STRING)
    add(info, "metadata", 3, Field.TYPE_MESSAGE, Field.LABEL_REPEATED, ".google.rpc.ErrorInfo.MetadataEntry")
    retry = file.message_type.add(name="RetryInfo")
    add(retry, "retry_delay", 1, Field.TYPE_MESSAGE, type_name=".google.protobuf.Duration")
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName("google.rpc." + name))
            for name in ("Status", "ErrorInfo", "RetryInfo")]


Status, ErrorInfo, RetryInfo = message_types()


def check(printer, code, message, reason, retry_ns, metadata):
    args = [str(code).encode(), message, reason.encode(), str(retry_ns).encode()]
    for key, value in metadata.items():
        args += [key.encode(), value]
    text = subprocess.run([printer, *args], stdout=subprocess.PIPE, check=True, timeout=10).stdout.strip()
    assert b"=" not in text, text
    status = Status.FromString(base64.b64decode(text + b"=" * (-len(text) % 4), validate=True))
    utf8 = all(is_utf8(b) for b in (message, *metadata.values()))
    assert status.code == code, (status, code)
    if utf8:
        assert status.message == message.decode(), (status.message, message)
    details = list(status.details)
    if reason:
        info = ErrorInfo()
        assert details.pop(0).Unpack(info)
        assert (info.reason, info.domain) == (reason, "fusegate"), info
        assert set(info.metadata) == set(metadata), (info, metadata)
        if utf8:
            assert dict(info.metadata) == {k: v.decode() for k, v in metadata.items()}, (info, metadata)
    if retry_ns:
        retry = RetryInfo()
        assert details.pop(0).Unpack(retry)
        assert retry.retry_delay.seconds * 10**9 + retry.retry_delay.nanos == retry_ns, (retry, retry_ns)
    assert not details, details


def random_bytes(rng):
    return bytes(rng.randrange(1, 256) for _ in range(rng.randrange(300)))


def is_utf8(text):
    try:
        text.decode()
        return True
    except UnicodeDecodeError:
        return False


def main():
    printer = sys.argv[1]
    check(printer, 0, b"", "", 0, {})
    check(printer, 14, b"no endpoint", "", 0, {})
    check(printer, 14, b"breaker open", "BREAKER_OPEN", 4_999_999_999,
          {"cluster": b"orders", "endpoint": b"10.0.0.1:50051", "method": b"/order.v1.OrderService/Place",
           "observed": b"0.5"})
    check(printer, 8, "zu viel: caf\u00e9 \U0001f355".encode(), "LIMIT", 1, {"empty": b"", "long": b"x" * 40000})
    check(printer, 16, b"", "AUTH", 2**64 - 1, {})
    check(printer, 4, b"", "", 10**9, {})
    check(printer, 3, b"bad \xff\xc3 text", "BAD", 0, {"method": b"/\xed\xa0\x80/\xf5"})
    rng = random.Random(1)
    for _ in range(60):
        metadata = {f"k{i}": random_bytes(rng) for i in range(rng.randrange(5))}
        retry_ns = rng.choice([0, rng.randrange(1, 10**12)])
        check(printer, rng.randrange(17), random_bytes(rng), rng.choice(["", "R"]), retry_ns, metadata)


if __name__ == "__main__":
    main()
