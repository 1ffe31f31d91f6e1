"""A service with google.api.http rules. The options are declared here: Debian has no googleapis package."""
import os
import subprocess

HTTP = """
syntax = "proto3";
package google.api;
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions { HttpRule http = 72295728; }
message HttpRule {
  string selector = 1;
  oneof pattern { string get = 2; string put = 3; string post = 4; string delete = 5; string patch = 6;
                  CustomHttpPattern custom = 8; }
  string body = 7;
  string response_body = 12;
  repeated HttpRule additional_bindings = 11;
}
message CustomHttpPattern { string kind = 1; string path = 2; }
message HttpBody { string content_type = 1; bytes data = 2; }
"""
SERVICE = """
syntax = "proto3";
package t;
import "http.proto";
import "google/protobuf/timestamp.proto";
message Item { string name = 1; double price = 2; }
enum Kind { UNKNOWN = 0; FOOD = 1; }
message Order {
  int64 id = 1;
  string shelf = 2;
  Item item = 3;
  repeated string tags = 4;
  Kind kind = 5;
  google.protobuf.Timestamp at = 6;
  map<string, string> labels = 7;
  google.api.HttpBody file = 8;
}
service Echo {
  rpc Unary(Order) returns (Order) {
    option (google.api.http) = {
      get: "/v1/orders/{id}"
      additional_bindings { post: "/v1/orders" body: "*" }
      additional_bindings { put: "/v1/orders/{id}/item" body: "item" }
      additional_bindings { get: "/v1/{shelf=shelves/*/books/**}" }
      additional_bindings { post: "/v1/orders/{id}:cancel" body: "*" }
      additional_bindings { custom { kind: "HEADS" path: "/v1/custom" } }
      additional_bindings { get: "/v1/items/{item.name}" response_body: "item" }
      additional_bindings { post: "/v1/files/{id}" body: "file" response_body: "file" }
    };
  }
  rpc ServerStream(Order) returns (stream Order) { option (google.api.http) = { get: "/v1/watch/{shelf}" }; }
  rpc ClientStream(stream Order) returns (Order) { option (google.api.http) = { post: "/v1/upload" body: "*" }; }
  rpc Bidi(stream Order) returns (stream Order) { option (google.api.http) = { post: "/v1/chat" body: "*" }; }
}
"""


def compile_set(folder):
    for name, text in (("http.proto", HTTP), ("t.proto", SERVICE)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    out = os.path.join(folder, "rest.pb")
    subprocess.run(["protoc", f"-I{folder}", "-I/usr/include", "--include_imports", f"--descriptor_set_out={out}",
                    "t.proto"], check=True)
    return out
