#include "cli/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/http_answer.h"
#include "config/value.h"
#include "io/loop.h"
#include "io/socket.h"

#define DEFAULT_ADDRESS    "127.0.0.1:9901"
#define CONNECT_TIMEOUT_MS 3000
#define SILENCE_TIMEOUT_MS 30000 /* a follower gets a sign of life every 10 s */
#define MAX_ANSWER_BYTES   ((size_t)256 << 20)
#define MAX_LINE_BYTES     ((size_t)1 << 20)

void fg_ask_defaults(struct fg_ask *ask)
{
    const char *address = getenv("FUSEGATE_ADMIN"), *token = getenv("FUSEGATE_TOKEN");

    if (!ask->address)
        ask->address = address && address[0] ? address : DEFAULT_ADDRESS;
    if (!ask->token)
        ask->token = token && token[0] ? token : NULL;
}

/* ---- connecting ---- */

/* DETAIL may be what came from the other side. */
static int complain(const struct fg_ask *ask, const char *problem, const char *detail)
{
    size_t len = strcspn(detail, "\n");
    char *line = strndup(detail, len);

    if (ask->problem) {
        char *printable = fg_printable(line ? line : "");
        snprintf(ask->problem, ask->problem_len, "%s%s%s", problem, len > 0 ? ": " : "", printable);
        free(printable);
        free(line);
        return -1;
    }
    fprintf(stderr, "fusegate %s: %s: %s%s", ask->command, ask->address, problem, len > 0 ? ": " : "");
    if (line)
        fg_print_text(stderr, line);
    fputc('\n', stderr);
    free(line);
    return -1;
}

static int resolve(const struct fg_ask *ask, struct fg_address *out)
{
    struct fg_value_address parts = {.port = 0};
    char host[256], why[256];

    if (strncmp(ask->address, "unix:", 5) == 0) {
        snprintf(host, sizeof host, "%s", ask->address);
    } else {
        const char *problem = fg_value_address(fg_str_from(ask->address), &parts);
        if (problem)
            return complain(ask, "no address of a gateway", problem);
        snprintf(host, sizeof host, "%.*s", (int)parts.host.len, parts.host.p);
    }
    if (fg_address_resolve(out, host, parts.port, why, sizeof why) != 0)
        return complain(ask, "no address of a gateway", why);
    return 0;
}

static int timeout_of(const struct fg_ask *ask, int otherwise_ms)
{
    return ask->timeout_ms > 0 ? ask->timeout_ms : otherwise_ms;
}

/* False: nothing happened for so long. */
static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int result;

    do
        result = poll(&poll_fd, 1, timeout_ms);
    while (result < 0 && errno == EINTR);
    return result > 0;
}

static int connect_to(const struct fg_ask *ask)
{
    struct fg_address address;

    if (resolve(ask, &address) != 0)
        return -1;
    int fd = fg_socket_connect(&address);
    int result = fd < 0                                                       ? fd
                 : wait_for(fd, POLLOUT, timeout_of(ask, CONNECT_TIMEOUT_MS)) ? fg_socket_connect_result(fd)
                                                                              : -ETIMEDOUT;
    if (result >= 0)
        return fd;
    if (fd >= 0)
        close(fd);
    char detail[256];
    snprintf(detail, sizeof detail,
             "%s; is the gateway running, and is this its admin.address? (--admin or FUSEGATE_ADMIN say another)",
             strerror(-result));
    return complain(ask, "no gateway answers", detail);
}

