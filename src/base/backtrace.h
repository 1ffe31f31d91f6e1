/* Addresses of this process in words: file and offset for addr2line, function and offset where the file has symbols.
 * Async-signal-safe: it reads /proc/self/maps and the files with plain system calls into memory of its own, so one
 * thread at a time may use it. */
#ifndef FG_BASE_BACKTRACE_H
#define FG_BASE_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FG_BACKTRACE_NAME_BYTES 128
#define FG_BACKTRACE_FILE_BYTES 512

struct fg_backtrace_frame {
    uintptr_t address;                  /* set by the caller */
    bool is_return;                     /* it is where a call returns to: the call stands before it */
    uintptr_t base;                     /* where its file begins in memory; 0: none was found */
    char file[FG_BACKTRACE_FILE_BYTES]; /* its whole name; "": none */
    char name[FG_BACKTRACE_NAME_BYTES]; /* of the function; "": unknown */
    uintptr_t name_offset;              /* into the function */
    uintptr_t function_at;              /* used inside */
    uint64_t name_at;
};

/* Fills in what can be found. */
void fg_backtrace_find(struct fg_backtrace_frame *frames, size_t len);

#define FG_BUILD_ID_BYTES 64

/* The build id of the program as hexadecimal text, "" if it has none. Not for signal handlers. */
void fg_backtrace_build_id(char out[FG_BUILD_ID_BYTES]);

#endif
