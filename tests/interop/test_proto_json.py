"""protobuf <-> JSON against python3-protobuf: every kind of field, both directions, generated messages, wires that only
a strange writer makes, and what has to be refused. proto_json_tool (tests/unit/rpc) does the converting."""
import base64
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO3 = """
syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { COLOR_NONE = 0; RED = 1; GREEN = 2; BLUE = -3; }
enum Alias { option allow_alias = true; A0 = 0; A1 = 1; ALSO_1 = 1; }
message Inner { int32 a = 1; string b_c = 2; Inner next = 3; repeated int64 many = 4; }
message All {
  double d = 1; float f = 2; int64 i64 = 3; uint64 u64 = 4; int32 i32 = 5; fixed64 x64 = 6; fixed32 x32 = 7;
  bool flag = 8; string text_value = 9; Inner inner = 11; bytes raw = 12; uint32 u32 = 13; Color color = 14;
  sfixed32 sx32 = 15; sfixed64 sx64 = 16; sint32 s32 = 17; sint64 s64 = 18; Alias alias = 19;
  repeated double rd = 21; repeated float rf = 22; repeated int64 ri64 = 23; repeated uint64 ru64 = 24;
  repeated int32 ri32 = 25; repeated fixed64 rx64 = 26; repeated fixed32 rx32 = 27; repeated bool rflag = 28;
  repeated string rtext = 29; repeated Inner rinner = 31; repeated bytes rraw = 32; repeated uint32 ru32 = 33;
  repeated Color rcolor = 34; repeated sfixed32 rsx32 = 35; repeated sfixed64 rsx64 = 36; repeated sint32 rs32 = 37;
  repeated sint64 rs64 = 38; repeated int32 loose = 39 [packed = false];
  map<string, string> mss = 41; map<int32, Inner> mim = 42; map<bool, Color> mbe = 43; map<uint64, double> mud = 44;
  map<sint64, bytes> msb = 45; map<string, google.protobuf.Value> msv = 46; map<fixed32, All> mall = 47;
  oneof pick { int32 pi = 51; string ps = 52; Inner pm = 53; google.protobuf.NullValue pn = 54; bool pb = 55; }
  optional int32 oi = 61; optional string os = 62; optional Color oc = 63; optional bytes ob = 64; optional double od = 65;
  google.protobuf.Timestamp when = 71; google.protobuf.Duration wait = 72; google.protobuf.FieldMask mask = 73;
  google.protobuf.Struct st = 74; google.protobuf.Value va = 75; google.protobuf.ListValue li = 76;
  google.protobuf.Any any = 77; google.protobuf.Empty nothing = 78;
  google.protobuf.DoubleValue wd = 81; google.protobuf.FloatValue wf = 82; google.protobuf.Int64Value wi64 = 83;
  google.protobuf.UInt64Value wu64 = 84; google.protobuf.Int32Value wi32 = 85; google.protobuf.UInt32Value wu32 = 86;
  google.protobuf.BoolValue wb = 87; google.protobuf.StringValue ws = 88; google.protobuf.BytesValue wraw = 89;
  repeated google.protobuf.Timestamp rwhen = 91; repeated google.protobuf.Any rany = 92;
  repeated google.protobuf.Int32Value rwi32 = 93; repeated google.protobuf.Value rva = 94;
  int32 fieldname1 = 401; int32 field_name2 = 402; int32 _field_name3 = 403; int32 field__name4_ = 404;
  int32 field0name5 = 405; int32 FIELD_NAME6 = 406; int32 custom = 407 [json_name = "@cus\\"tom"]; int32 far = 100000;
  All self = 501; repeated All selves = 502;
}
message Item { string sku = 1; int32 quantity = 2; double price = 3; Color color = 4; }
message Order {
  string order_id = 1; int64 customer = 2; repeated Item items = 3; google.protobuf.Timestamp placed = 4;
  bool express = 5; map<string, string> labels = 6; repeated int32 codes = 7;
}
"""
PROTO2 = """
syntax = "proto2";
package t2;
enum Closed { ONE = 1; TWO = 2; }
message Old {
  optional int32 a = 1 [default = 7]; repeated int32 r = 2; repeated int32 p = 3 [packed = true]; optional Closed c = 4;
  optional group Pair = 5 { optional int32 x = 1; optional string y = 2; optional group Deep = 3 { optional int32 z = 1; } }
  repeated group Many = 6 { optional int32 x = 1; }
  optional string s = 7;
}
"""
EMIT_DEFAULTS, ORIGINAL_NAMES, IGNORE_UNKNOWN, ENUM_NUMBERS = 1, 2, 4, 8


