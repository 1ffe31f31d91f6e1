/* The one description of every key a configuration file may hold.
 *
 * The parser, the defaults, the reference page and the JSON Schema are all made from the table that fg_schema()
 * returns; a default stands nowhere else, and it stands there as a user would write it. */
#ifndef FG_CONFIG_SCHEMA_H
#define FG_CONFIG_SCHEMA_H

#include "config/config.h"

enum fg_key_type {
    FG_KEY_TABLE, /* a mapping with known keys, stored in place */
    FG_KEY_LIST,  /* a sequence of such mappings */
    FG_KEY_MAP,   /* a mapping from names to such mappings; the file's order is kept */
    FG_KEY_BOOL,
    FG_KEY_INTEGER,
    FG_KEY_SIZE,
    FG_KEY_DURATION,
    FG_KEY_RATIO,
    FG_KEY_FACTOR,   /* like a ratio, but 1 or more is what is meant: 1.5 */
    FG_KEY_RATE,     /* per second; stored as that number */
    FG_KEY_INTERVAL, /* a rate per second, minute or hour; stored as the ns between two of its events */
    FG_KEY_ENUM,
    FG_KEY_CODES,     /* a list of status codes, or one of them; stored as a set: bit n is code n */
    FG_KEY_LIMIT_KEY, /* words, or header:NAME: stored as a number, and the name beside it */
    FG_KEY_TEXT,
    FG_KEY_FILE,        /* relative to the folder of the configuration file */
    FG_KEY_LISTEN,      /* host:port to listen on */
    FG_KEY_ENDPOINT,    /* host:port to connect to */
    FG_KEY_ADMIN,       /* host:port or unix:/path */
    FG_KEY_METHOD,      /* pkg.Service/Method, pkg.Service/ *, * */
    FG_KEY_PATH,        /* starts with "/" */
    FG_KEY_HOST,        /* an :authority or a server name; stored in lower case */
    FG_KEY_TOKEN,       /* visible ASCII; never shown in a message */
    FG_KEY_CLUSTER,     /* the name of a cluster, also where it is defined */
    FG_KEY_TENANT,      /* what the header of a tenant may hold */
    FG_KEY_HTTP_STATUS, /* 404, or 4xx: all that no other entry names */
    FG_KEY_HEADER,      /* a header name; stored in lower case */
    FG_KEY_CALL_HEADER, /* the same, but one that goes from the caller to the service: no connection's own */
    FG_KEY_FIELD        /* a path of fields in messages: card.number, *.token */
};

/* A word and what it is stored as. */
struct fg_key_word {
    const char *text;
    uint64_t number;
};

enum fg_key_flags {
    FG_KEY_REQUIRED = 1,
    FG_KEY_OPTIONAL_TABLE = 2, /* an absent table is all zero instead of its defaults */
    FG_KEY_EXCLUSIVE = 4       /* at most one of the keys of a table with this flag */
};

/* How a mapping may be abbreviated to the scalar value of its first key. */
enum fg_shorthand { FG_SHORTHAND_NONE, FG_SHORTHAND_ALLOWED, FG_SHORTHAND_ONLY };

struct fg_key {
    const char *name;
    const char *description;         /* one line */
    const char *default_text;        /* NULL: none; the field stays 0 or NULL */
    const struct fg_key_word *words; /* of an enum, or words besides the usual values; ends with {NULL} */
    const struct fg_table *table;    /* of TABLE, LIST, MAP */
    const char *needs;               /* key of the same table that must stand beside this one */
    uint64_t min, max;               /* in ns, bytes, millionths, items of a list or map; 0, 0: unlimited list */
    size_t offset, bytes;            /* of the field in the struct that its table fills */
    size_t len_offset;               /* LIST and MAP: of the size_t beside the pointer */
    size_t header_offset;            /* LIMIT_KEY: of the const char * that takes the name of a header */
    enum fg_key_type type;
    unsigned flags;
};

struct fg_table {
    const char *title; /* heading of the reference page */
    const char *about; /* a paragraph for the reference page */
    const struct fg_key *keys;
    size_t keys_len;
    size_t bytes;               /* of one item, for LIST and MAP */
    size_t name_offset;         /* MAP: of the const char * that takes the name */
    enum fg_key_type name_type; /* MAP: CLUSTER, HEADER, TENANT or HTTP_STATUS */
    enum fg_shorthand shorthand;
};

#define FG_RATIO_UNIT 1000000u /* min and max of ratios and factors are millionths */

/* What the table fills where the file's form differs from the snapshot's. */
struct fg_raw_listener {
    struct fg_config_listener out;
    struct fg_config_certificate single; /* tls.certificate and tls.key, which go before tls.certificates */
};

struct fg_raw_route {
    struct fg_config_route out;
    const char *method, *path, *path_prefix; /* at most one is not NULL */
    const char *cluster;
};

struct fg_raw_config {
    struct fg_config out; /* its listeners, routes and clusters stay empty */
    struct fg_raw_listener *listeners;
    size_t listeners_len;
    struct fg_raw_route *routes;
    size_t routes_len;
    struct fg_config_cluster *clusters;
    size_t clusters_len;
};

/* The table of the whole file; it fills a struct fg_raw_config. */
const struct fg_table *fg_schema(void);

/* NULL if the table has no such key. */
const struct fg_key *fg_schema_find(const struct fg_table *table, const char *name);

#endif
