#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} commands[] = {
    {"run", fg_cli_run, "run -c FILE | run --listen ADDRESS --to ENDPOINT[,ENDPOINT...]   serve until SIGTERM"},
    {"check", fg_cli_check, "check FILE                  say everything that is wrong with a configuration"},
    {"config", fg_cli_config, "config reference|schema     describe every configuration key"},
    {"replay", fg_cli_replay, "replay -c FILE LOG...       what breakers would have done with recorded calls"},
    {"explain", fg_cli_explain, "explain METHOD [ENDPOINT]   why calls of a method are refused, or are not"},
    {"breakers", fg_cli_breakers, "breakers                    all circuits of a running gateway"},
    {"events", fg_cli_events, "events [--follow]           when which breaker changed, and why"},
    {"streams", fg_cli_streams, "streams                     calls in progress, and what each waits for"},
    {"trace", fg_cli_trace, "trace [--seconds N]         what held calls up, and who held what they waited for"},
    {"tap", fg_cli_tap, "tap [--match METHOD]        calls as they happen: headers, messages, what became of them"},
    {"clusters", fg_cli_clusters, "clusters                    endpoints, their load and their breakers"},
    {"top", fg_cli_top, "top                         a live view of it all; ? shows the keys"},
    {"call", fg_cli_call, "call [options] URL/package.Service/Method [JSON|@FILE|-]   call a service in any dialect"},
    {"openapi", fg_cli_openapi, "openapi FILE                describe the REST face of a file of descriptors"},
};

static void usage(FILE *to)
{
    fprintf(to, "fusegate %s, a gRPC-native gateway\n\n", FG_VERSION);
    for (size_t i = 0; i < FG_ARRAY_LEN(commands); i++)
        fprintf(to, "  fusegate %s\n", commands[i].usage);
    fprintf(to, "  fusegate --version | --help\n");
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("fusegate %s\n", FG_VERSION);
        return FG_EXIT_OK;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return FG_EXIT_OK;
    }
    for (size_t i = 0; argc >= 2 && i < FG_ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "fusegate: unknown command %s\n\n", argv[1]);
    usage(stderr);
    return FG_EXIT_USAGE;
}
