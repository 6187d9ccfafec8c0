/* Tasks of a sweep whose bf16 is widened and computed as fp32 (widen.c). */
#ifndef TWINSEG_ENGINE_WIDEN_H
#define TWINSEG_ENGINE_WIDEN_H

#include "engine/sweep.h"

/* Whether layers of that kind are computed so. */
bool widens(const engine *e, conv_kind kind);
/* Memory of a thread: elements for the slices of `units` units, and pointers. */
int64_t widened_count(const tensor *out, int64_t units, int64_t chunk);
int64_t widened_pointers(int64_t terms);
int64_t widened_tasks(const sweep *s); /* of a sample */
void widened_task(const sweep *s, const share *part, int64_t task);

#endif
