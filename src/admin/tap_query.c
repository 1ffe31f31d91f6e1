#include "admin/tap_query.h"

#include <ctype.h>

#include "admin/query.h"

/* NAME:VALUE; a secret value is compared as a whole, so that nobody finds it out letter by letter. */
static const char *read_header(const struct fg_gateway *gateway, struct fg_str text, struct fg_tap_filter *filter)
{
    char pair[sizeof filter->header + sizeof filter->value];

    if (!fg_query_text(text, "header", pair, sizeof pair))
        return "header is too long, or has a malformed escape";
    if (pair[0] == '\0')
        return NULL;
    char *colon = strchr(pair + 1, ':'); /* the first letter may be that of a pseudo-header */
    if (!colon || (size_t)(colon - pair) >= sizeof filter->header || strlen(colon + 1) >= sizeof filter->value)
        return "header is NAME:VALUE";
    *colon++ = '\0';
    colon += strspn(colon, " ");
    for (char *at = pair; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    memcpy(filter->header, pair, strlen(pair) + 1);
    memcpy(filter->value, colon, strlen(colon) + 1);
    size_t len = strlen(colon);
    if (len > 0 && colon[len - 1] == '*' && fg_tap_is_secret(gateway, fg_str_from(pair)))
        return "of a header that is redacted only the whole value can be asked for";
    return NULL;
}

static const char *read_code(struct fg_str text, int *code)
{
    char word[32];

    *code = -1;
    if (!fg_query_text(text, "code", word, sizeof word))
        return "code is the name of a status, such as UNAVAILABLE";
    for (int i = FG_STATUS_OK; i <= FG_STATUS_UNAUTHENTICATED; i++)
        if (strcmp(word, fg_status_name((enum fg_status)i)) == 0)
            *code = i;
    return word[0] && *code < 0 ? "code is the name of a status, such as UNAVAILABLE" : NULL;
}

static const char *read_bounds(const struct fg_gateway *gateway, struct fg_str text, struct fg_tap_query *query)
{
    const struct fg_config_tap *config = &gateway->config->tap;
    uint64_t failed, bytes;

    if (!fg_query_number(text, "rate", FG_MIN(FG_TAP_RATE_DEFAULT, config->max_calls_per_s), config->max_calls_per_s,
                         &query->rate) ||
        query->rate == 0)
        return "rate is a number of calls per second, from 1 to tap.max_calls_per_second";
    if (!fg_query_number(text, "max_bytes", FG_TAP_BYTES_DEFAULT, FG_TAP_MAX_BYTES, &query->max_bytes))
        return "max_bytes is a number up to 65536";
    if (!fg_query_number(text, "seconds", 0, FG_TAP_SECONDS_MAX, &query->seconds) ||
        !fg_query_number(text, "count", 0, FG_TAP_COUNT_MAX, &query->count))
        return "seconds is a number up to 86400, count one up to 1000000000";
    if (!fg_query_number(text, "failed", 0, 1, &failed) || !fg_query_number(text, "bytes", 0, 1, &bytes))
        return "failed and bytes are 0 or 1";
    query->failed = failed;
    query->bytes = bytes;
    return query->bytes && config->redact_fields_len > 0
               ? "there are no bytes where tap.redact_fields hides some of them"
               : NULL;
}

const char *fg_admin_tap_query(const struct fg_gateway *gateway, struct fg_str text, struct fg_tap_query *query)
{
    struct fg_tap_filter *filter = &query->filter;

    *query = (struct fg_tap_query){.code = -1};
    if (!fg_query_text(text, "method", filter->method, sizeof filter->method) ||
        !fg_query_text(text, "cluster", filter->cluster, sizeof filter->cluster) ||
        !fg_query_text(text, "endpoint", query->endpoint, sizeof query->endpoint) ||
        !fg_query_text(text, "peer", filter->peer, sizeof filter->peer) ||
        !fg_query_text(text, "dialect", filter->dialect, sizeof filter->dialect))
        return "a name is too long, or has a malformed escape";
    const char *problem = read_header(gateway, text, filter);
    if (!problem)
        problem = read_code(text, &query->code);
    return problem ? problem : read_bounds(gateway, text, query);
}
