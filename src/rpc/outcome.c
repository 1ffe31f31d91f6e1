#include "rpc/outcome.h"

#include <assert.h>

const char *fg_source_name(enum fg_source source)
{
    static const char *const names[FG_SOURCE_LEN] = {
#define X(source, name, local) [FG_SOURCE_##source] = name,
        FG_SOURCES(X)
#undef X
    };
    assert((unsigned)source < FG_SOURCE_LEN);
    return names[source];
}

bool fg_source_is_local(enum fg_source source)
{
    static const bool locals[FG_SOURCE_LEN] = {
#define X(source, name, local) [FG_SOURCE_##source] = local,
        FG_SOURCES(X)
#undef X
    };
    assert((unsigned)source < FG_SOURCE_LEN);
    return locals[source];
}

const char *fg_phase_name(enum fg_phase phase)
{
    static const char *const names[FG_PHASE_LEN] = {
#define X(phase, name) [FG_PHASE_##phase] = name,
        FG_PHASES(X)
#undef X
    };
    assert((unsigned)phase < FG_PHASE_LEN);
    return names[phase];
}

const char *fg_class_name(enum fg_class class)
{
    switch (class) {
    case FG_CLASS_SUCCESS:
        return "success";
    case FG_CLASS_FAILURE:
        return "failure";
    case FG_CLASS_OVERLOAD:
        return "overload";
    case FG_CLASS_IGNORED:
        break;
    }
    return "ignored";
}

const char *fg_retry_safety_name(enum fg_retry_safety safety)
{
    switch (safety) {
    case FG_SAFE_NEVER_SENT:
        return "never_sent";
    case FG_SAFE_REFUSED:
        return "refused";
    case FG_SAFE_PROCESSED:
        return "processed";
    case FG_SAFE_UNKNOWN:
        break;
    }
    return "unknown";
}

#define SET(code) (1u << FG_STATUS_##code)

const struct fg_outcome_sets fg_outcome_default_sets = {
    .failure = SET(UNKNOWN) | SET(DEADLINE_EXCEEDED) | SET(INTERNAL) | SET(UNAVAILABLE) | SET(DATA_LOSS),
    .overload = SET(RESOURCE_EXHAUSTED),
    .ignore = SET(CANCELLED), /* says nothing about the upstream's health */
};

/* REST is what a code means that is in no set: a success where the upstream answered with it, nothing where it only
 * shows how the transport ended (RST with INADEQUATE_SECURITY is PERMISSION_DENIED). */
static enum fg_class classify_code(enum fg_status code, const struct fg_outcome_sets *sets, enum fg_class rest)
{
    /* An unheard-of code is UNKNOWN. */
    uint32_t bit = 1u << ((unsigned)code < FG_STATUS_LEN ? (unsigned)code : FG_STATUS_UNKNOWN);

    return bit & sets->ignore     ? FG_CLASS_IGNORED
           : bit & sets->overload ? FG_CLASS_OVERLOAD
           : bit & sets->failure  ? FG_CLASS_FAILURE
                                  : rest;
}

static enum fg_class classify(const struct fg_outcome *outcome, const struct fg_outcome_sets *sets)
{
    switch (outcome->source) {
    case FG_SOURCE_TRAILERS:
    case FG_SOURCE_TRAILERS_ONLY:
    case FG_SOURCE_HTTP:
    case FG_SOURCE_MISSING_STATUS:
        return classify_code(outcome->code, sets, FG_CLASS_SUCCESS);
    case FG_SOURCE_RST:
    case FG_SOURCE_GOAWAY:
    case FG_SOURCE_CONNECTION:
    case FG_SOURCE_PROTOCOL:
        return classify_code(outcome->code, sets, FG_CLASS_IGNORED);
    case FG_SOURCE_CONNECT:
        return FG_CLASS_FAILURE;
    case FG_SOURCE_DEADLINE: /* before SENT the gateway itself used the time up */
        return outcome->phase >= FG_PHASE_SENT ? FG_CLASS_FAILURE : FG_CLASS_IGNORED;
    default:
        return FG_CLASS_IGNORED;
    }
}

enum fg_class fg_outcome_classify(const struct fg_outcome *outcome, const struct fg_outcome_sets *sets)
{
    enum fg_class class = classify(outcome, sets);

    return class == FG_CLASS_FAILURE && outcome->pushback ? FG_CLASS_OVERLOAD : class;
}
