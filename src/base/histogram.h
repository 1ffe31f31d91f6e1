/* An exponential histogram of durations, as OpenTelemetry's metrics data model defines it (section
 * ExponentialHistogram): at scale 3 the base is 2^(1/8), and the bucket of index i holds what is over base^i and at
 * most base^(i+1) *seconds*, so that a snapshot can be exported in seconds as it is. A bucket is 9 % wide.
 *
 * One thread writes; others read at any time (relaxed atomics, like base/stats.h). Observing takes no lock and no
 * memory and is integer arithmetic alone. */
#ifndef FG_BASE_HISTOGRAM_H
#define FG_BASE_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#define FG_HISTOGRAM_SCALE   3
#define FG_HISTOGRAM_OFFSET  (-160) /* index of the first bucket: over 2^-20 s, which is 954 ns */
#define FG_HISTOGRAM_BUCKETS 226    /* the last one ends at 2^(66/8) s, which is 304 s; what is longer is in it, too */

/* What is at most this is in the zero bucket (OpenTelemetry's zero_threshold, which is 2^-20 s). */
#define FG_HISTOGRAM_ZERO_NS 953

/* All zero to begin with. */
struct fg_histogram {
    uint64_t sum_ns;
    uint64_t least_ns, max_ns; /* `least_ns` is one more than the least; 0: there is none */
    uint64_t zero_count;
    uint64_t buckets[FG_HISTOGRAM_BUCKETS];
};

/* Plain numbers. `count` is always what the buckets and the zero bucket add up to. All zero: empty. */
struct fg_histogram_snapshot {
    uint64_t count, sum_ns;
    bool has_range;          /* not when it is empty or an interval */
    uint64_t min_ns, max_ns; /* meaningless without has_range */
    uint64_t zero_count;
    uint64_t buckets[FG_HISTOGRAM_BUCKETS]; /* of index FG_HISTOGRAM_OFFSET and on */
};

void fg_histogram_observe(struct fg_histogram *histogram, uint64_t value_ns); /* by its one writer */

/* Which of the buckets holds VALUE_NS, which is over FG_HISTOGRAM_ZERO_NS; from 0. */
unsigned fg_histogram_bucket_of(uint64_t value_ns);
/* What buckets[BUCKET] holds at most, in whole nanoseconds; it begins behind the bound of the one before, and the first
 * behind FG_HISTOGRAM_ZERO_NS. */
uint64_t fg_histogram_bound_ns(unsigned bucket);

/* Several writers are summed up by adding their histograms to one snapshot. */
void fg_histogram_add_to(struct fg_histogram_snapshot *sum, const struct fg_histogram *histogram);
void fg_histogram_add(struct fg_histogram_snapshot *sum, const struct fg_histogram_snapshot *other);
/* What has come since EARLIER, a snapshot of the same histograms. */
void fg_histogram_subtract(struct fg_histogram_snapshot *from, const struct fg_histogram_snapshot *earlier);

/* The value that a share of Q (0 to 1) of all values is not over, interpolated within its bucket: off by at most 5 %,
 * whatever the values are, as long as none is over the last bound. 0 when it is empty. */
uint64_t fg_histogram_quantile_ns(const struct fg_histogram_snapshot *snapshot, double q);

/* The buckets in use: LEN from the returned one on. LEN is 0 when there are none. */
unsigned fg_histogram_used(const struct fg_histogram_snapshot *snapshot, unsigned *len);

#endif
