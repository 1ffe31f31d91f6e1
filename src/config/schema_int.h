/* What the parts of the schema share: schema.c has the file, its listeners and the rest, schema_routes.c and
 * schema_clusters.c have the two that give them their names. */
#ifndef FG_CONFIG_SCHEMA_INT_H
#define FG_CONFIG_SCHEMA_INT_H

#include "base/bytes.h"
#include "base/time.h"
#include "config/schema.h"

#define KIB          (UINT64_C(1) << 10)
#define MIB          (UINT64_C(1) << 20)
#define DAY          (24 * 3600 * FG_S)
#define PERCENT      (FG_RATIO_UNIT / 100)
#define MANY         10000000      /* of what is counted in 32 bits */
#define INTERVAL_MIN 1             /* ns: 1000000000/s */
#define INTERVAL_MAX (3600 * FG_S) /* 1/h */
#define BURST_MAX    1000000

#define FIELD(type, member) .offset = offsetof(type, member), .bytes = sizeof(((type *)0)->member)
#define ITEMS(type, member) FIELD(type, member), .len_offset = offsetof(type, member##_len)
/* Keys of a struct whose name F() knows. */
#define VALUE(key_type, key, member, text, about)                                                                      \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_##key_type, F(member), .default_text = text, .description = about                  \
    }
#define NUMBER(key_type, key, member, text, least, most, about) /* in a range */                                       \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_##key_type, F(member), .default_text = text, .min = least, .max = most,            \
        .description = about                                                                                           \
    }
#define TABLE(key, member, keys, about)                                                                                \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_TABLE, F(member), .table = &keys, .description = about                             \
    }
#define OPTIONAL(key, member, keys, about)                                                                             \
    {                                                                                                                  \
        .name = key, .type = FG_KEY_TABLE, F(member), .table = &keys, .flags = FG_KEY_OPTIONAL_TABLE,                  \
        .description = about                                                                                           \
    }
#define KEYS(array) .keys = (array), .keys_len = FG_ARRAY_LEN(array)

extern const struct fg_key_word fg_schema_tls_versions[];
extern const struct fg_table fg_schema_http2_of_cluster, fg_schema_guard;
extern const struct fg_table fg_schema_routes, fg_schema_clusters, fg_schema_tap;

extern const struct fg_key_word fg_schema_status_words[]; /* OK first */

#endif
