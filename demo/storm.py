"""Customers: threads that order at a steady rate, and the record of what became of each call."""
import threading
import time
from dataclasses import dataclass

import grpc

from stubs import Restaurant, order_request

CHANNEL_OPTIONS = [
    ("grpc.enable_retries", 0),  # each customer sees what happens to each call
    ("grpc.use_local_subchannel_pool", 1),  # and has a connection of its own
]


@dataclass(frozen=True)
class Served:
    begin: float  # monotonic seconds
    end: float
    kitchen: str  # that answered; "" when the call failed
    code: grpc.StatusCode

    @property
    def failed(self):
        return self.code is not grpc.StatusCode.OK


class Storm:
    """CUSTOMERS threads, each of which begins a call every PERIOD seconds until stop()."""

    def __init__(self, address, customers=4, period=0.01):
        self.served = []  # appended by all threads: list.append is atomic
        self._period = period
        self._stop = threading.Event()
        self._channels = [grpc.insecure_channel(address, options=CHANNEL_OPTIONS) for _ in range(customers)]
        self._threads = [threading.Thread(target=self._order, args=(i,), daemon=True) for i in range(customers)]
        for thread in self._threads:
            thread.start()

    def _order(self, customer):
        api = Restaurant(self._channels[customer])
        request = order_request(customer + 1, ("beef noodles", 1, 1250))
        due = time.monotonic() + self._period * customer / len(self._channels)
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._period, time.monotonic() - self._period)  # a slow call is not made up for
            begin = time.monotonic()
            kitchen, code = "", grpc.StatusCode.OK
            try:
                kitchen = api.orders.CreateOrder(request, timeout=5).kitchen
            except grpc.RpcError as error:
                code = error.code()
            self.served.append(Served(begin, time.monotonic(), kitchen, code))

    def between(self, begin, end):
        """Calls begun in that time, in the order of their end."""
        return sorted((call for call in list(self.served) if begin <= call.begin < end), key=lambda call: call.end)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for channel in self._channels:
            channel.close()
