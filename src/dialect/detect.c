#include "dialect/dialect.h"

const struct fg_dialect *fg_dialect_detect(const struct fg_conn *conn, const struct fg_headers *request)
{
    const struct fg_header *type = fg_headers_get(request, FG_TOKEN_CONTENT_TYPE);

    if (!type || !fg_grpc_is_content_type(type->value) || !fg_conn_is_h2(conn))
        return &fg_dialect_none;
    return &fg_dialect_grpc;
}
