/* The commands of the fusegate binary, one file each. */
#ifndef FG_CLI_CLI_H
#define FG_CLI_CLI_H

/* Exit codes, the same for every command. */
enum {
    FG_EXIT_OK = 0,
    FG_EXIT_FAILED = 1, /* it could not do what was asked */
    FG_EXIT_USAGE = 2,  /* the command line is wrong */
    FG_EXIT_CONFIG = 3, /* the configuration is not valid */
};

/* ARGV[0] is the command's name. */
int fg_cli_run(int argc, char **argv);
int fg_cli_check(int argc, char **argv);
int fg_cli_config(int argc, char **argv);
int fg_cli_replay(int argc, char **argv);
int fg_cli_explain(int argc, char **argv);
int fg_cli_breakers(int argc, char **argv);
int fg_cli_events(int argc, char **argv);
int fg_cli_streams(int argc, char **argv);
int fg_cli_trace(int argc, char **argv);
int fg_cli_clusters(int argc, char **argv);
int fg_cli_call(int argc, char **argv);
int fg_cli_top(int argc, char **argv);
int fg_cli_openapi(int argc, char **argv);
int fg_cli_tap(int argc, char **argv);

#endif
