/* fusegate config reference|schema: what every key means, for people and for editors. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"

int fg_cli_config(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "reference") == 0) {
        fg_config_print_reference(stdout);
        return FG_EXIT_OK;
    }
    if (argc == 2 && strcmp(argv[1], "schema") == 0) {
        fg_config_print_schema(stdout);
        return FG_EXIT_OK;
    }
    fprintf(stderr, "usage: fusegate config reference|schema\n");
    return FG_EXIT_USAGE;
}
