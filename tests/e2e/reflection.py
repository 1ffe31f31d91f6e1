"""A service with messages that are described: t.proto, compiled here, and gRPC's reflection service by hand."""
import os
import subprocess

import grpc
from google.protobuf import descriptor_pb2

from details import fields

PROTO = """
syntax = "proto3";
package t;
import "u.proto";
message Order {
  int64 id = 1;
  string customer_name = 2;
  repeated u.Item items = 3;
  map<string, string> labels = 4;
  bytes blob = 5;
}
service Echo {
  rpc Unary(Order) returns (Order);
  rpc ServerStream(Order) returns (stream Order);
  rpc ClientStream(stream Order) returns (Order);
  rpc Bidi(stream Order) returns (stream Order);
  rpc Look(Order) returns (Order) { option idempotency_level = NO_SIDE_EFFECTS; }
}
"""
IMPORTED = """
syntax = "proto3";
package u;
message Item { string name = 1; double price = 2; Kind kind = 3; }
enum Kind { UNKNOWN = 0; FOOD = 1; }
"""


def compile_set(folder):
    """The path of a FileDescriptorSet of t.proto."""
    for name, text in (("t.proto", PROTO), ("u.proto", IMPORTED)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    out = os.path.join(folder, "t.pb")
    subprocess.run(["protoc", f"-I{folder}", "--include_imports", f"--descriptor_set_out={out}", "t.proto"], check=True)
    return out


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


class Reflection(grpc.GenericRpcHandler):
    """Gives one file at a time, so that imports have to be asked for."""

    def __init__(self, path, version="v1"):
        with open(path, "rb") as file:
            self.files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
        self.method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        self.asked = 0

    def answer(self, request):
        (number, value), = [(n, v) for n, v in fields(request) if n != 1]
        if number == 7:
            names = ["t.Echo", self.method[1:].split("/")[0]]
            return field(6, b"".join(field(1, field(1, name.encode())) for name in names))
        for file in self.files:
            if (number == 3 and file.name == value.decode()) or (number == 4 and value == b"t.Echo" and file.service):
                return field(4, field(1, file.SerializeToString()))
        return field(7, b"\x08\x05" + field(2, b"not found"))

    def info(self, requests, context):
        self.asked += 1
        for request in requests:
            yield self.answer(request)

    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self.info) if details.method == self.method else None
