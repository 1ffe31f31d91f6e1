/* Where `fusegate tap` puts the events of a session: a terminal, a HAR file, a capture. Each is told of all events, in
 * their order, and has written everything when on_event returns: the command may be interrupted at any time. */
#ifndef FG_CLI_TAP_OUTPUT_H
#define FG_CLI_TAP_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct fg_tap_output {
    bool (*on_event)(struct fg_tap_output *output, const char *kind, const json_t *event); /* false: it cannot go on */
    void (*free)(struct fg_tap_output *output);
};

struct fg_tap_output *fg_tap_print_new(FILE *out, bool colours, bool pretty);
struct fg_tap_output *fg_tap_har_new(FILE *file);  /* takes FILE, which is empty; NULL: nothing can be written to it */
struct fg_tap_output *fg_tap_pcap_new(FILE *file); /* the same */

/* The name (0) or the value (1) of a header field; "" if it is none. */
const char *fg_tap_part(const json_t *field, size_t i);

/* The bytes of a message or of data, to be freed; NULL: there are none. */
char *fg_tap_bytes(const json_t *event, size_t *len);
char *fg_tap_base64(const char *bytes, size_t len); /* to be freed */

#endif