static bool send_all(const struct fg_ask *ask, int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && wait_for(fd, POLLOUT, timeout_of(ask, SILENCE_TIMEOUT_MS)))
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Connects and asks; the socket, or -1. */
static int ask_for(const struct fg_ask *ask, const char *target)
{
    bool local = strncmp(ask->address, "unix:", 5) == 0;
    char *request = NULL;
    size_t len = 0;

    for (const char *p = ask->token; p && *p; p++)
        if (*p < 0x21 || *p > 0x7e)
            return complain(ask, "a token is of visible ASCII characters", "");
    FILE *out = open_memstream(&request, &len);
    if (!out)
        return complain(ask, "out of memory", "");
    fprintf(out, "%s %s HTTP/1.1\r\nhost: %s\r\n%s%s%sconnection: close\r\n\r\n", ask->acts ? "POST" : "GET", target,
            local ? "localhost" : ask->address, ask->token ? "authorization: Bearer " : "",
            ask->token ? ask->token : "", ask->token ? "\r\n" : "");
    fclose(out);
    int fd = connect_to(ask);
    if (fd >= 0 && !send_all(ask, fd, request, len)) {
        complain(ask, "the request cannot be sent", strerror(errno));
        close(fd);
        fd = -1;
    }
    free(request);
    return fd;
}

/* ---- the answer ---- */

/* Statuses that every command says in the same words. */
static bool is_denied(const struct fg_ask *ask, unsigned status)
{
    if (status == 401)
        complain(ask, ask->token ? "the gateway takes another token" : "the gateway asks for a token",
                 "--token or FUSEGATE_TOKEN say it; it is admin.token of its configuration");
    else if (status == 403 && !ask->acts && !ask->shows)
        complain(ask, "the gateway does not answer to this name", "ask for 127.0.0.1, [::1] or localhost");
    else
        return false;
    return true;
}

/* Reads until the answer ends or *STOP. */
static int read_answer(const struct fg_ask *ask, int fd, struct fg_http_answer *answer, const bool *stop)
{
    char buffer[65536];
    bool denied = false;

    while (!answer->done && !*stop && !denied) {
        if (!wait_for(fd, POLLIN, timeout_of(ask, SILENCE_TIMEOUT_MS)))
            return complain(ask, "the gateway has fallen silent", "");
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return complain(ask, "the connection was lost", strerror(errno));
        if (n == 0 && answer->head_len == 0)
            return complain(ask, "the connection was closed without an answer", "too many connections, or no gateway?");
        bool valid = n == 0 ? fg_http_answer_end(answer) : fg_http_answer_feed(answer, buffer, (size_t)n);
        if (!valid && n == 0 && answer->status != 0)
            return complain(ask, "the connection ended before the answer did", "has the gateway ended?");
        if (!valid)
            return complain(ask, "what answers is no gateway's admin address", answer->problem);
        denied = answer->status != 0 && is_denied(ask, answer->status);
    }
    return denied ? -1 : 0;
}

static int get(const struct fg_ask *ask, const char *target, struct fg_http_answer *answer, const bool *stop)
{
    int fd = ask_for(ask, target);

    if (fd < 0)
        return -1;
    int result = read_answer(ask, fd, answer, stop);
    close(fd);
    return result;
}

struct whole {
    char *text;
    size_t len, cap;
    bool too_long;
};

static void keep(void *context, const char *data, size_t len)
{
    struct whole *whole = context;

    if (len > MAX_ANSWER_BYTES - whole->len) {
        whole->too_long = true;
        return;
    }
    if (whole->cap - whole->len <= len) {
        whole->cap = FG_MAX(2 * whole->cap, whole->len + len + 1);
        whole->text = fg_realloc(whole->text, whole->cap);
    }
    memcpy(whole->text + whole->len, data, len);
    whole->len += len;
    whole->text[whole->len] = '\0';
}

int fg_ask_get(const struct fg_ask *ask, const char *target, struct fg_answer *answer)
{
    struct fg_http_answer *reader = fg_alloc(sizeof *reader);
    struct whole whole = {.len = 0};

    fg_http_answer_begin(reader, keep, &whole);
    int result = get(ask, target, reader, &whole.too_long);
    if (result == 0 && whole.too_long)
        result = complain(ask, "the answer is too long", "");
    *answer = (struct fg_answer){reader->status, whole.text, whole.len};
    if (result != 0)
        fg_answer_cleanup(answer);
    fg_http_answer_cleanup(reader);
    free(reader);
    return result;
}

