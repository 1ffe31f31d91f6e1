#include "rpc/status.h"

struct row {
    const char *name;
    struct fg_str number;
    unsigned http;
};

static const struct row rows[FG_STATUS_LEN] = {
#define X(status, code, http_status) [code] = {#status, {#code, sizeof(#code) - 1}, http_status},
    FG_STATUSES(X)
#undef X
};

/* A code outside the enumeration is UNKNOWN (gRPC doc/statuscodes.md). */
static const struct row *row_of(enum fg_status status)
{
    return &rows[(unsigned)status < FG_STATUS_LEN ? status : FG_STATUS_UNKNOWN];
}

const char *fg_status_name(enum fg_status status)
{
    return row_of(status)->name;
}

unsigned fg_status_to_http(enum fg_status status)
{
    return row_of(status)->http;
}

struct fg_str fg_status_number(enum fg_status status)
{
    return row_of(status)->number;
}

enum fg_status fg_status_from_http(unsigned http_status)
{
    switch (http_status) {
    case 400:
    case 431:
        return FG_STATUS_INTERNAL;
    case 401:
        return FG_STATUS_UNAUTHENTICATED;
    case 403:
        return FG_STATUS_PERMISSION_DENIED;
    case 404:
        return FG_STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return FG_STATUS_UNAVAILABLE;
    default:
        return FG_STATUS_UNKNOWN;
    }
}

enum fg_status fg_status_from_h2_error(uint32_t error_code)
{
    switch (error_code) {
    case 0x7: /* REFUSED_STREAM */
        return FG_STATUS_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return FG_STATUS_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return FG_STATUS_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return FG_STATUS_PERMISSION_DENIED;
    default:
        /* The other codes map here; STREAM_CLOSED and HTTP_1_1_REQUIRED have no mapping, and codes nobody knows are
         * to be taken for INTERNAL_ERROR (RFC 9113 section 7). */
        return FG_STATUS_INTERNAL;
    }
}

bool fg_status_parse(struct fg_str value, enum fg_status *out)
{
    unsigned code = 0;

    *out = FG_STATUS_UNKNOWN;
    if (value.len == 0)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)(unsigned char)value.p[i] - '0';
        if (digit > 9)
            return false;
        if (code < FG_STATUS_LEN) /* further digits cannot bring it back into range */
            code = code * 10 + digit;
    }
    if (code < FG_STATUS_LEN)
        *out = (enum fg_status)code;
    return true;
}

enum fg_status fg_status_from_service(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return FG_STATUS_INVALID_ARGUMENT;
    case 401:
        return FG_STATUS_UNAUTHENTICATED;
    case 403:
        return FG_STATUS_PERMISSION_DENIED;
    case 404:
        return FG_STATUS_NOT_FOUND;
    case 409:
        return FG_STATUS_ABORTED;
    case 429:
        return FG_STATUS_RESOURCE_EXHAUSTED;
    case 499:
        return FG_STATUS_CANCELLED;
    case 500:
        return FG_STATUS_INTERNAL;
    case 501:
        return FG_STATUS_UNIMPLEMENTED;
    case 502:
    case 503:
        return FG_STATUS_UNAVAILABLE;
    case 504:
        return FG_STATUS_DEADLINE_EXCEEDED;
    default:
        return http_status < 400 ? FG_STATUS_OK : http_status < 500 ? FG_STATUS_FAILED_PRECONDITION : FG_STATUS_UNKNOWN;
    }
}
