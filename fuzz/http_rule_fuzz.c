/* Any template, path and query (one line each): a rule or a problem; fields or an error; nothing else. */
#include <stdlib.h>

#include "rpc/http_rule.h"

#include "../tests/unit/rpc/rule_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static struct fg_str line(const char **at, const char *end)
{
    const char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    struct fg_str text = {*at, (size_t)((stop ? stop : end) - *at)};

    *at = stop ? stop + 1 : end;
    return text;
}

static void route(const struct fg_descriptors *set, struct fg_str path, struct fg_str query)
{
    const struct fg_json_to_proto how = {.descriptors = set};
    struct fg_proto_json_error error;
    struct fg_http_match match;
    struct fg_proto_out out;
    struct fg_arena arena;
    struct fg_mem mem;

    if (fg_http_route(fg_descriptors_http(set), FG_STR("GET"), path, &match) != FG_HTTP_FOUND)
        return;
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    fg_proto_out_init(&out, &mem, 1 << 20);
    if (fg_http_put_fields(&match, query, &how, &arena, &out, &error) != 0)
        check(error.code == FG_STATUS_INVALID_ARGUMENT && error.message[0] != '\0');
    fg_proto_out_cleanup(&out);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct built raw;
    const char *at = (const char *)data, *end = at + len;
    struct fg_str template = line(&at, end), path = line(&at, end), query = line(&at, end);
    struct fg_descriptors_error error;
    struct fg_descriptors *set;
    char text[1024];

    if (template.len >= sizeof text)
        return 0;
    memcpy(text, template.p, template.len);
    text[template.len] = '\0';
    struct built_rule rule = {2, text, query.len % 2 ? "one_k" : NULL, NULL};
    build_rules(&raw, &rule, 1);
    check(fg_descriptors_new(raw.bytes, raw.len, &set, &error) == 0);
    size_t rules;
    (void)fg_http_router_bindings(fg_descriptors_http(set), &rules);
    check((rules == 1) == (fg_descriptors_http_problem(set)[0] == '\0'));
    route(set, path, query);
    route(set, template, query);
    fg_descriptors_unref(set);
    return 0;
}
