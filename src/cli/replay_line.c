#include "cli/replay_line.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/time.h"

#define US_MAX (UINT64_C(1) << 50) /* 35 years: sums of some of them are still instants in nanoseconds */

/* ---- fields ---- */

static struct fg_str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    return text ? (struct fg_str){text, json_string_length(value)} : FG_STR("");
}

static uint64_t number_of(const json_t *object, const char *key, uint64_t max)
{
    const json_t *value = json_object_get(object, key);
    double number = json_number_value(value);

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return FG_MIN((uint64_t)json_integer_value(value), max);
    return number >= 0 && number <= (double)max ? (uint64_t)(number + 0.5) : 0;
}

/* The number of the name that NAME_OF gives for it; FALLBACK: there is none. */
static unsigned find(struct fg_str name, unsigned len, const char *(*name_of)(unsigned number), unsigned fallback)
{
    for (unsigned i = 0; i < len; i++)
        if (fg_str_eq(name, fg_str_from(name_of(i))))
            return i;
    return fallback;
}

static const char *status_name(unsigned number)
{
    return fg_status_name((enum fg_status)number);
}

static const char *source_name(unsigned number)
{
    return fg_source_name((enum fg_source)number);
}

static const char *phase_name(unsigned number)
{
    return fg_phase_name((enum fg_phase)number);
}

static const char *class_name(unsigned number)
{
    return fg_class_name((enum fg_class)number);
}

static void read_end(const json_t *object, struct fg_outcome *out)
{
    out->code = (enum fg_status)find(text_of(object, "code"), FG_STATUS_LEN, status_name, FG_STATUS_UNKNOWN);
    /* What a later version calls otherwise blames nobody. */
    out->source = (enum fg_source)find(text_of(object, "source"), FG_SOURCE_LEN, source_name, FG_SOURCE_CLIENT_GONE);
    out->phase = (enum fg_phase)find(text_of(object, "phase"), FG_PHASE_LEN, phase_name, FG_PHASE_NEW);
    out->class = (enum fg_class)find(text_of(object, "class"), FG_CLASS_IGNORED + 1u, class_name, FG_CLASS_IGNORED);
    out->messages_down = number_of(object, "messages_down", US_MAX);
}

/* "2026-01-02T03:04:05.678Z"; 0: it is none. */
static uint64_t wall_ms_of(struct fg_str text)
{
    struct tm utc = {.tm_isdst = 0};
    int ms = 0, used = 0;
    char copy[32];

    if (text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &utc.tm_year, &utc.tm_mon, &utc.tm_mday, &utc.tm_hour,
               &utc.tm_min, &utc.tm_sec, &ms, &used) != 7 ||
        used != (int)text.len || utc.tm_year < 1970 || utc.tm_mon < 1)
        return 0;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    time_t seconds = timegm(&utc);
    return seconds > 0 && ms >= 0 ? (uint64_t)seconds * 1000 + (uint64_t)ms : 0;
}

/* ---- attempts ---- */

static void read_attempt(const json_t *object, uint64_t call_start_us, const struct fg_replay_line *line,
                         struct fg_outcome *out)
{
    uint64_t start_us = call_start_us + number_of(object, "start_us", US_MAX);
    uint64_t first_us = number_of(object, "first_message_us", US_MAX);

    *out = (struct fg_outcome){
        .method = line->call.method, .cluster = line->call.cluster, .endpoint = text_of(object, "endpoint")};
    read_end(object, out);
    out->start_ns = start_us * FG_US;
    out->end_ns = (start_us + number_of(object, "duration_us", US_MAX)) * FG_US;
    if (json_object_get(object, "first_message_us"))
        out->first_message_ns = (start_us + first_us) * FG_US;
    out->stall_ns[FG_WAIT_STREAM_SLOT] = number_of(object, "waited_us", US_MAX) * FG_US;
    out->pushback = json_is_true(json_object_get(object, "pushback"));
}

static void read_attempts(const json_t *list, struct fg_replay_line *out)
{
    uint64_t start_us = out->call.start_ns / FG_US;
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        if (out->attempts_len == FG_REPLAY_ATTEMPTS_MAX || !json_is_object(item))
            out->attempts_omitted++;
        else
            read_attempt(item, start_us, out, &out->attempts[out->attempts_len++]);
    }
}

/* ---- the line ---- */

void fg_replay_line_read(struct fg_replay_line *out, const char *text, size_t len)
{
    out->attempts_len = 0;
    out->root = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(out->root)) {
        out->kind = FG_REPLAY_LINE_BROKEN;
        return;
    }
    const json_t *attempts = json_object_get(out->root, "attempts");
    uint64_t duration_us = (uint64_t)(FG_MIN(fmax(json_number_value(json_object_get(out->root, "duration_ms")), 0),
                                             (double)US_MAX / 1000) *
                                          1000 +
                                      0.5);
    out->kind = FG_REPLAY_LINE_CALL;
    if (json_is_false(json_object_get(out->root, "final")))
        out->kind = FG_REPLAY_LINE_SO_FAR;
    else if (!json_is_string(json_object_get(out->root, "method")) ||
             !json_is_string(json_object_get(out->root, "code")))
        out->kind = FG_REPLAY_LINE_OTHER;
    else if (!json_is_array(attempts) || !json_is_integer(json_object_get(out->root, "end_us")))
        out->kind = FG_REPLAY_LINE_OLD;
    out->wall_ms = wall_ms_of(text_of(out->root, "time"));
    out->end_us = number_of(out->root, "end_us", US_MAX);
    out->priority = (unsigned)number_of(out->root, "priority", 2);
    out->weight = (unsigned)number_of(out->root, "weight", 1000);
    out->call = (struct fg_outcome){.method = text_of(out->root, "method"), .cluster = text_of(out->root, "cluster")};
    read_end(out->root, &out->call);
    out->call.end_ns = out->end_us * FG_US;
    out->call.start_ns = (out->end_us - FG_MIN(out->end_us, duration_us)) * FG_US;
    out->attempts_omitted = (size_t)number_of(out->root, "attempts_omitted", 1u << 30);
    if (out->kind == FG_REPLAY_LINE_CALL)
        read_attempts(attempts, out);
}

void fg_replay_line_cleanup(struct fg_replay_line *line)
{
    json_decref(line->root);
    line->root = NULL;
}
