/* Sentences about a circuit, from what /breakers/CLUSTER/ENDPOINT answers. */
#ifndef FG_CLI_EXPLAIN_H
#define FG_CLI_EXPLAIN_H

#include <jansson.h>
#include <stdio.h>

/* "order.v1.OrderService/GetOrder on 10.0.0.1:50051 (cluster orders) is refused: 5 failures in a row ...", the outcomes
 * that tripped it, and what would trip it. */
void fg_explain_circuit(const json_t *circuit, FILE *out);

#endif
