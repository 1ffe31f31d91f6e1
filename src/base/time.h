/* Durations and instants in nanoseconds. An instant is of the monotonic clock; 0 means "none". Only io reads the clock
 * (fg_clock_now_ns); everybody else is given `now_ns`. */
#ifndef FG_BASE_TIME_H
#define FG_BASE_TIME_H

#include <stdint.h>

#define FG_US 1000ull
#define FG_MS 1000000ull
#define FG_S  1000000000ull

#define FG_NEVER UINT64_MAX

#endif
