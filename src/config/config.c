#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/check.h"
#include "config/errors.h"
#include "config/reader.h"
#include "config/value.h"

/* What a struct fg_config stands in. */
struct snapshot {
    struct fg_config config;
    atomic_uint refs;
    struct fg_mem mem;
    struct fg_arena arena;
};

static struct snapshot *snapshot_new(void)
{
    struct snapshot *s = fg_alloc_zero(sizeof *s);
    atomic_init(&s->refs, 1);
    fg_mem_init(&s->mem);
    fg_arena_init(&s->arena, &s->mem);
    return s;
}

static void snapshot_free(struct snapshot *s)
{
    fg_arena_cleanup(&s->arena);
    fg_mem_cleanup(&s->mem);
    free(s);
}

struct fg_config *fg_config_ref(struct fg_config *config)
{
    struct snapshot *s = FG_CONTAINER_OF(config, struct snapshot, config);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return config;
}

void fg_config_unref(struct fg_config *config)
{
    if (!config)
        return;
    struct snapshot *s = FG_CONTAINER_OF(config, struct snapshot, config);
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        snapshot_free(s);
}

/* ---- from the file's form to the snapshot's ---- */

static unsigned count_cpus(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)FG_MIN(FG_MAX(n, 1), (long)fg_schema_find(fg_schema(), "workers")->max);
}

static void *make_array(struct snapshot *s, size_t len, size_t bytes)
{
    void *items = fg_arena_alloc(&s->arena, FG_MAX(len, (size_t)1) * bytes);
    memset(items, 0, FG_MAX(len, (size_t)1) * bytes);
    return items;
}

static void split_address(struct snapshot *s, const char *text, const char **host, uint16_t *port)
{
    struct fg_value_address address = {0};

    if (fg_value_address(fg_str_from(text), &address) != NULL)
        abort(); /* the reader let it pass */
    *host = fg_arena_copy(&s->arena, address.host).p;
    *port = address.port;
}

static void build_listeners(struct snapshot *s, const struct fg_raw_config *raw)
{
    s->config.listeners_len = raw->listeners_len;
    s->config.listeners = make_array(s, raw->listeners_len, sizeof *s->config.listeners);
    for (size_t i = 0; i < raw->listeners_len; i++) {
        const struct fg_raw_listener *in = &raw->listeners[i];
        struct fg_config_listener *out = &s->config.listeners[i];
        size_t more = in->out.tls.certificates_len, single = in->single.certificate != NULL;

        *out = in->out;
        split_address(s, out->address, &out->host, &out->port);
        out->tls.enabled = single + more > 0;
        out->tls.certificates_len = single + more;
        out->tls.certificates = make_array(s, single + more, sizeof *out->tls.certificates);
        if (single)
            out->tls.certificates[0] = in->single;
        if (more)
            memcpy(out->tls.certificates + single, in->out.tls.certificates, more * sizeof *out->tls.certificates);
    }
}

static void build_clusters(struct snapshot *s, const struct fg_raw_config *raw, const struct fg_marks *marks)
{
    s->config.clusters_len = raw->clusters_len;
    s->config.clusters = raw->clusters;
    for (size_t i = 0; i < raw->clusters_len; i++) {
        struct fg_config_cluster *cluster = &s->config.clusters[i];
        cluster->line = fg_marks_find(marks, cluster, NULL, NULL)->line;
        if (cluster->breaker.max_open_for_ns == 0) /* the pause does not grow */
            cluster->breaker.max_open_for_ns = cluster->breaker.open_for_ns;
        for (size_t j = 0; j < cluster->endpoints_len; j++) {
            struct fg_config_endpoint *endpoint = &cluster->endpoints[j];
            split_address(s, endpoint->address, &endpoint->host, &endpoint->port);
        }
    }
}

static size_t cluster_index(const struct fg_raw_config *raw, const char *name)
{
    for (size_t i = 0; i < raw->clusters_len; i++)
        if (strcmp(raw->clusters[i].name, name) == 0)
            return i;
    abort(); /* the check let it pass */
}

static void build_route(struct snapshot *s, const struct fg_raw_route *in, struct fg_config_route *out)
{
    *out = in->out;
    out->path_match = fg_check_path_of(in, &s->arena, &out->path);
    out->path_len = strlen(out->path);
}

