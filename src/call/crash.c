/* A call in a crash report (base/crash.h). Memory may be in any state: what cannot be read ends the part. */
#include <netinet/in.h>

#include "base/crash.h"
#include "call/call.h"

static void put_address(const struct fg_address *address)
{
    const struct sockaddr_in *v4 = (const void *)&address->storage;
    const struct sockaddr_in6 *v6 = (const void *)&address->storage;

    if (address->storage.ss_family == AF_INET) {
        const uint8_t *bytes = (const uint8_t *)&v4->sin_addr;
        for (int i = 0; i < 4; i++) {
            fg_crash_put(i > 0 ? "." : "");
            fg_crash_put_number(bytes[i]);
        }
        fg_crash_put(":");
        fg_crash_put_number(ntohs(v4->sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        const uint8_t *bytes = (const uint8_t *)&v6->sin6_addr;
        for (int i = 0; i < 8; i++) {
            fg_crash_put(i > 0 ? ":" : "[");
            fg_crash_put_hex(fg_load_u16(bytes + 2 * i));
        }
        fg_crash_put("]:");
        fg_crash_put_number(ntohs(v6->sin6_port));
    } else {
        fg_crash_put("a unix socket");
    }
}

void fg_call_describe_crash(const void *subject)
{
    const struct fg_call *call = subject;
    const struct fg_attempt *attempt = fg_call_answering(call);

    fg_crash_put_number(call->env->worker);
    fg_crash_put("-");
    fg_crash_put_number(call->number);
    fg_crash_put(" ");
    fg_crash_put_str(call->path);
    fg_crash_put(", from ");
    put_address(call->peer);
    fg_crash_put(", dialect ");
    fg_crash_put(call->dialect->name);
    fg_crash_put(", phase ");
    fg_crash_put(fg_phase_name(attempt ? attempt->outcome.phase : FG_PHASE_NEW));
    if (call->cluster) {
        fg_crash_put(", cluster ");
        fg_crash_put_str(call->cluster->name);
    }
    if (attempt) {
        fg_crash_put(", attempt ");
        fg_crash_put_number(attempt->number);
        fg_crash_put(" on ");
        fg_crash_put_str(attempt->outcome.endpoint.len > 0 ? attempt->outcome.endpoint : FG_STR("no endpoint yet"));
    }
    fg_crash_put(", bytes ");
    fg_crash_put_number(call->bytes_up);
    fg_crash_put(" up ");
    fg_crash_put_number(call->bytes_down);
    fg_crash_put(" down, begun ");
    fg_crash_put_number((call->env->loop->now_ns - call->start_ns) / FG_MS);
    fg_crash_put(" ms before");
}
