/* The standard details of google.rpc.Status, which services may send without having them in their descriptors. */
#ifndef FG_RPC_ERROR_DETAILS_H
#define FG_RPC_ERROR_DETAILS_H

#include "rpc/descriptor.h"

/* Their descriptors: made at the first call, there until the process ends. */
const struct fg_descriptors *fg_error_details(void);

#endif
