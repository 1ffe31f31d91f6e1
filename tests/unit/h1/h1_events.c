/* Reads requests for tests/interop/test_h1_h11.py: each one on standard input is its length and the bytes of each piece
 * (0: one piece), 32 bits little-endian, and the bytes. The answer is a line of JSON: the fault's name, or "NONE", and
 * the events as tests/unit/h1/engine.h writes them. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

static void read_exactly(void *to, size_t len)
{
    if (fread(to, 1, len, stdin) == len)
        return;
    fprintf(stderr, "h1_events: half a request\n");
    exit(2);
}

/* Events have no other byte that JSON needs escaped. */
static void print_events(const char *events)
{
    const char *separator = "";

    for (const char *at = events; *at; at = strchr(at, '\n') + 1) {
        printf("%s\"", separator);
        for (const char *c = at; *c != '\n'; c++)
            printf("%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        printf("\"");
        separator = ", ";
    }
}

static void answer(const char *wire, size_t len, size_t piece)
{
    struct engine *e = engine_new(FG_H1_SERVER);

    for (size_t at = 0; at < len; at += piece)
        engine_feed(e, wire + at, FG_MIN(piece, len - at));
    printf("{\"fault\": \"%s\", \"events\": [", fg_h1_fault_info(e->conn.fault)->name);
    print_events(engine_events(e));
    printf("]}\n");
    fflush(stdout);
    fg_h1_conn_cleanup(&e->conn);
    engine_free(e);
}

int main(void)
{
    uint32_t len, piece;

    while (fread(&len, sizeof len, 1, stdin) == 1) {
        read_exactly(&piece, sizeof piece);
        char *wire = fg_alloc(len + 1);
        read_exactly(wire, len);
        answer(wire, len, piece ? piece : len + 1);
        free(wire);
    }
    return 0;
}