/* A code that the file puts into one set leaves the sets that the file does not write. OUTCOMES is what was read. */
static struct fg_config_outcomes settle_outcomes(const struct fg_config_outcomes *outcomes,
                                                 const struct fg_marks *marks)
{
    static const char *const names[] = {"failure", "overload", "ignore"};
    const struct fg_table *table = fg_schema_find(fg_schema_find(fg_schema(), "routes")->table, "outcomes")->table;
    struct fg_config_outcomes settled = *outcomes;
    uint32_t *sets[] = {&settled.failure, &settled.overload, &settled.ignore}, written = 0;
    bool is_written[FG_ARRAY_LEN(sets)];

    for (size_t i = 0; i < FG_ARRAY_LEN(sets); i++) {
        is_written[i] = fg_marks_find(marks, outcomes, table, names[i]) != NULL;
        written |= is_written[i] ? *sets[i] : 0;
    }
    for (size_t i = 0; i < FG_ARRAY_LEN(sets); i++)
        if (!is_written[i])
            *sets[i] &= ~written;
    return settled;
}

static void build_routes(struct snapshot *s, const struct fg_raw_config *raw, const struct fg_marks *marks)
{
    s->config.routes_len = FG_MAX(raw->routes_len, (size_t)1);
    s->config.routes = make_array(s, s->config.routes_len, sizeof *s->config.routes);
    for (size_t i = 0; i < raw->routes_len; i++) {
        build_route(s, &raw->routes[i], &s->config.routes[i]);
        s->config.routes[i].outcomes = settle_outcomes(&raw->routes[i].out.outcomes, marks);
        s->config.routes[i].cluster = cluster_index(raw, raw->routes[i].cluster);
        s->config.routes[i].line = fg_marks_find(marks, &raw->routes[i], NULL, NULL)->line;
    }
    if (raw->routes_len > 0)
        return;
    struct fg_raw_route all = {.cluster = raw->clusters[0].name};
    struct fg_marks unused = {0};
    struct fg_reader reader = {.arena = &s->arena, .folder = "", .marks = &unused};
    fg_reader_defaults(&reader, fg_schema_find(fg_schema(), "routes")->table, &all);
    build_route(s, &all, &s->config.routes[0]);
    s->config.routes[0].line = s->config.clusters[0].line;
}

/* Calls have the weight of their route or of their tenant. Where the route names a header for the priority, callers
 * choose it: the route is one of each. */
static void build_mean_weights(struct snapshot *s)
{
    struct fg_config *config = &s->config;
    unsigned(*counts)[3] = make_array(s, config->clusters_len, sizeof *counts);

    for (size_t i = 0; i < config->routes_len; i++) {
        const struct fg_config_route *route = &config->routes[i];
        const struct fg_config_tenant *tenant = &route->tenant;
        double sum = route->weight;
        for (size_t t = 0; t < tenant->weights_len; t++)
            sum += tenant->weights[t].weight;
        for (unsigned p = 0; p < 3; p++) {
            if (route->priority != p && !route->priority_header)
                continue;
            config->clusters[route->cluster].mean_weight[p] += sum;
            counts[route->cluster][p] += 1 + (unsigned)tenant->weights_len;
        }
    }
    for (size_t i = 0; i < config->clusters_len; i++) {
        double *mean = config->clusters[i].mean_weight;
        for (unsigned p = 0; p < 3; p++)
            mean[p] = counts[i][p] > 0 ? mean[p] / counts[i][p] : 1;
    }
}

/* ---- from nodes to a snapshot ---- */

/* The folder of FILE_NAME with its slash, "" if it has none. */
static const char *folder_of(struct fg_arena *arena, const char *file_name)
{
    const char *slash = strrchr(file_name, '/');
    size_t len = slash ? (size_t)(slash - file_name) + 1 : 0;
    return fg_arena_copy(arena, (struct fg_str){file_name, len}).p;
}

static int make(const char *source, const struct fg_node *root, struct fg_config **out, struct fg_config_errors *errors)
{
    struct snapshot *s = snapshot_new();
    struct fg_raw_config raw;
    struct fg_marks marks = {.arena = &s->arena};
    struct fg_reader reader = {
        .arena = &s->arena, .folder = folder_of(&s->arena, source), .marks = &marks, .errors = errors};

    fg_reader_read(&reader, root, &raw);
    fg_marks_sort(&marks);
    fg_check(&raw, &marks, errors);
    if (errors->len > 0) {
        fg_marks_cleanup(&marks);
        snapshot_free(s);
        fg_errors_sort(errors);
        return -1;
    }
    s->config = raw.out;
    s->config.source = fg_arena_copy(&s->arena, fg_str_from(source)).p;
    if (s->config.workers == 0)
        s->config.workers = count_cpus();
    build_listeners(s, &raw);
    build_clusters(s, &raw, &marks);
    build_routes(s, &raw, &marks);
    build_mean_weights(s);
    fg_marks_cleanup(&marks);
    *out = &s->config;
    return 0;
}

