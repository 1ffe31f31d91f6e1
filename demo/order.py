#!/usr/bin/python3
"""A customer, a cook and an arsonist on the command line.

    order.py --to HOST:PORT create --table 4 "beef noodles" "tea"
    order.py --to HOST:PORT get north-17 | cancel north-17
    order.py --to HOST:PORT table --table 4 "soup" "beef noodles"       one stream of orders, one receipt
    order.py --to HOST:PORT --kitchen north watch [--events 5]          what happens to orders
    order.py --to HOST:PORT --kitchen north cook [--events 5]           the screen in the kitchen: cooks what comes
    order.py --to HOST:PORT --kitchen north fault trailer_error [14]    "fault none" heals
    order.py --to HOST:PORT --kitchen north stats
"""
import argparse
import os
import queue
import sys

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc  # noqa: E402

from stubs import Restaurant, order_pb2, order_request  # noqa: E402

PRICE_CENTS = 1250


def show(order):
    items = ", ".join(f"{item.count} x {item.dish}" for item in order.items)
    state = order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_").lower()
    return f"{order.id}  table {order.table}  {items}  {order.total_cents / 100:.2f}  {state}"


def kitchen_of(arguments):
    """An id begins with the kitchen's name, so whoever has an id need not say it."""
    name = arguments.kitchen or (arguments.id.split("-")[0] if "id" in arguments else "")
    return [("x-kitchen", name)] if name else []


def create(api, arguments, metadata):
    dishes = [(dish, 1, PRICE_CENTS) for dish in arguments.dish]
    print(show(api.orders.CreateOrder(order_request(arguments.table, *dishes), metadata=metadata, timeout=10)))


def get(api, arguments, metadata):
    print(show(api.orders.GetOrder(order_pb2.GetOrderRequest(id=arguments.id), metadata=metadata, timeout=10)))


def cancel(api, arguments, metadata):
    print(show(api.orders.CancelOrder(order_pb2.CancelOrderRequest(id=arguments.id), metadata=metadata, timeout=10)))


def table(api, arguments, metadata):
    orders = (order_request(arguments.table, (dish, 1, PRICE_CENTS)) for dish in arguments.dish)
    receipt = api.orders.PlaceOrders(orders, metadata=metadata, timeout=10)
    print(f"{' '.join(receipt.order_ids)}  {receipt.total_cents / 100:.2f}")


def watch(api, arguments, metadata):
    request = order_pb2.WatchOrdersRequest(max_events=arguments.events)
    for event in api.streams.WatchOrders(request, metadata=metadata):
        print(f"{event.sequence:6}  {show(event.order) if event.HasField('order') else 'the watch begins'}", flush=True)


def cook(api, arguments, metadata):
    updates = queue.Queue()
    cooked = 0
    for ticket in api.streams.KitchenScreen(iter(updates.get, None), metadata=metadata):
        if ticket.HasField("order"):
            print(show(ticket.order), flush=True)
            updates.put(order_pb2.CookUpdate(order_id=ticket.order.id, state=order_pb2.ORDER_STATE_READY))
            cooked += 1
        if cooked == arguments.events > 0:
            updates.put(None)


def fault(api, arguments, metadata):
    request = order_pb2.SetFaultRequest(kind=arguments.kind, value=arguments.value)
    now = api.faults.SetFault(request, metadata=metadata, timeout=10)
    print(f"fault: {now.kind} {now.value or ''}")


def stats(api, arguments, metadata):
    found = api.faults.GetStats(order_pb2.GetStatsRequest(), metadata=metadata, timeout=10)
    print(f"{found.kitchen}: {found.orders_created} orders, {found.open_calls} calls on {found.connections} connections")
    for method in found.methods:
        print(f"  {method.method:42} arrived {method.arrived:8}  handled {method.handled:8}  ended {method.ended:8}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the gateway, or a kitchen")
    parser.add_argument("--kitchen", default="", help="name of the kitchen that a gateway shall ask")
    commands = parser.add_subparsers(required=True)

    def add(run, *arguments):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        for name, options in arguments:
            command.add_argument(name, **options)

    of_table = ("--table", {"type": int, "default": 1})
    dishes = ("dish", {"nargs": "+"})
    of_id = ("id", {})
    events = ("--events", {"type": int, "default": 0, "help": "end after as many; 0: never"})
    add(create, of_table, dishes)
    add(get, of_id)
    add(cancel, of_id)
    add(table, of_table, dishes)
    add(watch, events)
    add(cook, events)
    add(fault, ("kind", {}), ("value", {"type": int, "nargs": "?", "default": 0}))
    add(stats)
    return parser.parse_args()


def main():
    arguments = parse()
    with grpc.insecure_channel(arguments.to) as channel:
        try:
            arguments.run(Restaurant(channel), arguments, kitchen_of(arguments))
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
