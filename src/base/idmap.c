#include "base/idmap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define FIRST_SLOTS 8u

static uint32_t home(const struct fg_idmap *map, uint32_t id)
{
    return (id >> 1) * 0x9E3779B1u >> 7 & map->mask; /* ids of one side are all odd or all even */
}

void fg_idmap_cleanup(struct fg_idmap *map)
{
    free(map->slots);
    *map = (struct fg_idmap){0};
}

static uint32_t find(const struct fg_idmap *map, uint32_t id)
{
    uint32_t i = home(map, id);
    while (map->slots[i].id != 0 && map->slots[i].id != id)
        i = (i + 1) & map->mask;
    return i;
}

void *fg_idmap_get(const struct fg_idmap *map, uint32_t id)
{
    if (map->len == 0)
        return NULL;
    const struct fg_idmap_slot *slot = &map->slots[find(map, id)];
    return slot->id == id ? slot->value : NULL;
}

static void resize(struct fg_idmap *map, uint32_t slots)
{
    struct fg_idmap old = *map;

    map->slots = fg_alloc_zero(slots * sizeof *map->slots);
    map->mask = slots - 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].id != 0)
            map->slots[find(map, old.slots[i].id)] = old.slots[i];
    free(old.slots);
}

void fg_idmap_put(struct fg_idmap *map, uint32_t id, void *value)
{
    assert(id != 0);
    if (!map->slots)
        resize(map, FIRST_SLOTS);
    else if ((map->len + 1) * 4 > (map->mask + 1) * 3)
        resize(map, (map->mask + 1) * 2);
    struct fg_idmap_slot *slot = &map->slots[find(map, id)];
    assert(slot->id == 0);
    *slot = (struct fg_idmap_slot){id, value};
    map->len++;
}

void fg_idmap_remove(struct fg_idmap *map, uint32_t id)
{
    if (map->len == 0)
        return;
    uint32_t hole = find(map, id);
    if (map->slots[hole].id != id)
        return;
    if (--map->len == 0 && map->mask + 1 > FIRST_SLOTS * 8) { /* a burst is over */
        fg_idmap_cleanup(map);
        return;
    }
    for (uint32_t i = (hole + 1) & map->mask; map->slots[i].id != 0; i = (i + 1) & map->mask) {
        uint32_t want = home(map, map->slots[i].id);
        /* Move the entry back unless its home lies cyclically in (hole, i]. */
        if (((i - want) & map->mask) >= ((i - hole) & map->mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct fg_idmap_slot){0};
}

void fg_idmap_remove_through(struct fg_idmap *map, uint32_t last)
{
    for (uint32_t i = 0; map->len > 0 && i <= map->mask;) {
        uint32_t id = map->slots[i].id;
        if (id != 0 && id <= last)
            fg_idmap_remove(map, id); /* another one may have moved to this place: look again */
        else
            i++;
    }
}
