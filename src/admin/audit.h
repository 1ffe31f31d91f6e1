/* The audit log: who did what by the admin address, and who was refused. One JSON line each. */
#ifndef FG_ADMIN_AUDIT_H
#define FG_ADMIN_AUDIT_H

#include "base/mem.h"

struct fg_admin_audit;

struct fg_admin_act {
    const char *peer;     /* address and port */
    struct fg_str user;   /* a name that the caller gave itself, with the right token; empty: none */
    const char *action;   /* the path */
    struct fg_str target; /* the query */
};

/* PATH is appended to; NULL: the lines go to the ordinary error log. NULL with a sentence in ERROR. */
struct fg_admin_audit *fg_admin_audit_new(const char *path, char *error, size_t error_len);
void fg_admin_audit_free(struct fg_admin_audit *audit); /* NULL is allowed */

/* The file is opened anew before the next line, after it was moved away. Any thread. */
void fg_admin_audit_reopen(struct fg_admin_audit *audit);

/* {"time", "peer", "user", "action", "target", "result"}. False: it could not be written, which is said in the error
 * log. One thread. */
bool fg_admin_audit_write(struct fg_admin_audit *audit, const struct fg_admin_act *act, const char *result)
    __attribute__((warn_unused_result));

/* The same of an act that is refused. Anybody can be refused as often as he likes: of too many in a short time some are
 * left out, and the next line says how many ("left_out"). */
void fg_admin_audit_refused(struct fg_admin_audit *audit, const struct fg_admin_act *act, const char *result,
                            uint64_t now_ns);

#endif
