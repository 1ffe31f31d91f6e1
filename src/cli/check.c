/* fusegate check FILE: says everything that is wrong with a configuration. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"

int fg_cli_check(int argc, char **argv)
{
    const char *file = NULL;
    struct fg_config_errors errors = {0};
    struct fg_config *config = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0)
            continue;
        if (argv[i][0] == '-' || file) {
            fprintf(stderr, "fusegate check: unexpected argument %s\nusage: fusegate check FILE\n", argv[i]);
            return FG_EXIT_USAGE;
        }
        file = argv[i];
    }
    if (!file) {
        fprintf(stderr, "usage: fusegate check FILE\n");
        return FG_EXIT_USAGE;
    }
    if (fg_config_load(file, &config, &errors) != 0) {
        fg_config_errors_print(&errors, file, stderr);
        fprintf(stderr, "%s: %zu problem%s\n", file, errors.len, errors.len == 1 ? "" : "s");
        fg_config_errors_cleanup(&errors);
        return FG_EXIT_CONFIG;
    }
    printf("%s: valid: %zu listener%s, %zu route%s, %zu cluster%s\n", file, config->listeners_len,
           config->listeners_len == 1 ? "" : "s", config->routes_len, config->routes_len == 1 ? "" : "s",
           config->clusters_len, config->clusters_len == 1 ? "" : "s");
    fg_config_unref(config);
    return FG_EXIT_OK;
}
