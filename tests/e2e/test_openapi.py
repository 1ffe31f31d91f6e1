"""The OpenAPI document holds together and says what the REST face does."""
import json
import re

from gateway import run_command
from rest_proto import compile_set


def references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document(tmp_path):
    done = run_command("openapi", compile_set(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["openapi"] == "3.1.0" and document["info"]["title"]
    assert set(document["paths"]) == {
        "/v1/orders", "/v1/orders/{id}", "/v1/orders/{id}/item", "/v1/orders/{id}:cancel", "/v1/{shelf}",
        "/v1/items/{item.name}", "/v1/files/{id}", "/v1/watch/{shelf}", "/v1/upload", "/v1/chat"}
    for reference in references(document):
        assert reference.split("/")[-1] in document["components"]["schemas"], reference
    for path, item in document["paths"].items():
        for operation in item.values():
            names = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert names == set(re.findall(r"{([^}]*)}", path)) and all(p["required"] for p in operation["parameters"]
                                                                       if p["in"] == "path")
            assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("Error")
    get = document["paths"]["/v1/orders/{id}"]["get"]
    query = {p["name"]: p["schema"] for p in get["parameters"] if p["in"] == "query"}
    assert query["at"] == {"type": "string", "format": "date-time"} and query["item.price"]["type"] == "number"
    assert query["kind"]["enum"] == ["UNKNOWN", "FOOD"] and query["tags"]["type"] == "array" and "labels" not in query
    order = document["components"]["schemas"]["t.Order"]["properties"]
    assert order["id"] == {"type": "string", "format": "int64"}
    assert order["labels"]["additionalProperties"] == {"type": "string"}
    watch = document["paths"]["/v1/watch/{shelf}"]["get"]["responses"]["200"]
    assert list(watch["content"]) == ["application/x-ndjson"]


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff")
    assert run_command("openapi", str(tmp_path / "x")).returncode == 1
    assert run_command("openapi", str(tmp_path / "missing")).returncode == 1
    assert run_command("openapi").returncode == 2
