#include "cli/caller_options.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/caller_dialect.h"
#include "cli/cli.h"
#include "cli/grid.h"
#include "config/value.h"

#define CONNECT_TIMEOUT_NS (10 * FG_S)
#define MAX_SECONDS        1e9

static const char usage[] =
    "usage: fusegate call [options] URL/package.Service/Method [JSON | @FILE | -]\n"
    "       fusegate call [options] --protocol rest URL/path [JSON | @FILE | -]\n"
    "       fusegate call [options] --list URL\n"
    "       fusegate call [options] --describe NAME URL\n"
    "Calls a method of a running service with JSON in and out. - reads the messages from standard input; methods that\n"
    "stream take several, one after another, and answers are printed as they come, one a line.\n"
    "  --protocol NAME         grpc (default), grpc-web, grpc-web-text, connect or rest\n"
    "  --descriptors FILE      of protoc --include_imports --descriptor_set_out; else the server's reflection is "
    "asked\n"
    "  -H, --header 'N: V'     a field of the request; may be repeated\n"
    "  -d, --data JSON         the message, instead of the last argument\n"
    "  --timeout SECONDS       for everything; the server is told, too\n"
    "  --connect-timeout S     for the connection alone (10)\n"
    "  --http1                 HTTP/1.1 instead of HTTP/2 (not for grpc)\n"
    "  --cacert FILE           trust this authority instead of the system's\n"
    "  --cert FILE, --key FILE a certificate of our own\n"
    "  --insecure              do not verify the server's certificate\n"
    "  --get                   Connect by GET, for methods without side effects\n"
    "  -X, --request METHOD    of HTTP, for rest (POST with a message, else GET)\n"
    "  --json                  messages are JSON on the wire, too; descriptors are not needed then\n"
    "  --pretty                answers over several lines\n"
    "  --emit-defaults         also fields that have their default\n"
    "  --list                  the methods that the server (or --descriptors FILE) has\n"
    "  --describe NAME         a service, method, message or enum\n"
    "  -v, --verbose           fields of requests and answers, and times, on standard error\n"
    "exit status: 0 OK; 64 + the gRPC code of a call that failed; 1 no answer; 2 usage; 130 interrupted\n";

void fg_caller_say(const char *format, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, format);
    int len = vasprintf(&line, format, args);
    va_end(args);
    if (len < 0)
        return;
    fputs("fusegate call: ", stderr);
    fg_print_text(stderr, line);
    fputc('\n', stderr);
    free(line);
}

/* ---- the URL ---- */

static bool take_scheme(const char **text, bool *tls)
{
    const char *end = strstr(*text, "://");

    *tls = false;
    if (!end)
        return true;
    *tls = strncasecmp(*text, "https://", 8) == 0;
    if (!*tls && strncasecmp(*text, "http://", 7) != 0)
        return false;
    *text = end + 3;
    return true;
}

const char *fg_caller_url_parse(const char *text, struct fg_caller_url *url)
{
    struct fg_value_address parts;
    char whole[FG_CALLER_HOST_BYTES + 8];

    if (!take_scheme(&text, &url->tls))
        return "only http:// and https:// are known";
    size_t len = strcspn(text, "/?#");
    url->authority = (struct fg_str){text, len};
    url->path = (struct fg_str){text + len, strcspn(text + len, "#")};
    if (url->path.len == 0)
        url->path = FG_STR("/");
    if (url->path.p[0] != '/')
        return "there is no path before the query";
    if (len == 0 || len >= FG_CALLER_HOST_BYTES)
        return "there is no host";
    if (memchr(text, '@', len))
        return "user names are not supported: -H 'authorization: ...' says who asks";
    const char *colon = memrchr(text, ':', len);
    bool has_port = colon && !memchr(colon, ']', len - (size_t)(colon - text));
    snprintf(whole, sizeof whole, "%.*s%s", (int)len, text, has_port ? "" : url->tls ? ":443" : ":80");
    const char *problem = fg_value_address(fg_str_from(whole), &parts);
    if (problem)
        return problem;
    snprintf(url->host, sizeof url->host, "%.*s", (int)parts.host.len, parts.host.p);
    url->port = parts.port;
    for (size_t i = 0; i < url->path.len; i++)
        if ((unsigned char)url->path.p[i] <= ' ' || url->path.p[i] == 0x7f)
            return "the path has white space or control characters: percent-encode them";
    return NULL;
}

/* ---- fields ---- */

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

bool fg_caller_field_parse(const char *text, char buffer[FG_CALLER_NAME_BYTES], struct fg_str *name,
                           struct fg_str *value)
{
    size_t len = 0;

