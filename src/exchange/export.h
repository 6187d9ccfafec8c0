/* What the exporters share (private to exchange/). */
#ifndef TWINSEG_EXCHANGE_EXPORT_H
#define TWINSEG_EXCHANGE_EXPORT_H

#include "exchange/exchange.h"

/* The parameters that prediction reads: all but the heads below full resolution. Offsets are those
 * of m->weights. Free with free(). */
ts_status export_parameters(const model *m, net_parameter **parameters, size_t *count,
                            ts_error *error);

#endif
