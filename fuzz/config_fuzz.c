/* Any bytes as a configuration file: a snapshot or at least one error, nothing else. */
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fg_config *config = NULL;
    struct fg_config_errors errors;
    int rc = fg_config_parse("fuzz.yaml", (const char *)data, len, &config, &errors);

    if ((rc == 0) != (config != NULL) || (rc == 0) != (errors.len == 0))
        abort();
    if (rc == 0 &&
        (config->workers == 0 || config->listeners_len == 0 || config->routes_len == 0 || config->clusters_len == 0))
        abort();
    fg_config_errors_cleanup(&errors);
    fg_config_unref(config);
    return 0;
}
