/* Who may ask the admin address, and from where. */
#ifndef FG_ADMIN_ACCESS_H
#define FG_ADMIN_ACCESS_H

#include "h1/head.h"

/* "Bearer TOKEN", or Basic with any user name and TOKEN as the password (RFC 7617), which browsers ask for by
 * themselves. The comparison takes the same time wherever the two differ. *USER is the user name, or empty; in ARENA.
 */
bool fg_admin_knows_token(const struct fg_headers *headers, const char *token, struct fg_arena *arena,
                          struct fg_str *user) __attribute__((warn_unused_result));

/* A page on the web can make a browser ask a loopback address under the page's own name; such a name is not ours. */
bool fg_admin_is_own_host(const struct fg_headers *headers) __attribute__((warn_unused_result));

/* A browser adds the password that it knows to the requests of every page, also of strangers. False: Origin or
 * Sec-Fetch-Site says that this one is not of a page of ours. Where neither is there, no browser asks. */
bool fg_admin_is_same_origin(const struct fg_headers *headers) __attribute__((warn_unused_result));

/* The same for requests that change nothing: a link to us is followed from anywhere, but the parts of a page of
 * another site are not loaded from here. */
bool fg_admin_is_own_fetch(const struct fg_headers *headers) __attribute__((warn_unused_result));

#endif