int fg_config_parse(const char *file_name, const char *text, size_t text_len, struct fg_config **out,
                    struct fg_config_errors *errors)
{
    struct fg_mem mem;
    struct fg_arena arena;
    int rc = -1;

    *errors = (struct fg_config_errors){0};
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    const struct fg_node *root = fg_tree_parse(&arena, (struct fg_str){text_len > 0 ? text : "", text_len}, errors);
    if (root)
        rc = make(file_name, root, out, errors);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return rc;
}

/* ---- files ---- */

/* The whole file, or as much as tells that it is too large. NULL with errno. */
static char *read_file(const char *file_name, size_t *len)
{
    int fd = open(file_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t cap = 64u << 10, used = 0;
    char *text = fg_alloc(cap);
    ssize_t n = 1;
    while (used <= FG_TREE_MAX_BYTES) {
        if (used == cap)
            text = fg_realloc(text, cap *= 2);
        n = read(fd, text + used, cap - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    int saved = errno;
    close(fd);
    if (n < 0) {
        free(text);
        errno = saved;
        return NULL;
    }
    *len = used;
    return text;
}

int fg_config_load(const char *file_name, struct fg_config **out, struct fg_config_errors *errors)
{
    size_t len;
    *errors = (struct fg_config_errors){0};
    char *text = read_file(file_name, &len);
    if (!text) {
        fg_errors_add(errors, 0, 0, "", "cannot read the file: %s", strerror(errno));
        return -1;
    }
    int rc = fg_config_parse(file_name, text, len, out, errors);
    free(text);
    return rc;
}

/* ---- the command line ---- */

static void put(struct fg_arena *arena, struct fg_node *mapping, const char *key, struct fg_node *value)
{
    fg_tree_append(arena, mapping, fg_tree_scalar(arena, fg_str_from(key)), value);
}

static struct fg_node *split_endpoints(struct fg_arena *arena, const char *text)
{
    struct fg_node *list = fg_tree_collection(arena, FG_NODE_LIST);
    for (const char *p = text;;) {
        size_t len = strcspn(p, ",");
        fg_tree_append(arena, list, NULL, fg_tree_scalar(arena, (struct fg_str){p, len}));
        if (p[len] == '\0')
            return list;
        p += len + 1;
    }
}

/* The user wrote flags, not keys. */
static void rename_keys(struct fg_config_errors *errors)
{
    for (size_t i = 0; i < errors->len; i++) {
        bool listen = strncmp(errors->items[i].key, "listeners", 9) == 0;
        free(errors->items[i].key);
        errors->items[i].key = fg_strdup(listen ? "--listen" : "--to");
    }
}

/* Builds the nodes that a file with the same meaning would have, so that the same rules hold. */
int fg_config_from_flags(const char *listen, const char *endpoints, struct fg_config **out,
                         struct fg_config_errors *errors)
{
    struct fg_mem mem;
    struct fg_arena arena;

    *errors = (struct fg_config_errors){0};
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_node *listener = fg_tree_collection(&arena, FG_NODE_MAPPING);
    put(&arena, listener, "address", fg_tree_scalar(&arena, fg_str_from(listen)));
    struct fg_node *listeners = fg_tree_collection(&arena, FG_NODE_LIST);
    fg_tree_append(&arena, listeners, NULL, listener);
    struct fg_node *cluster = fg_tree_collection(&arena, FG_NODE_MAPPING);
    put(&arena, cluster, "endpoints", split_endpoints(&arena, endpoints));
    struct fg_node *clusters = fg_tree_collection(&arena, FG_NODE_MAPPING);
    put(&arena, clusters, "default", cluster);
    struct fg_node *root = fg_tree_collection(&arena, FG_NODE_MAPPING);
    put(&arena, root, "listeners", listeners);
    put(&arena, root, "clusters", clusters);

    int rc = make(FG_CONFIG_FROM_FLAGS, root, out, errors);
    rename_keys(errors);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return rc;
}
