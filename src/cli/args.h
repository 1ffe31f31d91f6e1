/* Command lines: options in any order, "--name VALUE" or "--name=VALUE", then names without dashes. */
#ifndef FG_CLI_ARGS_H
#define FG_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* The values of an option that may stand there several times; borrowed from ARGV. To be freed. */
struct fg_arg_values {
    const char **items;
    size_t len;
};

/* One option; its value, or whether it stands there, is put where it points to. */
struct fg_arg {
    const char *name;   /* "--json", "-c" */
    const char **value; /* NULL: it has none, or many */
    bool *flag;         /* NULL: it has a value */
    struct fg_arg_values *values;
};

struct fg_args {
    const char *command; /* for messages */
    const char *usage;   /* printed for --help, and behind a message */
    const struct fg_arg *known;
    size_t known_len;
    const char **names; /* room for what is no option ("-" is none); borrowed from ARGV */
    size_t names_max;
    size_t names_len; /* out */
};

/* ARGV[0] is the command's name. -1: go on; else the command ends with this exit code, and all has been said. */
int fg_args_parse(struct fg_args *args, int argc, char **argv);

/* A whole number of at most MAX; -1: it is none, and that has been said. */
int fg_args_number(const struct fg_args *args, const char *name, const char *text, unsigned long max,
                   unsigned long *out);

#endif
