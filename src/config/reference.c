/* doc/configuration.md, from the schema. */
#include <stdlib.h>

#include "config/errors.h"
#include "config/log_format.h"
#include "config/value.h"

#define MAX_TABLES 64

struct page {
    FILE *to;
    const struct fg_table *done[MAX_TABLES]; /* a table that two keys share is described once */
    size_t done_len;
};

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from src/config/schema*.c; do not edit. -->\n"
    "\n"
    "One YAML file. Every key but `listeners`, `clusters` and a few addresses has a default; keys that do not exist "
    "are\n"
    "errors. `fusegate check -c FILE` lists everything that is wrong with a file, and a file with an error never "
    "replaces\n"
    "a running configuration.\n"
    "\n"
    "| Value | Written as |\n"
    "|---|---|\n"
    "| duration | `10us`, `250ms`, `2s`, `1m`, `1h`, or `0` |\n"
    "| size | `64KiB`, `1MiB`, `1GiB`, or a plain number of bytes |\n"
    "| ratio | `20%` or `0.2` |\n"
    "| factor | `1.5` or `150%` |\n"
    "| rate | `10/s`; where it says so, also per minute (`600/m`) or hour (`1000/h`) |\n"
    "| status codes | `[UNAVAILABLE, INTERNAL]`, or `UNAVAILABLE` alone; their gRPC names, never OK |\n"
    "| address | `10.0.0.1:8080`, `orders.internal:50051` or `[::1]:8080`; the port is never 0 |\n"
    "| file name | absolute, or relative to the folder of the configuration file |\n"
    "\n"
    "Anchors (`&name`) and aliases (`*name`) may be used; merge keys (`<<`) and tags (`!name`) are not supported. A "
    "file\n"
    "has at most 4 MiB, 32 levels and 100000 values.\n"
    "\n"
    "A minimal file:\n"
    "\n"
    "```yaml\n"
    "listeners: [{address: 0.0.0.0:8080}]\n"
    "clusters: {orders: {endpoints: [10.0.0.1:50051]}}\n"
    "```\n";

static const char mistakes[] = "listeners:\n"
                               "- address: 0.0.0.0:0\n"
                               "  tls: {certificate: edge.pem, client-ca: ca.pem}\n"
                               "  http2: {max_frame_size: 1KiB, stream_window: 64KB}\n"
                               "routes:\n"
                               "- match: {method: /order.v1.OrderService/Get, path: /x}\n"
                               "  cluster: order\n"
                               "  timeout: 2\n"
                               "  outcomes: {failure: [UNAVAILBLE]}\n"
                               "  retry: {attempts: 3, hedge_delay: 50ms}\n"
                               "  rate_limit: {rate: 10, key: x-tenant}\n"
                               "clusters:\n"
                               "  orders:\n"
                               "    endpoints: [10.0.0.1, 300.0.0.1:50051, \"::1:50051\"]\n"
                               "    balance: roundrobin\n"
                               "    breaker: {enabled: yes, failure_ratio: 50, open_for: 10m}\n"
                               "admin: {address: 0.0.0.0:9901}\n";

/* "|" would end the cell. */
static void put_cell(FILE *to, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '|')
            fputc('\\', to);
        fputc(*p, to);
    }
}

static void put_value(FILE *to, const struct fg_key *key)
{
    char expected[FG_VALUE_WHY_BYTES];
    switch (key->type) {
    case FG_KEY_TABLE:
        fprintf(to, "see %s", key->table->title);
        return;
    case FG_KEY_LIST:
        fprintf(to, "list, see %s", key->table->title);
        return;
    case FG_KEY_MAP:
        fprintf(to, "mapping from names, see %s", key->table->title);
        return;
    default:
        fg_value_expected(key, expected);
        put_cell(to, expected);
    }
}

static void put_default(FILE *to, const struct fg_key *key)
{
    if (key->flags & FG_KEY_REQUIRED)
        fprintf(to, "required");
    else if (key->default_text)
        fprintf(to, "`%s`", key->default_text);
}

static bool is_done(struct page *page, const struct fg_table *table)
{
    for (size_t i = 0; i < page->done_len; i++)
        if (page->done[i] == table)
            return true;
    if (page->done_len == MAX_TABLES)
        abort(); /* the schema outgrew this page */
    page->done[page->done_len++] = table;
    return false;
}

static void put_table(struct page *page, const struct fg_table *table)
{
    if (is_done(page, table))
        return;
    fprintf(page->to, "\n## %s\n\n", table->title);
    if (table->about)
        fprintf(page->to, "%s\n\n", table->about);
    fprintf(page->to, "| Key | Value | Default | Description |\n|---|---|---|---|\n");
    for (size_t i = 0; i < table->keys_len; i++) {
        const struct fg_key *key = &table->keys[i];
        if (table->shorthand == FG_SHORTHAND_ONLY)
            fprintf(page->to, "| *name* | ");
        else
            fprintf(page->to, "| `%s` | ", key->name);
        put_value(page->to, key);
        fprintf(page->to, " | ");
        put_default(page->to, key);
        fprintf(page->to, " | ");
        put_cell(page->to, key->description);
        fprintf(page->to, " |\n");
    }
    for (size_t i = 0; i < table->keys_len; i++)
        if (table->keys[i].table)
            put_table(page, table->keys[i].table);
}

static void put_log_names(FILE *to)
{
    fprintf(
        to,
        "\n## Names in access_log.format\n\n"
        "What is absent is shown as `-`, and `%%%%` is the sign itself. In what others choose, quotes, backslashes, "
        "control characters and what is no UTF-8 are escaped as in JSON, so that a line stays one line; a name that "
        "may have spaces in it belongs in quotes.\n\n| Name | What it shows |\n|---|---|\n");
    fg_log_format_print_fields(to);
}

/* The messages are those of the parser itself. */
static void put_mistakes(FILE *to)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors;

    fprintf(to,
            "\n## What mistakes look like\n\nThis file\n\n```yaml\n%s```\n\nis answered with (file, line, column, key, "
            "problem)\n\n```\n",
            mistakes);
    if (fg_config_parse("gateway.yaml", mistakes, sizeof mistakes - 1, &config, &errors) == 0)
        abort(); /* none of its lines is right */
    fg_config_errors_print(&errors, "gateway.yaml", to);
    fg_config_errors_cleanup(&errors);
    fprintf(to, "```\n");
}

void fg_config_print_reference(FILE *to)
{
    struct page page = {.to = to};
    fputs(intro, to);
    put_table(&page, fg_schema());
    put_log_names(to);
    put_mistakes(to);
}
