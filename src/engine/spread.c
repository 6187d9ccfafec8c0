/* Products into phases: the forward pass of a transposed convolution, and the data gradient of
 * one of stride 2. A task computes the phases of a few rows in its thread's memory and merges
 * them into the tensor. */
#include "engine/spread.h"
#include "engine/pads.h"
#include "engine/phase.h"
#include "engine/sizes.h"

static void spread_task(void *context, int64_t index, int thread)
{
    const spread *s = context;
    const tensor *half = s->half;
    const int per = CHANNELS_PER_UNIT(half->dtype);
    const int64_t all_rows = half->d * (half->h + 1);
    const int64_t tasks = (all_rows + s->rows - 1) / s->rows, n = index / tasks;
    phases p = {
        .half = half,
        .first_row = index % tasks * s->rows,
        .length = phases_length(half, s->rows * half->row),
        .blocks = 2,
        .data = s->local + thread * s->local_count,
    };
    p.rows = all_rows - p.first_row < s->rows ? all_rows - p.first_row : s->rows;
    const int64_t from = p.first_row * half->row;
    const int64_t to = from + round_up(p.rows * half->row, 16);
    const int64_t apart = p.length * (s->products > 1 ? s->products : 1);
    for (int k = 0; k < s->products; k++)
        for (int64_t c = 0; c < s->channels; c += CHANNEL_GROUP) {
            const product q = {
                .term = s->term[k] + n * s->terms[k],
                .terms = s->terms[k],
                .term_block = PHASE_BLOCK,
                .weight = s->packed[k] + c * s->terms[k] * s->e->kernels->weights_of_term,
                .bias = s->bias ? s->bias + c : NULL,
                .channels = s->channels - c < CHANNEL_GROUP ? s->channels - c : CHANNEL_GROUP,
                .out = p.data + k * p.length + c / per * apart - from,
                .stride = apart,
            };
            s->e->kernels->multiply(&q, from, to);
        }
    s->e->kernels->phases_merge(&p, s->whole, n, s->add);
}

void spread_run(const spread *s)
{
    spread copy = *s;
    const int64_t all_rows = s->half->d * (s->half->h + 1);
    pool_run(s->e->threads, spread_task, &copy, s->whole->n * ((all_rows + s->rows - 1) / s->rows));
    if (!s->add)
        clear_tail(s->whole);
}