void fg_answer_cleanup(struct fg_answer *answer)
{
    free(answer->text);
    *answer = (struct fg_answer){.status = 0};
}

json_t *fg_ask_json(const struct fg_ask *ask, const char *target, unsigned *status)
{
    struct fg_answer answer;
    json_error_t error;
    json_t *root = NULL;

    *status = 0;
    if (fg_ask_get(ask, target, &answer) != 0)
        return NULL;
    *status = answer.status;
    if (answer.status == 200) {
        root = json_loadb(answer.text ? answer.text : "", answer.len, JSON_ALLOW_NUL, &error);
        if (!root)
            complain(ask, "the answer is no JSON", error.text);
    } else if (answer.status != 404) {
        complain(ask, target, answer.text ? answer.text : "");
    }
    fg_answer_cleanup(&answer);
    return root;
}

int fg_ask_print(const struct fg_ask *ask, const char *target)
{
    struct fg_answer answer;

    if (fg_ask_get(ask, target, &answer) != 0)
        return FG_EXIT_FAILED;
    int result = answer.status == 200 ? FG_EXIT_OK : FG_EXIT_FAILED;
    if (result == FG_EXIT_OK && answer.len > 0)
        fwrite(answer.text, 1, answer.len, stdout);
    else
        complain(ask, target, answer.text ? answer.text : "");
    fg_answer_cleanup(&answer);
    return result;
}

/* ---- lines ---- */

struct lines {
    const struct fg_http_answer *reader;
    bool (*on_line)(void *context, const char *line);
    void *context;
    char *text;
    size_t len;
    bool stop;
};

static void split(void *context, const char *data, size_t len)
{
    struct lines *lines = context;

    for (size_t i = 0; i < len && !lines->stop; i++) {
        if (data[i] != '\n' || lines->reader->status != 200) { /* else it says what is wrong */
            if (lines->len < MAX_LINE_BYTES)
                lines->text[lines->len++] = data[i];
            continue;
        }
        lines->text[lines->len] = '\0';
        if (lines->len > 0) /* an empty one is a sign of life */
            lines->stop = !lines->on_line(lines->context, lines->text);
        lines->len = 0;
    }
}

int fg_ask_follow(const struct fg_ask *ask, const char *target, bool (*on_line)(void *context, const char *line),
                  void *context)
{
    struct fg_http_answer *reader = fg_alloc(sizeof *reader);
    struct lines lines = {
        .reader = reader, .on_line = on_line, .context = context, .text = fg_alloc(MAX_LINE_BYTES + 1)};

    fg_http_answer_begin(reader, split, &lines);
    int result = get(ask, target, reader, &lines.stop);
    if (result == 0 && reader->status != 200) {
        lines.text[lines.len] = '\0';
        result = complain(ask, target, lines.text);
    }
    free(lines.text);
    fg_http_answer_cleanup(reader);
    free(reader);
    return result;
}

/* ---- small things ---- */

void fg_ask_encode(FILE *out, const char *text)
{
    static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";

    for (const char *p = text; *p; p++) {
        if (strchr(unreserved, *p))
            fputc(*p, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*p);
    }
}

const char *fg_answer_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double fg_answer_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

char *fg_answer_name(const json_t *object, const char *key)
{
    const char *text = fg_answer_text(object, key);
    char *name = fg_alloc(strlen(text) + 1), *at = name;

    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool two = (p[0] == 0xc2 || p[0] == 0xc3) && (p[1] & 0xc0) == 0x80; /* U+0080 to U+00FF */
        *at++ = (char)(two ? (p[0] & 3) << 6 | (p[1] & 0x3f) : p[0]);
        p += two;
    }
    *at = '\0';
    return name;
}

void fg_grid_name(struct fg_grid *grid, const json_t *object, const char *key)
{
    char *name = fg_answer_name(object, key);

    fg_grid_cell(grid, name);
    free(name);
}
