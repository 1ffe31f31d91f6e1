/* Collects the problems of one file; insiders of the folder only. */
#ifndef FG_CONFIG_ERRORS_H
#define FG_CONFIG_ERRORS_H

#include "base/bytes.h"
#include "config/config.h"

/* A file that is wrong throughout is told so; nobody reads more. The last one says that there are more. */
#define FG_ERRORS_MAX 100

#define FG_QUOTE_BYTES 96

/* Copies KEY and the message. LINE 0: no position. */
void fg_errors_add(struct fg_config_errors *errors, int line, int column, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* In the order of the file; problems of one place stay in the order in which they were found. */
void fg_errors_sort(struct fg_config_errors *errors);

/* TEXT in double quotes, cut to a sane length, with control characters made visible. Returns OUT. */
const char *fg_errors_quote(char out[FG_QUOTE_BYTES], struct fg_str text);

#endif
