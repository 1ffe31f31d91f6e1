/* google.api.http (google/api/http.proto): which HTTP requests mean which method, and how their path and query become
 * fields. Rules are compiled into a router when descriptors are made; it is immutable and lives as long as they do. */
#ifndef FG_RPC_HTTP_RULE_H
#define FG_RPC_HTTP_RULE_H

#include "rpc/proto_json.h"

#define FG_HTTP_SEGMENTS_MAX 64  /* of a path; a longer one matches nothing */
#define FG_HTTP_QUERY_MAX    256 /* parameters of a query */

struct fg_http_router;

enum fg_http_body { FG_HTTP_BODY_NONE, FG_HTTP_BODY_ALL, FG_HTTP_BODY_FIELD };

/* {a.b=shelves / *}: the segments first..last-1 of the path, or all from `first` on. */
struct fg_http_variable {
    const struct fg_field **path; /* from the method's input down to a field of one value */
    uint32_t depth;
    uint16_t first, last; /* `last` 0: to the end */
    bool multi;           /* more than one segment is possible: reserved characters stay encoded */
};

struct fg_http_binding {
    const struct fg_method *method;
    struct fg_str http_method, path; /* the path as the rule has it */
    struct fg_str verb;              /* behind the last colon; empty: none */
    const struct fg_http_variable *variables;
    size_t variables_len;
    enum fg_http_body body;
    const struct fg_field *body_field, *response_field; /* NULL: none */
    struct fg_http_binding *next;                       /* with the same segments; later rules come first */
};

/* Compiles the rules of all methods. A rule that is no good is left out, and the first such is told in PROBLEM ("": all
 * are good). NULL: there is no rule. */
struct fg_http_router *fg_http_router_new(struct fg_descriptors *descriptors, struct fg_descriptors_error *problem);
void fg_http_router_free(struct fg_http_router *router); /* NULL is allowed */

/* All bindings, in the order of the rules. */
const struct fg_http_binding *const *fg_http_router_bindings(const struct fg_http_router *router, size_t *len);

enum fg_http_found { FG_HTTP_NO_PATH, FG_HTTP_NO_METHOD, FG_HTTP_FOUND };

struct fg_http_match {
    const struct fg_http_binding *binding;
    struct fg_str segments[FG_HTTP_SEGMENTS_MAX]; /* of the path, without the verb, as they came */
    size_t segments_len;
    struct fg_str verb;
    char allow[96]; /* FG_HTTP_NO_METHOD: "GET, POST" */
};

/* PATH is without query, and outlives the match. ROUTER may be NULL. */
enum fg_http_found fg_http_route(const struct fg_http_router *router, struct fg_str http_method, struct fg_str path,
                                 struct fg_http_match *match);

/* Appends the fields that the path and QUERY (without "?") have to OUT. 0, or -1 and ERROR. ARENA takes copies. */
int fg_http_put_fields(const struct fg_http_match *match, struct fg_str query, const struct fg_json_to_proto *how,
                       struct fg_arena *arena, struct fg_proto_out *out, struct fg_proto_json_error *error)
    __attribute__((warn_unused_result));

/* The first parameter NAME of QUERY, decoded to ARENA. False: there is none, or it is malformed. */
bool fg_http_query_get(struct fg_str query, struct fg_str name, struct fg_arena *arena, struct fg_str *value);

/* The router of a set; NULL: no method has a rule. */
const struct fg_http_router *fg_descriptors_http(const struct fg_descriptors *descriptors);
/* What was wrong with the first rule that was left out; "": nothing. */
const char *fg_descriptors_http_problem(const struct fg_descriptors *descriptors);

#endif
