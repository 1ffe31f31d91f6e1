#include "admin/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "io/loop.h"
#include "rpc/json_write.h"

#define LINE_BYTES    1800 /* fits into a line of the error log */
#define USER_MAX      64
#define TARGET_MAX    200
#define REFUSED_BURST 20
#define REFUSED_PER_S 5

struct fg_admin_audit {
    char *path; /* NULL: the error log */
    int fd;
    bool reopen;        /* atomic */
    uint32_t tokens;    /* refused acts that may still be told of */
    uint64_t filled_ns; /* when tokens were last added */
    uint64_t left_out;
};

/* ---- the file ---- */

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

struct fg_admin_audit *fg_admin_audit_new(const char *path, char *error, size_t error_len)
{
    struct fg_admin_audit *audit = fg_alloc_zero(sizeof *audit);

    audit->fd = -1;
    audit->tokens = REFUSED_BURST;
    if (!path)
        return audit;
    audit->path = fg_strdup(path);
    audit->fd = open_file(path);
    if (audit->fd >= 0)
        return audit;
    snprintf(error, error_len, "audit log %s cannot be opened: %s", path, strerror(errno));
    fg_admin_audit_free(audit);
    return NULL;
}

void fg_admin_audit_free(struct fg_admin_audit *audit)
{
    if (!audit)
        return;
    if (audit->fd >= 0)
        close(audit->fd);
    free(audit->path);
    free(audit);
}

void fg_admin_audit_reopen(struct fg_admin_audit *audit)
{
    __atomic_store_n(&audit->reopen, true, __ATOMIC_RELEASE);
}

/* One that cannot be opened again is no reason to write into a file that was moved away: what acts is refused. */
static bool be_open(struct fg_admin_audit *audit)
{
    if (__atomic_exchange_n(&audit->reopen, false, __ATOMIC_ACQ_REL) && audit->fd >= 0) {
        close(audit->fd);
        audit->fd = -1;
    }
    if (audit->fd < 0)
        audit->fd = open_file(audit->path);
    if (audit->fd < 0)
        fg_log(FG_LOG_ERROR, "audit log %s cannot be opened again: %s", audit->path, strerror(errno));
    return audit->fd >= 0;
}

/* One write: lines of several processes do not mix. */
static bool write_line(struct fg_admin_audit *audit, const char *line, size_t len)
{
    ssize_t n;

    if (!audit->path) {
        fg_log(FG_LOG_WARN, "audit: %.*s", (int)len - 1, line);
        return true;
    }
    if (!be_open(audit))
        return false;
    do
        n = write(audit->fd, line, len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)len)
        return true;
    fg_log(FG_LOG_ERROR, "audit log %s cannot be written: %s", audit->path, n < 0 ? strerror(errno) : "no room");
    return false;
}

/* ---- a line ---- */

static int stop(void *context, const char *bytes, size_t len)
{
    (void)context;
    (void)bytes;
    (void)len;
    return -1;
}

static void put_field(struct fg_json_out *out, const char *name, struct fg_str value, size_t max)
{
    fg_json_put_raw(out, ", \"", 3);
    fg_json_put_raw(out, name, strlen(name));
    fg_json_put_raw(out, "\": ", 3);
    value.len = FG_MIN(value.len, max);
    fg_json_put_text(out, value);
}

/* A name that is no UTF-8 is shown with question marks for what is not printable ASCII. */
static struct fg_str printable(struct fg_str name, char *room, size_t room_len)
{
    if (name.len <= room_len && fg_utf8_valid(name) && !memchr(name.p, 0, name.len))
        return name;
    name.len = FG_MIN(name.len, room_len);
    for (size_t i = 0; i < name.len; i++)
        room[i] = (char)(name.p[i] >= 0x20 && name.p[i] < 0x7f ? name.p[i] : '?');
    return (struct fg_str){room, name.len};
}

static void put_time(struct fg_json_out *out)
{
    uint64_t wall_ns = fg_clock_wall_ns();
    time_t seconds = (time_t)(wall_ns / FG_S);
    struct tm utc;
    char text[64];

    gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof text, "{\"time\": \"%Y-%m-%dT%H:%M:%S", &utc);
    fg_json_put_raw(out, text, len);
    len = (size_t)snprintf(text, sizeof text, ".%03uZ\"", (unsigned)(wall_ns / FG_MS % 1000));
    fg_json_put_raw(out, text, len);
}

bool fg_admin_audit_write(struct fg_admin_audit *audit, const struct fg_admin_act *act, const char *result)
{
    char line[LINE_BYTES], user[USER_MAX];
    struct fg_json_out out;

    fg_json_out_init(&out, line, sizeof line, stop, NULL);
    put_time(&out);
    put_field(&out, "peer", fg_str_from(act->peer), LINE_BYTES);
    put_field(&out, "user", printable(act->user, user, sizeof user), USER_MAX);
    put_field(&out, "action", fg_str_from(act->action), LINE_BYTES);
    put_field(&out, "target", act->target, TARGET_MAX);
    put_field(&out, "result", fg_str_from(result), LINE_BYTES);
    if (audit->left_out > 0) {
        fg_json_put_raw(&out, ", \"left_out\": ", 14);
        fg_json_put_u64(&out, audit->left_out);
    }
    fg_json_put_raw(&out, "}\n", 2);
    if (out.failed || !write_line(audit, line, (size_t)(out.at - out.begin)))
        return false;
    audit->left_out = 0;
    return true;
}

void fg_admin_audit_refused(struct fg_admin_audit *audit, const struct fg_admin_act *act, const char *result,
                            uint64_t now_ns)
{
    uint64_t earned = (now_ns - audit->filled_ns) / (FG_S / REFUSED_PER_S);

    if (earned > 0) {
        audit->filled_ns = now_ns;
        audit->tokens = (uint32_t)FG_MIN(audit->tokens + earned, (uint64_t)REFUSED_BURST);
    }
    if (audit->tokens == 0 || !fg_admin_audit_write(audit, act, result)) {
        audit->left_out++;
        return;
    }
    audit->tokens--;
}
