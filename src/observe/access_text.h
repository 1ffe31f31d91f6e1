/* A line of the access log as a template has it (config/log_format.h). */
#ifndef FG_OBSERVE_ACCESS_TEXT_H
#define FG_OBSERVE_ACCESS_TEXT_H

#include "config/log_format.h"
#include "observe/access_line.h"

/* Writes the line with its line feed; the length. OUT has FG_ACCESS_LINE_BYTES: what does not fit is cut off. */
size_t fg_access_text(char *out, const struct fg_log_format *format, const struct fg_access_record *record,
                      struct fg_access_second *second);

#endif