    for (; is_name_char(text[len]) && len < FG_CALLER_NAME_BYTES; len++)
        buffer[len] = (char)tolower((unsigned char)text[len]);
    if (len == 0 || len == FG_CALLER_NAME_BYTES || text[len] != ':')
        return false;
    *name = (struct fg_str){buffer, len};
    const char *at = text + len + 1;
    at += strspn(at, " \t");
    size_t value_len = strlen(at);
    while (value_len > 0 && (at[value_len - 1] == ' ' || at[value_len - 1] == '\t'))
        value_len--;
    *value = (struct fg_str){at, value_len};
    for (size_t i = 0; i < value_len; i++)
        if (((unsigned char)at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f)
            return false;
    return true;
}

/* ---- options ---- */

static int refuse(const char *problem, const char *what)
{
    fg_caller_say("%s%s%s", problem, what ? " " : "", what ? what : "");
    fputs("fusegate call --help says more\n", stderr);
    return FG_EXIT_USAGE;
}

/* 0, or an exit code. TEXT may be NULL. */
static int parse_seconds(const char *name, const char *text, uint64_t *out_ns)
{
    char *end;

    if (!text)
        return 0;
    double seconds = strtod(text, &end);
    if (*end == 's' && end[1] == '\0')
        end++;
    if ((!isdigit((unsigned char)text[0]) && text[0] != '.') || *end != '\0' || !isfinite(seconds) || seconds <= 0 ||
        seconds > MAX_SECONDS) {
        fg_caller_say("%s is a number of seconds above 0, such as 1.5, not %s", name, text);
        return FG_EXIT_USAGE;
    }
    *out_ns = FG_MAX((uint64_t)(seconds * 1e9), 1u);
    return 0;
}

static int check_fields(const struct fg_caller_options *options)
{
    char buffer[FG_CALLER_NAME_BYTES];
    struct fg_str name, value;

    for (size_t i = 0; i < options->fields.len; i++)
        if (!fg_caller_field_parse(options->fields.items[i], buffer, &name, &value))
            return refuse("a field is 'name: value', not", options->fields.items[i]);
    return -1;
}

/* What does not go together. */
static int check(const struct fg_caller_options *options)
{
    const struct fg_caller_dialect *dialect = options->dialect;
    bool asks = options->list || options->describe;

    if (options->list && options->describe)
        return refuse("--list and --describe exclude each other", NULL);
    if (!options->has_url && !(asks && options->descriptors))
        return refuse("there is no URL", NULL);
    if (asks)
        return options->data ? refuse("unexpected argument", options->data) : check_fields(options);
    if (options->http1 && dialect->needs_h2)
        return refuse("--http1 is for grpc-web, connect and rest: gRPC needs HTTP/2", NULL);
    if (options->get && !dialect->knows_get)
        return refuse("--get is for --protocol connect", NULL);
    if (options->verb && !dialect->is_rest)
        return refuse("-X is for --protocol rest", NULL);
    if (!options->certificate != !options->key)
        return refuse("--cert and --key belong together", NULL);
    return check_fields(options);
}

static int take_names(struct fg_caller_options *options, const struct fg_args *args)
{
    if (args->names_len > 0) {
        const char *problem = fg_caller_url_parse(args->names[0], &options->url);
        if (problem) {
            fg_caller_say("%s is no URL: %s", args->names[0], problem);
            return FG_EXIT_USAGE;
        }
        options->has_url = true;
    }
    if (args->names_len == 2 && options->data)
        return refuse("unexpected argument: --data gives the message", args->names[1]);
    if (args->names_len == 2)
        options->data = args->names[1];
    return -1;
}

int fg_caller_options_parse(struct fg_caller_options *options, int argc, char **argv)
{
    const char *protocol = "grpc", *timeout = NULL, *connect_timeout = NULL, *names[2];

    *options = (struct fg_caller_options){.connect_timeout_ns = CONNECT_TIMEOUT_NS};
    const struct fg_arg known[] = {
        {"--protocol", &protocol, NULL, NULL},
        {"--descriptors", &options->descriptors, NULL, NULL},
        {"-H", NULL, NULL, &options->fields},
        {"--header", NULL, NULL, &options->fields},
        {"-d", &options->data, NULL, NULL},
        {"--data", &options->data, NULL, NULL},
        {"--timeout", &timeout, NULL, NULL},
        {"--connect-timeout", &connect_timeout, NULL, NULL},
        {"--http1", NULL, &options->http1, NULL},
        {"--cacert", &options->ca, NULL, NULL},
        {"--cert", &options->certificate, NULL, NULL},
        {"--key", &options->key, NULL, NULL},
        {"--insecure", NULL, &options->insecure, NULL},
        {"--get", NULL, &options->get, NULL},
        {"-X", &options->verb, NULL, NULL},
        {"--request", &options->verb, NULL, NULL},
        {"--json", NULL, &options->json, NULL},
        {"--pretty", NULL, &options->pretty, NULL},
        {"--emit-defaults", NULL, &options->emit_defaults, NULL},
        {"--list", NULL, &options->list, NULL},
        {"--describe", &options->describe, NULL, NULL},
        {"-v", NULL, &options->verbose, NULL},
        {"--verbose", NULL, &options->verbose, NULL},
    };
    struct fg_args args = {.command = "call",
                           .usage = usage,
                           .known = known,
                           .known_len = FG_ARRAY_LEN(known),
                           .names = names,
                           .names_max = FG_ARRAY_LEN(names)};

    int result = fg_args_parse(&args, argc, argv);
    if (result >= 0)
        return result;
    options->dialect = fg_caller_dialect_named(protocol);
    if (!options->dialect)
        return refuse("--protocol is grpc, grpc-web, grpc-web-text, connect or rest, not", protocol);
    result = take_names(options, &args);
    if (result >= 0)
        return result;
    if (parse_seconds("--timeout", timeout, &options->timeout_ns) != 0 ||
        parse_seconds("--connect-timeout", connect_timeout, &options->connect_timeout_ns) != 0)
        return FG_EXIT_USAGE;
    return check(options);
}

void fg_caller_options_cleanup(struct fg_caller_options *options)
{
    free(options->fields.items);
}
