/* Prints status details for status_details_decoded.py: arguments CODE MESSAGE REASON RETRY_NS [KEY VALUE]... */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/status_details.h"

int main(int argc, char **argv)
{
    struct fg_metadata_pair pairs[32];
    struct fg_mem mem;
    struct fg_arena arena;

    if (argc < 5 || (size_t)(argc - 5) / 2 > FG_ARRAY_LEN(pairs))
        return 2;
    struct fg_status_details details = {.code = (enum fg_status)strtoul(argv[1], NULL, 10),
                                        .message = fg_str_from(argv[2]),
                                        .reason = fg_str_from(argv[3]),
                                        .retry_after_ns = strtoull(argv[4], NULL, 10),
                                        .pairs = pairs};
    for (int i = 5; i + 1 < argc; i += 2)
        pairs[details.pairs_len++] = (struct fg_metadata_pair){fg_str_from(argv[i]), fg_str_from(argv[i + 1])};
    fg_mem_init(&mem);
    fg_arena_init(&arena, &mem);
    struct fg_str text = fg_status_details_encode(&arena, &details);
    printf("%.*s\n", (int)text.len, text.p);
    fg_arena_cleanup(&arena);
    fg_mem_cleanup(&mem);
    return 0;
}
