/* The dashboard: a page and its parts, which the build puts into the binary (ui/, tools/embed_files.py). */
#ifndef FG_ADMIN_DASHBOARD_H
#define FG_ADMIN_DASHBOARD_H

#include "admin/server.h"

struct fg_dashboard_file {
    const char *name; /* behind /dashboard/; "": the page itself; NULL: behind the last one */
    const char *content_type;
    const char *hash; /* of the content, in hex */
    const uint8_t *gzip;
    size_t gzip_len, len; /* LEN: inflated */
};

extern const struct fg_dashboard_file fg_dashboard_files[];

/* /dashboard and /dashboard/NAME. */
void fg_dashboard(void *context, const struct fg_admin_request *request, struct fg_admin_response *response,
                  FILE *body);

#endif
