/* Descriptors from a file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/descriptor.h"

int fg_descriptors_load(const char *path, struct fg_descriptors **out, struct fg_descriptors_error *error)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t len = 0;
    int rc = -1;

    if (!file) {
        snprintf(error->text, sizeof error->text, "%s", strerror(errno));
        return -1;
    }
    bytes = malloc(FG_DESCRIPTORS_MAX_BYTES + 1);
    len = bytes ? fread(bytes, 1, FG_DESCRIPTORS_MAX_BYTES + 1, file) : 0;
    if (!bytes || ferror(file))
        snprintf(error->text, sizeof error->text, "it cannot be read: %s", strerror(errno));
    else if (len > FG_DESCRIPTORS_MAX_BYTES)
        snprintf(error->text, sizeof error->text, "it is over %u bytes", FG_DESCRIPTORS_MAX_BYTES);
    else
        rc = fg_descriptors_new(bytes, len, out, error);
    fclose(file);
    free(bytes);
    return rc;
}
