#include "base/wait.h"

const char *fg_wait_name(enum fg_wait_cause cause)
{
    static const char *const names[] = {
#define X(cause, name, text) [FG_WAIT_##cause] = name,
        FG_WAITS(X)
#undef X
    };
    return names[cause];
}
