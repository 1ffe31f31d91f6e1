/* Where the clusters' descriptors come from: a file, or the services themselves by reflection. They are made once and
 * each worker gets a reference by mail; a set that is in use lives on until the last call has let go of it. */
#ifndef FG_GATEWAY_DESCRIPTORS_H
#define FG_GATEWAY_DESCRIPTORS_H

#include <stdio.h>

struct fg_descriptors;
struct fg_gateway;
struct fg_descriptor_source;

/* Reads the files and makes the sources of the clusters that have `descriptors`. Call it before the workers run. 0, or
 * -1 with a sentence in ERROR. */
int fg_descriptor_sources_init(struct fg_gateway *gateway, char *error, size_t error_len)
    __attribute__((warn_unused_result));
void fg_descriptor_sources_stop(
    struct fg_gateway *gateway); /* the workers have ended, their clusters are still there */
void fg_descriptor_sources_cleanup(struct fg_gateway *gateway);

/* Reads the files again; one that is no good leaves the set as it was, with a log message. From any thread. */
void fg_descriptor_sources_refresh(struct fg_gateway *gateway);

/* The set that CLUSTER has now, with one reference; NULL: none. From any thread. */
struct fg_descriptors *fg_descriptor_source_latest(struct fg_gateway *gateway, size_t cluster);

/* What is known of CLUSTER's, as JSON: an object, or null. From any thread. */
void fg_descriptor_source_print(struct fg_gateway *gateway, size_t cluster, FILE *out);

#endif
