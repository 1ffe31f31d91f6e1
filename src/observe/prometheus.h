/* The page that Prometheus scrapes: the text format 0.0.4, or OpenMetrics 1.0, which has exemplars. */
#ifndef FG_OBSERVE_PROMETHEUS_H
#define FG_OBSERVE_PROMETHEUS_H

#include <stdio.h>

#include "observe/metric_view.h"

enum fg_prometheus_format { FG_PROMETHEUS_TEXT, FG_PROMETHEUS_OPENMETRICS };

/* By the Accept header of the request ("": there is none): OpenMetrics for those who name it, text for all others. */
enum fg_prometheus_format fg_prometheus_choose(struct fg_str accept);
const char *fg_prometheus_content_type(enum fg_prometheus_format format);

/* Names are those of OpenTelemetry with "_" for ".", and the unit behind them: grpc.client.call.retry_delay is
 * grpc_client_call_retry_delay_seconds. */
void fg_prometheus_render(const struct fg_metric_view *view, enum fg_prometheus_format format, FILE *out);

#endif
