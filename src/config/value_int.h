/* What texts may hold; shared by value.c and value_text.c. */
#ifndef FG_CONFIG_VALUE_INT_H
#define FG_CONFIG_VALUE_INT_H

#include "config/value.h"

static inline bool fg_value_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool fg_value_is_alnum(char c)
{
    return fg_value_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* NULL, or a sentence that says what is wrong with TEXT. TYPE is TEXT or one of those after it. */
const char *fg_value_text_fault(enum fg_key_type type, struct fg_str text);

#endif
