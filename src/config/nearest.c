#include "config/nearest.h"

#define MAX_WORD 64 /* longer words are not compared: the cost is quadratic and no key is that long */

void fg_nearest_init(struct fg_nearest *nearest, struct fg_str word)
{
    /* A third of the letters may be wrong, one in a short word: more than that is another word. */
    unsigned allowed = word.len > MAX_WORD || word.len < 2 ? 0 : (unsigned)FG_MAX(word.len / 3, 1u);
    *nearest = (struct fg_nearest){.word = word, .distance = allowed + 1};
}

/* maxConnections, max-connections and max_connections are one word to people. */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' || c == ' ' ? '_' : c;
}

static bool abbreviates(struct fg_str word, struct fg_str full)
{
    if (word.len < 3 || word.len > full.len)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (fold(word.p[i]) != fold(full.p[i]))
            return false;
    return true;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours. */
static unsigned distance(struct fg_str a, struct fg_str b)
{
    unsigned rows[3][MAX_WORD + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];

    for (unsigned j = 0; j <= b.len; j++)
        last[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = fold(a.p[i - 1]) == fold(b.p[j - 1]);
            unsigned cost = FG_MIN(last[j - 1] + !same, FG_MIN(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && fold(a.p[i - 1]) == fold(b.p[j - 2]) && fold(a.p[i - 2]) == fold(b.p[j - 1]))
                cost = FG_MIN(cost, before[j - 2] + 1);
            now[j] = cost;
        }
        unsigned *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b.len];
}

void fg_nearest_offer(struct fg_nearest *nearest, const char *candidate)
{
    struct fg_str name = fg_str_from(candidate);

    if (nearest->word.len == 0 || nearest->word.len > MAX_WORD || name.len > MAX_WORD)
        return;
    unsigned d = abbreviates(nearest->word, name) ? (nearest->word.len < name.len) : distance(nearest->word, name);
    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = candidate;
    }
}
