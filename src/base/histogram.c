#include "base/histogram.h"

#include "base/bytes.h"
#include "base/stats.h"

#define STEPS      (1 << FG_HISTOGRAM_SCALE) /* buckets from one power of two to the next */
#define TOP_OCTAVE 8                         /* of 2^8 s to 2^9 s, where the last buckets are */
#define LOW_OCTAVE (FG_HISTOGRAM_OFFSET / STEPS)

/* floor(10^9 * 2^(TOP_OCTAVE + i/8)): the lower bounds of an octave's buckets in nanoseconds. Those of the octaves
 * below are these, shifted: floor(floor(x) / 2^n) is floor(x / 2^n), and an integer is over x exactly if it is over
 * floor(x). */
static const uint64_t bounds[STEPS] = {
    256000000000, 279169979562, 304437021440, 331990925990, 362038671967, 394805971304, 430538964609, 469506070120,
};

static uint64_t lower_bound(unsigned bucket)
{
    return bounds[bucket % STEPS] >> (TOP_OCTAVE - LOW_OCTAVE - (int)(bucket / STEPS));
}

uint64_t fg_histogram_bound_ns(unsigned bucket)
{
    return lower_bound(bucket + 1);
}

unsigned fg_histogram_bucket_of(uint64_t value_ns)
{
    if (value_ns > bounds[0]) /* of the top octave there are two */
        return FG_HISTOGRAM_BUCKETS - 2 + (value_ns > bounds[1]);
    /* 10^9 lies between 2^29 and 2^30: the octave is that of the highest bit, or the one below. */
    int octave = 63 - __builtin_clzll(value_ns) - 29;
    octave -= value_ns <= bounds[0] >> (TOP_OCTAVE - octave);
    uint64_t in_top = value_ns << (TOP_OCTAVE - octave);
    unsigned step = in_top > bounds[4] ? 4 : 0;
    step += in_top > bounds[step + 2] ? 2 : 0;
    step += in_top > bounds[step + 1];
    return (unsigned)(octave - LOW_OCTAVE) * STEPS + step;
}

void fg_histogram_observe(struct fg_histogram *histogram, uint64_t value_ns)
{
    if (value_ns <= FG_HISTOGRAM_ZERO_NS)
        fg_stat_add(&histogram->zero_count, 1);
    else
        fg_stat_add(&histogram->buckets[fg_histogram_bucket_of(value_ns)], 1);
    fg_stat_add(&histogram->sum_ns, value_ns);
    if (value_ns > histogram->max_ns)
        __atomic_store_n(&histogram->max_ns, value_ns, __ATOMIC_RELAXED);
    if (value_ns < histogram->least_ns - 1) /* of nothing: over all */
        __atomic_store_n(&histogram->least_ns, value_ns + 1, __ATOMIC_RELAXED);
}

void fg_histogram_add_to(struct fg_histogram_snapshot *sum, const struct fg_histogram *histogram)
{
    uint64_t least_ns = fg_stat_read(&histogram->least_ns);
    struct fg_histogram_snapshot one = {
        .has_range = least_ns > 0,
        .min_ns = least_ns > 0 ? least_ns - 1 : 0,
        .max_ns = fg_stat_read(&histogram->max_ns),
        .sum_ns = fg_stat_read(&histogram->sum_ns),
        .zero_count = fg_stat_read(&histogram->zero_count),
    };

    one.count = one.zero_count;
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++)
        one.count += one.buckets[i] = fg_stat_read(&histogram->buckets[i]);
    fg_histogram_add(sum, &one);
}

void fg_histogram_add(struct fg_histogram_snapshot *sum, const struct fg_histogram_snapshot *other)
{
    if (other->count == 0)
        return;
    if (sum->count == 0) {
        *sum = *other;
        return;
    }
    sum->has_range &= other->has_range;
    sum->min_ns = FG_MIN(sum->min_ns, other->min_ns);
    sum->max_ns = FG_MAX(sum->max_ns, other->max_ns);
    sum->count += other->count;
    sum->sum_ns += other->sum_ns;
    sum->zero_count += other->zero_count;
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++)
        sum->buckets[i] += other->buckets[i];
}

void fg_histogram_subtract(struct fg_histogram_snapshot *from, const struct fg_histogram_snapshot *earlier)
{
    from->count -= earlier->count;
    from->sum_ns -= earlier->sum_ns;
    from->zero_count -= earlier->zero_count;
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++)
        from->buckets[i] -= earlier->buckets[i];
    from->has_range &= earlier->count == 0;
}

/* Where value number RANK (from 1) of COUNT, which lie between LOW and HIGH, is when they are spread evenly. */
static uint64_t between(uint64_t low, uint64_t high, uint64_t rank, uint64_t count)
{
    return low + (uint64_t)((double)(high - low) * ((double)rank - 0.5) / (double)count);
}

static uint64_t find_rank(const struct fg_histogram_snapshot *snapshot, uint64_t rank)
{
    if (rank <= snapshot->zero_count)
        return between(0, FG_HISTOGRAM_ZERO_NS, rank, snapshot->zero_count);
    rank -= snapshot->zero_count;
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        uint64_t low = lower_bound(i), high = fg_histogram_bound_ns(i);
        /* Between the two that are 5 % away from the other end: so far off it is at most, however the values lie. */
        if (rank <= snapshot->buckets[i])
            return between(high - high / 20, low + low / 20, rank, snapshot->buckets[i]);
        rank -= snapshot->buckets[i];
    }
    return fg_histogram_bound_ns(FG_HISTOGRAM_BUCKETS - 1);
}

uint64_t fg_histogram_quantile_ns(const struct fg_histogram_snapshot *snapshot, double q)
{
    if (snapshot->count == 0)
        return 0;
    double share = q * (double)snapshot->count;
    uint64_t rank = share <= 0 ? 0 : (uint64_t)share;
    rank += (double)rank < share; /* rounded up */
    uint64_t value_ns = find_rank(snapshot, FG_MIN(FG_MAX(rank, (uint64_t)1), snapshot->count));
    return snapshot->has_range ? FG_MIN(FG_MAX(value_ns, snapshot->min_ns), snapshot->max_ns) : value_ns;
}

unsigned fg_histogram_used(const struct fg_histogram_snapshot *snapshot, unsigned *len)
{
    unsigned first = 0, end = FG_HISTOGRAM_BUCKETS;

    while (first < end && snapshot->buckets[first] == 0)
        first++;
    while (end > first && snapshot->buckets[end - 1] == 0)
        end--;
    *len = end - first;
    return first;
}
