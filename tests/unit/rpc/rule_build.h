/* A service whose methods have google.api.http rules, without protoc. */
#ifndef UNIT_RPC_RULE_BUILD_H
#define UNIT_RPC_RULE_BUILD_H

#include "descriptor_build.h"

struct built_rule {
    unsigned pattern; /* field of HttpRule: 2 get, 3 put, 4 post, 5 delete, 6 patch */
    const char *path, *body, *response_body;
};

/* The methods are t.S/M0, t.S/M1 ...; all take and give t.All. */
static inline void build_rules(struct built *set, const struct built_rule *rules, size_t len)
{
    struct built file = {0}, service = {0};

    set->len = 0;
    build_well_known(set);
    build_text(&file, 1, "t.proto");
    build_text(&file, 2, "t");
    build_text(&file, 12, "proto3");
    build_enum(&file, 5, "Color", "NONE", "RED");
    build_all(&file);
    build_text(&service, 1, "S");
    for (size_t i = 0; i < len; i++) {
        struct built method = {0}, options = {0}, rule = {0};
        const char name[] = {'M', (char)('0' + i), '\0'};
        build_text(&rule, rules[i].pattern, rules[i].path);
        if (rules[i].body)
            build_text(&rule, 7, rules[i].body);
        if (rules[i].response_body)
            build_text(&rule, 12, rules[i].response_body);
        build_in(&options, 72295728, &rule);
        build_text(&method, 1, name);
        build_text(&method, 2, ".t.All");
        build_text(&method, 3, ".t.All");
        build_in(&method, 4, &options);
        build_in(&service, 2, &method);
    }
    build_in(&file, 6, &service);
    build_in(set, 1, &file);
}

#endif
