#include "cli/args.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

static int complain(const struct fg_args *args, const char *problem, const char *what)
{
    fprintf(stderr, "fusegate %s: %s %s\n%s", args->command, problem, what, args->usage);
    return FG_EXIT_USAGE;
}

static const struct fg_arg *find(const struct fg_args *args, const char *text, size_t len)
{
    for (size_t i = 0; i < args->known_len; i++)
        if (strlen(args->known[i].name) == len && memcmp(args->known[i].name, text, len) == 0)
            return &args->known[i];
    return NULL;
}

static void add(struct fg_arg_values *values, const char *value)
{
    values->items = fg_realloc(values->items, (values->len + 1) * sizeof *values->items);
    values->items[values->len++] = value;
}

/* The option ARGV[*I], and its value, which may be the next one. */
static int take_option(const struct fg_args *args, int argc, char **argv, int *i)
{
    const char *text = argv[*i], *equals = strncmp(text, "--", 2) == 0 ? strchr(text, '=') : NULL;
    const struct fg_arg *arg = find(args, text, equals ? (size_t)(equals - text) : strlen(text));

    if (!arg)
        return complain(args, "unknown option", text);
    if (arg->flag && equals)
        return complain(args, "there is no value to", arg->name);
    if (arg->flag) {
        *arg->flag = true;
        return -1;
    }
    if (!equals && *i + 1 == argc)
        return complain(args, "no value after", text);
    const char *value = equals ? equals + 1 : argv[++*i];
    if (arg->values)
        add(arg->values, value);
    else
        *arg->value = value;
    return -1;
}

int fg_args_parse(struct fg_args *args, int argc, char **argv)
{
    bool options = true;
    int result = -1;

    for (int i = 1; i < argc && result < 0; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            fputs(args->usage, stdout);
            result = FG_EXIT_OK;
        } else if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            result = take_option(args, argc, argv, &i);
        } else if (args->names_len == args->names_max) {
            result = complain(args, "unexpected argument", argv[i]);
        } else {
            args->names[args->names_len++] = argv[i];
        }
    }
    return result;
}

int fg_args_number(const struct fg_args *args, const char *name, const char *text, unsigned long max,
                   unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    if (isdigit((unsigned char)text[0]) && *end == '\0' && *out <= max)
        return 0;
    fprintf(stderr, "fusegate %s: %s is a number from 0 to %lu, not %s\n", args->command, name, max, text);
    return -1;
}
