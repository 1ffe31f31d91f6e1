#include "h2/frame.h"

const char *fg_h2_error_name(uint32_t code)
{
    static const char *const names[] = {
#define X(name, code) [code] = #name,
        FG_H2_ERRORS(X)
#undef X
    };
    return code < FG_ARRAY_LEN(names) ? names[code] : "unknown";
}
