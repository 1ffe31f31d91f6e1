#include "config/schema_int.h"

#define F(member) FIELD(struct fg_config_tap_name, member)
static const struct fg_key header_keys[] = {
    {.name = "name", .type = FG_KEY_HEADER, F(name), .flags = FG_KEY_REQUIRED, .description = "Of a header."},
};

static const struct fg_key field_keys[] = {
    {.name = "name",
     .type = FG_KEY_FIELD,
     F(name),
     .flags = FG_KEY_REQUIRED,
     .description = "`password`: fields of that name wherever they are; `card.number`: only inside of a `card`; "
                    "`*.token`: inside of anything."},
};
#undef F

static const struct fg_table headers_table = {
    .title = "redact_headers of tap",
    .about = "Written as names alone. Besides these always: `authorization`, `proxy-authorization`, `cookie`, "
             "`set-cookie`, `x-api-key`, `x-auth-token`, and what a client marks as sensitive (RFC 7541 section "
             "7.1.3).",
    KEYS(header_keys),
    .bytes = sizeof(struct fg_config_tap_name),
    .shorthand = FG_SHORTHAND_ALLOWED};

static const struct fg_table fields_table = {
    .title = "redact_fields of tap",
    .about = "Written as paths alone, in the names that the descriptors have or in those of JSON; the keys of maps "
             "count as names, too. Where there is one, bytes that cannot be decoded are not shown at all.",
    KEYS(field_keys),
    .bytes = sizeof(struct fg_config_tap_name),
    .shorthand = FG_SHORTHAND_ALLOWED};

#define F(member) FIELD(struct fg_config_tap, member)
static const struct fg_key tap_keys[] = {
    VALUE(BOOL, "enabled", enabled, "true", "false: `/tap` answers 403. It also does without `admin.token`."),
    {.name = "redact_headers",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_config_tap, redact_headers),
     .table = &headers_table,
     .min = 1,
     .max = 256,
     .description = "Further headers and trailers whose values are shown as `[redacted]`."},
    {.name = "redact_fields",
     .type = FG_KEY_LIST,
     ITEMS(struct fg_config_tap, redact_fields),
     .table = &fields_table,
     .min = 1,
     .max = 256,
     .description = "Fields of messages whose values are shown as `[redacted]`."},
    NUMBER(INTEGER, "max_calls_per_second", max_calls_per_s, "1000", 1, 100000, "The most that a session may ask for."),
};
#undef F

const struct fg_table fg_schema_tap = {
    .title = "tap", .about = "What `fusegate tap` may show of the calls as they happen.", KEYS(tap_keys)};
