"""Decodes grpc-status-details-bin (google.rpc.Status with ErrorInfo and RetryInfo) by hand: Debian has no googleapis
package for Python."""


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """Yields (field number, number or bytes)."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "truncated"
        yield tag >> 3, value


def error_info(data):
    info = {"reason": "", "domain": "", "metadata": {}}
    for number, value in fields(data):
        if number == 3:
            pair = dict(fields(value))
            info["metadata"][pair.get(1, b"").decode()] = pair.get(2, b"").decode()
        else:
            info[{1: "reason", 2: "domain"}[number]] = value.decode()
    return info


def retry_info(data):
    duration = dict(fields(dict(fields(data)).get(1, b"")))
    return {"seconds": duration.get(1, 0) + duration.get(2, 0) / 1e9}


def decode_status(data):
    """{code, message, ErrorInfo: {...}, RetryInfo: {...}}"""
    status = {"code": 0, "message": ""}
    for number, value in fields(data):
        if number == 1:
            status["code"] = value
        elif number == 2:
            status["message"] = value.decode()
        else:
            part = dict(fields(value))
            name = part[1].decode().rsplit(".", 1)[1]
            status[name] = {"ErrorInfo": error_info, "RetryInfo": retry_info}[name](part.get(2, b""))
    return status
