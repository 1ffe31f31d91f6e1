"""What `./dev bench rest` measures: the rows, the orders that are sent, the figures to reach."""
import json
from dataclasses import dataclass

import work


@dataclass(frozen=True)
class RestWork(work.Work):
    """POST of an order of `message_bytes` as JSON; the answer is the same order."""
    http1: bool = False


SMALL, LARGE = 300, 64 * 1024
WORKS = [
    RestWork("300", "order of 300 bytes, HTTP/1.1, 32 connections", SMALL, 32, 1, http1=True, warm_calls=1000),
    RestWork("64k", "order of 64 KB, HTTP/1.1, 8 connections", LARGE, 8, 1, http1=True, warm_calls=50, least_logged=200),
    RestWork("300-h2", "order of 300 bytes, HTTP/2, 10 x 32", SMALL, 10, 32, warm_calls=1000),
    RestWork("64k-h2", "order of 64 KB, HTTP/2, 4 x 4", LARGE, 4, 4, warm_calls=50, least_logged=200),
]
# The most that fusegate's CPU time per call may be, as a share of the peer's in the same run; for every row.
TARGETS = {"envoy": 1 / 4, "grpc-gateway": 1 / 10}

NAMES = ["Espresso cups", "Käsemesser \"Emmental\"", "Linen tea towel", "日本の急須 0.4 l", "Salt & pepper mill"]
DEFAULTS = (None, "", 0, False, [], {}, "0", "STATUS_UNSPECIFIED")
STREETS = ["Invalidenstraße 117", "5 Rue de l'Échiquier", "Herengracht 182", "Via Tortona 56"]
CITIES = [("Berlin", "DE", 52.5306437, 13.3851206), ("Paris", "FR", 48.8721418, 2.3504527),
          ("Amsterdam", "NL", 52.3713918, 4.8880463), ("Milano", "IT", 45.4523904, 9.1627821)]


def item(i):
    city, country, latitude, longitude = CITIES[i % 4]
    return {"sku": f"SKU-{7919 * (i + 1) % 1000003:06}", "name": NAMES[i % 5], "quantity": i % 7 + 1,
            "price": (i * 1237 % 20000 + 95) / 100, "weightMg": str(2**53 + 1 + 997 * i),
            "tags": ["fragile", f"shelf-{i % 40}"],
            "from": {"street": STREETS[i % 4], "city": city, "country": country, "latitude": latitude,
                     "longitude": longitude}}


def order(size):
    """An order that takes exactly SIZE bytes as JSON. Every field has a value that is not its default, but a small
    order's item has neither tags nor an address."""
    value = {"id": "o-8f14e45f", "customerId": "9007199254740993", "status": "PAID",
             "createTime": "2026-03-01T12:34:56.789Z", "total": 59.85, "currency": "EUR", "gift": True,
             "items": [{key: part for key, part in item(0).items() if key not in ("from", "tags")}],
             "labels": {"via": "web"}, "note": ""}
    while len(encode(value)) + len(encode(item(len(value["items"])))) < size:
        value["items"].append(item(len(value["items"])))
        if len(value["items"]) % 10 == 0:
            value["labels"][f"batch-{len(value['items'])}"] = "ordered by phone"
    while len(encode(value)) > size:
        value["items"].pop()
    words = "Please ring twice. "
    value["note"] = (words * (size // len(words) + 1))[:size - len(encode(value))]
    return value


def encode(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def without_defaults(value):
    """A gateway may write fields that are not set with their default, or null: fusegate and grpc-gateway write an item's
    empty list of tags (grpc-gateway also "from": null), Envoy leaves it out. The mapping permits both."""
    if isinstance(value, dict):
        parts = {key: without_defaults(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in DEFAULTS}
    if isinstance(value, list):
        return [without_defaults(part) for part in value]
    return value
