/* Map from non-zero 32-bit ids to pointers: open addressing, linear probing, no tombstones. A map that never held
 * anything owns no memory. */
#ifndef FG_BASE_IDMAP_H
#define FG_BASE_IDMAP_H

#include "base/bytes.h"

struct fg_idmap_slot {
    uint32_t id; /* 0: free */
    void *value;
};

struct fg_idmap {
    struct fg_idmap_slot *slots;
    uint32_t mask; /* slots - 1, or 0 */
    uint32_t len;
};

void fg_idmap_cleanup(struct fg_idmap *map);
void *fg_idmap_get(const struct fg_idmap *map, uint32_t id);       /* NULL: not there */
void fg_idmap_put(struct fg_idmap *map, uint32_t id, void *value); /* the id must not be there */
void fg_idmap_remove(struct fg_idmap *map, uint32_t id);           /* gives large tables back when the last one goes */
void fg_idmap_remove_through(struct fg_idmap *map, uint32_t last); /* all ids up to this one; looks at every slot */

#endif