def tool_path():
    named = os.environ.get("PROTO_JSON_TOOL")
    build = pathlib.Path(os.environ.get("FUSEGATE_BIN", ROOT / "build-asan" / "fusegate")).parent
    return named or str(build / "tests" / "unit" / "rpc" / "proto_json_tool")


class Tool:
    def __init__(self, set_file, raw):
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(raw).file:
            pool.Add(file)
        self.pool = pool
        self.factory = message_factory.MessageFactory(pool)
        self.process = subprocess.Popen([tool_path(), set_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def type(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def ask(self, direction, name, message, part=0, flags=0):
        self.process.stdin.write(direction + struct.pack("<BIII", flags, len(name), part, len(message)) + name.encode() +
                                 message)
        self.process.stdin.flush()
        head = self.process.stdout.read(5)
        assert len(head) == 5, "proto_json_tool has died"
        return head[:1] == b"y", self.process.stdout.read(struct.unpack("<I", head[1:])[0])

    def to_json(self, name, wire, **more):
        ok, answer = self.ask(b"P", name, wire, **more)
        assert ok, answer
        return answer.decode()

    def to_wire(self, name, text, **more):
        ok, answer = self.ask(b"J", name, text if isinstance(text, bytes) else text.encode(), **more)
        assert ok, (answer, text)
        return answer

    def refusal(self, name, text, **more):
        ok, answer = self.ask(b"J", name, text if isinstance(text, bytes) else text.encode(), **more)
        assert not ok, (answer, text)
        return answer.decode()


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    if not os.path.exists(tool_path()):
        pytest.skip("proto_json_tool is not built")
    assert shutil.which("protoc"), "protoc (protobuf-compiler) is missing"
    folder = tmp_path_factory.mktemp("proto")
    (folder / "t.proto").write_text(PROTO3)
    (folder / "t2.proto").write_text(PROTO2)
    subprocess.run(["protoc", f"-I{folder}", "--include_imports", f"--descriptor_set_out={folder}/set", "t.proto",
                    "t2.proto"], check=True)
    tool = Tool(str(folder / "set"), (folder / "set").read_bytes())
    yield tool
    tool.process.stdin.close()
    assert tool.process.wait(30) == 0


# ---- generated messages ----

INTEGERS = {"int32": 32, "sint32": 32, "sfixed32": 32, "int64": 64, "sint64": 64, "sfixed64": 64, "uint32": -32,
            "fixed32": -32, "uint64": -64, "fixed64": -64}
TYPE_NAMES = {value: name[5:].lower() for name, value in descriptor_pb2.FieldDescriptorProto.Type.items()}
DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.1, 12.99, 1e15, 1e16, 123456789.125, 1e300, -1e-300, 5e-324, 1.7976931348623157e308,
           float("inf"), float("-inf"), float("nan"), 0.1 + 0.2, 1 / 3, 2.0 ** 53, 2.0 ** 53 + 2, 1e-7, 123456.789]
TEXTS = ["", "x", "plain text", "\u4f60\u597d\uff0c\u4e16\u754c", "\U0001f600\ud7ff\ue000", 'q"uo\\te/', "\x00\x01\x1f\x7f\b\f\n\r\t",
         "a" * 200, "\u00e9" * 70]


def some_text(rng):
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(TEXTS)
    if kind < 0.97:
        return "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x80, 0xd800)])) for _ in range(rng.randrange(20)))
    return rng.choice("ab\u4f60") * rng.randrange(40000)


def some_number(rng, kind):
    if kind == "double":
        return rng.choice(DOUBLES) if rng.random() < 0.6 else rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 20)
    if kind == "float":
        value = rng.choice(DOUBLES) if rng.random() < 0.4 else rng.uniform(-1, 1) * 10 ** rng.randrange(-30, 30)
        return struct.unpack("<f", struct.pack("<f", value))[0] if abs(value) < 3e38 or value != value else 1.5
    bits = INTEGERS[kind]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if bits > 0 else (0, (1 << -bits) - 1)
    return rng.choice([low, high, 0, 1, rng.randrange(low, high + 1), rng.randrange(max(low, -200), 200)])


def some_json(rng, depth):
    kind = rng.randrange(8 if depth > 0 else 6)
    if kind < 6:
        return [None, True, False, rng.choice(DOUBLES[:13]), some_text(rng), 7][kind]
    if kind == 6:
        return [some_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {some_text(rng): some_json(rng, depth - 1) for _ in range(rng.randrange(4))}


def fill_known(rng, tool, message, depth):
    """A well-known message in place; False: it is none."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        message.seconds = rng.choice([0, -62135596800, 253402300799, rng.randrange(-62135596800, 253402300800)])
        message.nanos = rng.choice([0, 1, 999999999, 500000000, 120000, rng.randrange(10 ** 9)])
    elif name == "google.protobuf.Duration":
        sign = rng.choice([1, -1])
        message.seconds = sign * rng.choice([0, 1, 315576000000, rng.randrange(10 ** 6)])
        message.nanos = sign * rng.choice([0, 1, 999999999, 500000000, rng.randrange(10 ** 9)])
    elif name == "google.protobuf.FieldMask":
        message.paths.extend(rng.sample(["a", "foo_bar", "x.y_z.w", "f1.b2_c"], rng.randrange(4)))
    elif name == "google.protobuf.Any":
        inner = tool.type(rng.choice(["t.Inner", "google.protobuf.Duration", "google.protobuf.Int64Value",
                                      "google.protobuf.Struct", "google.protobuf.Any"]))()
        fill(rng, tool, inner, depth - 1)
        message.type_url = "type.googleapis.com/" + inner.DESCRIPTOR.full_name
        message.value = inner.SerializeToString()
        if inner.DESCRIPTOR.full_name == "google.protobuf.Any" and not inner.type_url:
            message.Clear()
    elif name in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"):
        value = some_json(rng, 3)
        if name.endswith("Struct"):
            value = {"k": value}
        elif name.endswith("ListValue"):
            value = [value, 1]
        json_format.ParseDict(value, message)
    else:
        return False
    return True


def scalar(rng, field):
    kind = TYPE_NAMES[field.type]
    if kind == "string":
        return some_text(rng)
    if kind == "bytes":
        return rng.randbytes(rng.choice([0, 1, 2, 3, 4, 50, 191, 192, 193]))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "enum":
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return 0
        numbers = [value.number for value in field.enum_type.values]
        return rng.choice(numbers + ([77] if field.file.syntax == "proto3" else []))
    return some_number(rng, kind)


def fill_map(rng, tool, target, field, depth):
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    for _ in range(rng.randrange(4)):
        if value.message_type:
            fill(rng, tool, target[scalar(rng, key)], depth - 1)
        else:
            target[scalar(rng, key)] = scalar(rng, value)


def fill(rng, tool, message, depth):
    if fill_known(rng, tool, message, depth):
        return
    share = rng.choice([0.05, 0.2, 0.6]) if depth > 1 else 0.1
    for field in message.DESCRIPTOR.fields:
        deep = field.message_type and field.message_type.full_name in ("t.All", "t.Inner")
        if rng.random() > share and not message.DESCRIPTOR.full_name.endswith("Value") or (depth <= 0 and field.message_type):
            continue
        if deep and depth <= 1 and rng.random() < 0.7:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            fill_map(rng, tool, getattr(message, field.name), field, depth)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(rng.randrange(4)):
                if field.message_type:
                    fill(rng, tool, getattr(message, field.name).add(), depth - 1)
                else:
                    getattr(message, field.name).append(scalar(rng, field))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(rng, tool, getattr(message, field.name), depth - 1)
        else:
            setattr(message, field.name, scalar(rng, field))


def generated(tool, seed, name="t.All"):
    rng = random.Random(seed)
    while True:
        message = tool.type(name)()
        fill(rng, tool, message, 3)
        try:
            theirs = json_format.MessageToJson(message, descriptor_pool=tool.pool)
        except json_format.SerializeToJsonError:  # a Value that is infinite
            continue
        return rng, message, theirs


def canonical(message):
    return message.SerializeToString(deterministic=True)


def parts_of(rng):
    return rng.choice([0, 0, 1, 2, 3, 7, 64, 1000, 4096])


def same_message(tool, wire, message, theirs):
    """Maps and what is inside an Any may be serialized in several ways: then their own JSON of it decides."""
    read = type(message).FromString(wire)
    if canonical(read) != canonical(message):
        same_json(json_format.MessageToJson(read, descriptor_pool=tool.pool), theirs)


def same_json(ours, theirs):
    """NaN is a string in this JSON, so equality does."""
    assert json.loads(ours) == json.loads(theirs)


@pytest.mark.parametrize("batch", range(20))
def test_generated_messages_both_ways(tool, batch):
    for seed in range(batch * 20, batch * 20 + 20):
        rng, message, theirs = generated(tool, seed)
        ours = tool.to_json("t.All", message.SerializeToString(), part=parts_of(rng))
        same_json(ours, theirs)
        for text in (ours, theirs):
            wire = tool.to_wire("t.All", text, part=parts_of(rng))
            same_message(tool, wire, message, theirs)


@pytest.mark.parametrize("batch", range(5))
def test_options(tool, batch):
    for seed in range(1000 + batch * 20, 1020 + batch * 20):
        rng, message, plain = generated(tool, seed)
        wire = message.SerializeToString()
        for flags, how in ((EMIT_DEFAULTS, {"including_default_value_fields": True}),
                           (ORIGINAL_NAMES, {"preserving_proto_field_name": True}), (ENUM_NUMBERS, {"use_integers_for_enums": True})):
            theirs = json.loads(json_format.MessageToJson(message, descriptor_pool=tool.pool, **how))
            ours = tool.to_json("t.All", wire, flags=flags, part=parts_of(rng))
            assert null_as_zero(json.loads(ours)) == null_as_zero(theirs)
            if flags != EMIT_DEFAULTS:
                same_message(tool, tool.to_wire("t.All", ours), message, plain)


def null_as_zero(value):
    """As numbers python3-protobuf writes NullValue as 0."""
    if isinstance(value, dict):
        return {key: 0 if key == "pn" else null_as_zero(part) for key, part in value.items()}
    return [null_as_zero(part) for part in value] if isinstance(value, list) else value


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def top_fields(wire):
    """The fields of a message as pieces."""
    def number_at(at):
        value = shift = 0
        while True:
            value |= (wire[at] & 0x7f) << shift
            at += 1
            shift += 7
            if wire[at - 1] < 0x80:
                return value, at
    fields, at = [], 0
    while at < len(wire):
        begin = at
        tag, at = number_at(at)
        if tag & 7 == 0:
            _, at = number_at(at)
        elif tag & 7 == 2:
            length, at = number_at(at)
            at += length
        else:
            at += 8 if tag & 7 == 1 else 4
        fields.append(wire[begin:at])
    return fields


@pytest.mark.parametrize("batch", range(10))
def test_scattered_fields_are_merged(tool, batch):
    """Two messages after each other, their fields in any order, unknown ones between: what python3-protobuf makes of it."""
    kind = tool.type("t.All")
    for seed in range(2000 + batch * 20, 2020 + batch * 20):
        rng, first, _ = generated(tool, seed)
        second = generated(tool, seed + 10000)[1]
        fields = top_fields(first.SerializeToString()) + top_fields(second.SerializeToString())
        rng.shuffle(fields)
        fields.insert(rng.randrange(len(fields) + 1), varint(99999 << 3 | 3) + b"\x0a\x02hi" + varint(99999 << 3 | 4))
        wire = b"".join(fields)
        try:
            merged = kind.FromString(wire)
            theirs = json_format.MessageToJson(merged, descriptor_pool=tool.pool)
        except Exception:  # Any or Duration of two halves that do not fit
            continue
        same_json(tool.to_json("t.All", wire, part=parts_of(rng)), theirs)


def test_proto2_and_groups(tool):
    kind = tool.type("t2.Old")
    old = kind(a=0, r=[1, 2], p=[3, 4], c=2, s="")
    old.pair.x, old.pair.y, old.pair.deep.z = 1, "why", 5
    old.many.add(x=1)
    old.many.add()
    for part in (0, 1, 3):
        ours = tool.to_json("t2.Old", old.SerializeToString(), part=part)
        same_json(ours, json_format.MessageToJson(old))
        assert kind.FromString(tool.to_wire("t2.Old", ours, part=part)) == old
    assert "no such number" in tool.refusal("t2.Old", '{"c": 3}')
    assert tool.to_wire("t2.Old", '{"c": 3, "a": 1}', flags=IGNORE_UNKNOWN) == b"\x08\x01"


# ---- what is read and refused ----

ACCEPTED = [
    ('{"i32": 1e2}', {"i32": 100}), ('{"i32": 1.0}', {"i32": 1}), ('{"i32": "12"}', {"i32": 12}),
    ('{"i32": -0}', {}), ('{"i32": 2147483647.0}', {"i32": 2147483647}), ('{"i32": "1e2"}', {"i32": 100}),
    ('{"i64": 9223372036854775807}', {"i64": 9223372036854775807}), ('{"i64": "-9223372036854775808"}', {"i64": -(1 << 63)}),
    ('{"u64": 1844674407370955161.5e1}', {"u64": (1 << 64) - 1}), ('{"u64": "18446744073709551615"}', {"u64": (1 << 64) - 1}),
    ('{"i32": 120000e-4}', {"i32": 12}), ('{"i32": 0e999999999}', {}), ('{"i32": 0.000e5}', {}),
    ('{"d": 1e-999}', {}), ('{"d": "1.5"}', {"d": 1.5}), ('{"d": "-Infinity"}', {"d": float("-inf")}),
    ('{"f": 3.4028235e38}', {"f": 3.4028234663852886e38}), ('{"text_value": "a", "i32": 1}', {"text_value": "a", "i32": 1}),
    ('{"textValue": "\\ud83d\\ude00\\u0000\\/"}', {"text_value": "\U0001f600\0/"}), ('{"color": 2}', {"color": 2}),
    ('{"color": "BLUE"}', {"color": -3}), ('{"color": "1"}', {"color": 1}), ('{"color": 99}', {"color": 99}),
    ('{"raw": "-_8="}', {"raw": b"\xfb\xff"}), ('{"raw": "+/8"}', {"raw": b"\xfb\xff"}), ('{"raw": "AQ=="}', {"raw": b"\x01"}),
    ('{"inner": null, "i32": null, "rinner": null, "mss": null}', {}), ('{"pi": null, "ps": "x"}', {"ps": "x"}),
    ('{"pn": null}', {"pn": 0}), ('{"oi": 0}', {"oi": 0}), ('{"oi": null}', {}), (' {\t"i32"\r\n:\n1 }\n', {"i32": 1}),
    ('{"rd": []}', {}), ('{"mbe": {"true": "RED", "false": 2}}', {"mbe": {True: 1, False: 2}}),
    ('{"FIELDNAME6": 6, "FieldName3": 3, "field_name2": 2, "fieldName4": 4, "@cus\\"tom": 7}',
     {"FIELD_NAME6": 6, "_field_name3": 3, "field_name2": 2, "field__name4_": 4, "custom": 7}),
    ('{"mim": {"-1": {}}}', None), ('{"when": "2024-02-29T23:59:59.123456789+01:30"}', None),
    ('{"when": "0001-01-01T00:00:00Z", "wait": "-0.5s"}', None), ('{"wait": "315576000000.999999999s"}', None),
    ('{"mask": ""}', None), ('{"mask": "a,fooBar.baz"}', None), ('{"va": null}', None), ('{"rva": [null, [1, {"a": null}]]}', None),
    ('{"any": {"value": "3s", "@type": "type.googleapis.com/google.protobuf.Duration"}}', None),
    ('{"any": {"a": 1, "next": {"a": 2}, "@type": "type.googleapis.com/t.Inner"}}', None), ('{"any": {}}', None),
    ('{"nothing": {}, "st": {}, "li": [], "wi32": 0, "ws": ""}', None), ('{"wi64": null}', {}),
]


@pytest.mark.parametrize("text,fields", ACCEPTED, ids=[text for text, _ in ACCEPTED])
def test_accepted(tool, text, fields):
    kind = tool.type("t.All")
    if fields is None:
        expected = json_format.Parse(text, kind(), descriptor_pool=tool.pool)
    else:
        expected = kind(**{name: value for name, value in fields.items() if name != "mbe"})
        for key, value in fields.get("mbe", {}).items():
            expected.mbe[key] = value
    for part in (0, 1, 2, 5):
        assert canonical(kind.FromString(tool.to_wire("t.All", text, part=part))) == canonical(expected)


REFUSED = [
    # Not JSON (RFC 8259).
    ("", "1|1||"), ("{", "1|2||"), ('{"i32" 1}', "1|8|i32|expected ':'"), ('{"i32": 1,}', "1|11||a comma before"),
    ('{"i32": 01}', "i32|a number that JSON"), ('{"i32": +1}', "i32|a number that JSON"), ('{"i32": .5}', "i32|a number"),
    ('{"i32": 1.}', "i32|a number"), ('{"i32": 1e}', "i32|a number"), ('{"i32": 0x1}', "|"), ('{"i32": NaN}', "i32|expected a value"),
    ("{'i32': 1}", "expected a string"), ('{"i32": 1} x', "1|12||something follows"), ('{"i32": 1 "u32": 2}', "expected ','"),
    ('{"rtext": ["a" "b"]}', "rtext|expected ','"), ('{"rtext": ["a",]}', "a comma before"), ('{"textValue": "a\nb"}', "a control"),
    ('{"textValue": "\\x41"}', "an escape"), ('{"textValue": "\\u12"}', "four hexadecimal"), ('{"textValue": "\\ud800"}', "surrogate"),
    ('{"textValue": "\\udc00"}', "surrogate"), ('{"textValue": "\\ud800\\u0041"}', "surrogate"), ('{"textValue": "abc', "ends inside"),
    (b'{"textValue": "\xff"}', "not UTF-8"), (b'{"textValue": "\xc0\x80"}', "not UTF-8"), (b'{"textValue": "\xed\xa0\x80"}', "not UTF-8"),
    (b'{"textValue": "\xf4\x90\x80\x80"}', "not UTF-8"), (b'{"textValue": "\xe4\xbd"}', "not UTF-8"), (b'\xef\xbb\xbf{}', "expected an object"),
    (b'{"\xff": 1}', "not UTF-8"), ("nul", "expected"), ('{"flag": tru}', "flag|expected"), ("[]", "expected an object"),
    # Not this message.
    ('{"nope": 1}', "1|2|nope|t.All has no such field"), ('{"i32": 1, "i32": 2}', "i32|the field comes twice"),
    ('{"textValue": "a", "text_value": "b"}', "textValue|the field comes twice"), ('{"pi": 1, "ps": "a"}', "ps|another field"),
    ('{"pi": 1, "pn": null}', "pn|another field"), ('{"i32": 1.5}', "i32|expected an integer"), ('{"i32": 2147483648}', "range of int32"),
    ('{"i32": -2147483649}', "range of int32"), ('{"u32": -1}', "range of uint32"), ('{"u64": 18446744073709551616}', "range of uint64"),
    ('{"u64": 1e400}', "range of uint64"), ('{"i64": 9223372036854775808}', "range of int64"), ('{"i32": " 1"}', "expected a number"),
    ('{"i32": ""}', "expected a number"), ('{"i32": "0x1"}', "expected a number"), ('{"i32": true}', "i32|expected a value"),
    ('{"i32": {}}', "i32|expected a value"), ('{"d": 1e400}', "range of double"), ('{"d": "nan"}', "expected a number"),
    ('{"f": 3.5e38}', "range of float"), ('{"f": "-1e39"}', "range of float"), ('{"flag": "true"}', "flag|expected true"),
    ('{"flag": 1}', "flag|expected true"), ('{"textValue": 1}', "textValue|expected a string"), ('{"color": "PINK"}', "color|t.Color has no"),
    ('{"color": 2147483648}', "range"), ('{"color": 1.5}', "integer"), ('{"raw": "A"}', "base64"), ('{"raw": "A==="}', "base64"),
    ('{"raw": "AQ="}', "base64"), ('{"raw": "AQ==AQ=="}', "base64"), ('{"raw": "A Q="}', "base64"), ('{"rd": 1}', "rd|expected an array"),
    ('{"rd": {}}', "expected an array"), ('{"rinner": [{}, {"a": 1}, {"a": "x"}]}', "rinner[2].a|expected a number"),
    ('{"rinner": [null]}', "rinner[0]|null"), ('{"ri32": [1, null]}', "ri32[1]|null"), ('{"mss": {"a": null}}', 'mss["a"]|null'),
    ('{"mss": []}', "mss|expected an object"), ('{"mim": {"x": {}}}', 'mim["x"]|expected a number'), ('{"mim": {"1": {"a": []}}}', 'mim["1"].a|'),
    ('{"mbe": {"yes": 1}}', "expected true or false"), ('{"when": "2024-02-30T00:00:00Z"}', "when|expected a time"),
    ('{"when": "2024-01-01T00:00:00"}', "expected a time"), ('{"when": "2024-01-01T00:00:00.Z"}', "expected a time"),
    ('{"when": "0000-01-01T00:00:00Z"}', "expected a time"), ('{"when": "9999-12-31T23:59:59-00:01"}', "expected a time"),
    ('{"wait": "1"}', "wait|expected a duration"), ('{"wait": "315576000001s"}', "duration"), ('{"wait": "1.0000000001s"}', "duration"),
    ('{"wait": "s"}', "duration"), ('{"mask": "foo_bar"}', "mask|expected paths"), ('{"mask": "a,,b"}', "paths"), ('{"mask": "a,"}', "comma"),
    ('{"st": []}', "st|expected an object"), ('{"li": {}}', "li|expected an array"), ('{"wi32": "x"}', "wi32|expected a number"),
    ('{"any": {"a": 1}}', "any|an Any needs"), ('{"any": {"@type": "x/none.Such"}}', "any|the type of an Any"),
    ('{"any": {"@type": "t.Inner"}}', "the type of an Any"), ('{"any": {"@type": "x/t.Inner", "@type": "x/t.Inner"}}', "twice"),
    ('{"any": {"@type": "x/google.protobuf.Duration"}}', 'needs "value"'), ('{"any": {"@type": "x/t.Inner", "b": 1}}', "any.b|t.Inner has no"),
    ('\n\n  {"inner":\n {"next": {"a":\n   false}}}', "5|4|inner.next.a|"), ('{"i32": ' + "1" * 600 + "}", "too many digits"),
]


@pytest.mark.parametrize("text,message", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_refused_with_place_and_path(tool, text, message):
    for part in (0, 1, 3):
        answer = tool.refusal("t.All", text, part=part)
        assert answer.startswith("INVALID_ARGUMENT|") and message in answer, answer


def test_numbers_and_names_in_one_part_or_many(tool):
    """What lies in one part takes a shorter way, up to 15 digits of a double and 18 of an integer."""
    kind = tool.type("t.All")
    for number in ("0", "-0", "0.0", "-0.0", "0.1", "0.000000000000001", "999999999999999", "9007199254740993",
                   "123456789012.345", "1234567890123.456", "0.30000000000000004", "99.99999999999999999", "1e15",
                   "1.5E+2", "25e-1"):
        for part in (0, 1, 5):
            for text in ('{"d": %s}', '{"d":"%s"}', '{"rd":[%s]}', '{"rd":["%s" ]}'):
                got = kind.FromString(tool.to_wire("t.All", text % number, part=part))
                assert repr(got.rd[0] if got.rd else got.d) == repr(float(number)), (text, number)
    for number in (0, 99999999999999999, 10**18 - 1, 10**18, 2**63 - 1, -2**63, -10**18 + 1, -1):
        for part in (0, 1, 5):
            for text in ('{"i64": %d}', '{"i64":"%d"}', '{"i64":%d.0}'):
                assert kind.FromString(tool.to_wire("t.All", text % number, part=part)).i64 == number
    for text in ('{"d" :1,"f":2,"i64": 3,"u64":"4","i32" : 5}', '{"i32":5,"i64":"3","u64":4,"f":2,"d":1}',
                 '{"f": 2, "d": 1, "u64": 4, "i64": 3, "i32": 5}'):
        for part in (0, 1, 5):
            assert kind.FromString(tool.to_wire("t.All", text, part=part)) == kind(d=1, f=2, i64=3, u64=4, i32=5)


def test_depth(tool):
    def nested(depth):
        return '{"next":' * depth + "{}" + "}" * depth
    kind = tool.type("t.Inner")
    wire = tool.to_wire("t.Inner", nested(99))
    assert kind.FromString(wire).next.next
    same_json(tool.to_json("t.Inner", wire), nested(99))
    assert "more than 100 deep" in tool.refusal("t.Inner", nested(100))
    ok, answer = tool.ask(b"P", "t.Inner", varint(3 << 3 | 2) + varint(len(wire)) + wire)
    assert not ok and b"more than 100 deep" in answer
    assert "deep" in tool.refusal("t.All", '{"va": ' + "[" * 100000)
    assert "deep" in tool.refusal("t.All", '{"nope": ' + "[" * 100000, flags=IGNORE_UNKNOWN)


def test_unknown_is_ignored_on_demand(tool):
    kind = tool.type("t.All")
    text = ('{"nope": {"a": [1, "\\u0041", {"b": null}]}, "i32": 1, "color": "PINK", "rcolor": ["RED", "PINK", "BLUE"],'
            ' "mbe": {"true": "PINK", "false": "RED"}, "inner": {"zzz": 1, "a": 2}}')
    expected = kind(i32=1, rcolor=[1, -3], inner={"a": 2}, mbe={False: 1})
    assert kind.FromString(tool.to_wire("t.All", text, flags=IGNORE_UNKNOWN)) == expected
    tool.refusal("t.All", '{"nope": [1,]}', flags=IGNORE_UNKNOWN)


def test_broken_protobuf_is_refused(tool):
    _, message, _ = generated(tool, 4)
    wire = message.SerializeToString()
    whole = [b"".join(top_fields(wire)[:count]) for count in range(len(top_fields(wire)) + 1)]
    for cut in range(0, min(len(wire), 600)):
        ok, answer = tool.ask(b"P", "t.All", wire[:cut])
        assert ok == (wire[:cut] in whole) or b"range" in answer, (cut, answer)
    bad_text = varint(9 << 3 | 2) + b"\x01\xff"
    assert tool.ask(b"P", "t.All", bad_text) == (False, b"INVALID_ARGUMENT|0|0|text_value|a string is not UTF-8")


def test_large_messages(tool):
    """Lengths of messages that span chunks, strings that span parts."""
    kind = tool.type("t.All")
    rng = random.Random(7)
    message = kind()
    for i in range(3000):
        item = message.rinner.add(a=i, b_c="x" * rng.randrange(300))
        item.next.many.extend(range(rng.randrange(60)))
        if i % 500 == 0:
            deep = item.next
            for _ in range(60):
                deep = deep.next
                deep.b_c = "y" * rng.randrange(1000)
    message.self.self.raw = rng.randbytes(300000)
    message.self.mss["k" * 40000] = "v" * 40000
    wire = message.SerializeToString()
    text = json_format.MessageToJson(message)
    for part in (0, 4096, 16384):
        same_json(tool.to_json("t.All", wire, part=part), text)
        assert kind.FromString(tool.to_wire("t.All", text, part=part)) == message


def test_repeated_fields_far_apart_are_bounded(tool):
    """Interleaved lists are collected; many lists, all of them interleaved, are refused rather than paid for."""
    two = b"".join(varint(25 << 3) + varint(i) + varint(33 << 3) + varint(i) for i in range(2000))
    value = json.loads(tool.to_json("t.All", two))
    assert value == {"ri32": list(range(2000)), "ru32": list(range(2000))}
    pieces = b"".join(varint(11 << 3 | 2) + b"\x02\x20" + varint(i % 100) for i in range(3000))
    assert json.loads(tool.to_json("t.All", pieces, part=7)) == {"inner": {"many": [str(i % 100) for i in range(3000)]}}
    many = b"".join(varint(11 << 3 | 2) + b"\x02\x20" + varint(i % 100) for i in range(70000))
    assert b"too many pieces" in tool.ask(b"P", "t.All", many)[1]


def test_any_with_its_type_last_is_bounded(tool):
    url = '"@type": "x/google.protobuf.Any"'
    text = '{"@type": "x/t.Inner", "a": 1}'
    for _ in range(40):
        text = '{"value": ' + text + ", " + url + "}"
    assert '"@type\\" has to come first' in tool.refusal("google.protobuf.Any", text).replace('"@type"', '"@type\\"')


def test_base64_is_that_of_python(tool):
    rng = random.Random(3)
    for size in range(0, 400, 7):
        raw = rng.randbytes(size)
        for text in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")):
            wire = tool.to_wire("t.All", b'{"ob": "' + text + b'"}', part=rng.choice([0, 1, 5]))
            assert tool.type("t.All").FromString(wire).ob == raw
