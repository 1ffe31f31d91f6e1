#include "rpc/error_details.h"

#include <pthread.h>
#include <stdlib.h>

/* proto/google/rpc/error_details.proto, compiled and embedded by the build. */
extern const uint8_t fg_error_details_set[];
extern const size_t fg_error_details_set_len;

static struct fg_descriptors *descriptors;

static void release(void)
{
    fg_descriptors_unref(descriptors);
}

static void make(void)
{
    struct fg_descriptors_error error;

    if (fg_descriptors_new(fg_error_details_set, fg_error_details_set_len, &descriptors, &error) != 0)
        abort(); /* it is ours, and a test makes it */
    (void)atexit(release);
}

const struct fg_descriptors *fg_error_details(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make);
    return descriptors;
}
