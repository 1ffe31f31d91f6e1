/* What a line of the access log costs: micro_access json|combined|TEMPLATE [LINES]. Prints ns per line; under
 * `valgrind --tool=callgrind --toggle-collect=write_lines` the instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "observe/access_text.h"

__attribute__((noinline)) void write_lines(const struct fg_log_format *format, const struct fg_access_record *record,
                                           uint64_t lines);

void write_lines(const struct fg_log_format *format, const struct fg_access_record *record, uint64_t lines)
{
    struct fg_access_second second = {0};
    static char line[FG_ACCESS_LINE_BYTES];
    size_t total = 0;

    for (uint64_t i = 0; i < lines; i++)
        total +=
            format->len > 0 ? fg_access_text(line, format, record, &second) : fg_access_line(line, record, &second);
    fprintf(stderr, "%zu bytes a line\n", total / lines);
}

int main(int argc, char **argv)
{
    static const struct fg_dialect dialect = {.name = "grpc"};
    struct fg_header fields[] = {
        {.name = FG_STR(":method"), .value = FG_STR("POST"), .token = FG_TOKEN_METHOD},
        {.name = FG_STR(":path"), .value = FG_STR("/shop.v1.Orders/Get"), .token = FG_TOKEN_PATH},
        {.name = FG_STR("user-agent"), .value = FG_STR("grpc-go/1.60.0"), .token = FG_TOKEN_USER_AGENT}};
    struct fg_outcome outcome = {.method = FG_STR("/shop.v1.Orders/Get"),
                                 .cluster = FG_STR("orders"),
                                 .endpoint = FG_STR("10.0.0.17:50051"),
                                 .phase = FG_PHASE_DONE,
                                 .http_status = 200,
                                 .safe_to_retry = FG_SAFE_PROCESSED,
                                 .bytes_up = 120,
                                 .bytes_down = 4711,
                                 .messages_up = 1,
                                 .messages_down = 1,
                                 .start_ns = 1000 * FG_S,
                                 .headers_ns = 1000 * FG_S + 3 * FG_MS,
                                 .first_message_ns = 1000 * FG_S + 3 * FG_MS,
                                 .end_ns = 1000 * FG_S + 4 * FG_MS,
                                 .attempt = 1};
    struct fg_attempt attempt = {.outcome = outcome};
    struct fg_call call = {.dialect = &dialect,
                           .request = {fields, FG_ARRAY_LEN(fields), FG_ARRAY_LEN(fields)},
                           .start_ns = 1000 * FG_S,
                           .attempt = &attempt,
                           .outcome = outcome,
                           .priority = 1,
                           .weight = 1};
    struct fg_access_record record = {
        .call = &call, .outcome = &call.outcome, .peer = "192.168.17.4:51234", .wall_ns = 1700000000 * FG_S};
    uint64_t lines = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    struct fg_log_format format;
    char why[FG_LOG_WHY_BYTES];
    struct timespec from, to;

    if (lines == 0 || fg_log_format_compile(&format, argc > 1 ? argv[1] : "json", why) != 0) {
        fprintf(stderr, "usage: micro_access json|combined|TEMPLATE [LINES]\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    write_lines(&format, &record, lines);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f ns a line\n",
           ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / (double)lines);
    fg_log_format_cleanup(&format);
    return 0;
}
