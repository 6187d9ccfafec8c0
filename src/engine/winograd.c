/* CONV_3, forward and its data gradient, by Winograd's F(2x2x2, 3x3x3): winograd_template.h has the
 * arithmetic.
 *
 * A task is a run of tiles in the order z, y, x, for all channels: it transforms the inputs of all
 * channels into its thread's memory (64 components x channels x tiles), then for TILE output
 * channels at a time multiplies and transforms back. There are no pads between tiles. Errors grow
 * by the transforms' sums: about 3 times those of the direct sum in fp32 (tests/test_engine.c
 * bounds them). */
#include "engine/winograd.h"
#include "engine/moments.h"
#include "engine/pads.h"
#include "engine/scratch.h"

/* From 32 channels on the transforms are the small part (at 16 to 16 the direct sum is as fast);
 * what has more outputs than 256 has too few tiles. */
static bool widths_pay(int64_t in, int64_t out)
{
    return in >= 32 && in <= 512 && out >= 32 && out <= 256;
}

bool winograd_used(const engine *e, const conv *c, conv_pass pass)
{
    if (!c->winograd || c->kind != CONV_3 || e->target == TARGET_REF || e->kernels->dot)
        return false;
    if (pass == CONV_FORWARD)
        return widths_pay(c->in[0] + c->in[1], c->out);
    return pass == CONV_DATA_GRADIENT && widths_pay(c->out, c->in[0]) &&
           (!c->in[1] || widths_pay(c->out, c->in[1]));
}

/* ---- weights --------------------------------------------------------------------------- */

static int64_t blocks_of(const engine *e, int64_t channels)
{
    return (channels + e->kernels->tile - 1) / e->kernels->tile;
}

/* Floats of the weights from `in` to `out` channels, as they are read:
 * [group of blocks][component][block][input][tile]. */
static int64_t weights_count(const engine *e, int64_t in, int64_t out)
{
    return blocks_of(e, out) * 64 * in * e->kernels->tile;
}

/* Where the weights of a block begin, and how far apart those of its components are. */
static int64_t weights_of_block(const engine *e, int64_t in, int64_t out, int64_t block,
                                int64_t *apart)
{
    const int64_t tile = e->kernels->tile, group = WINOGRAD_GROUP / tile;
    const int64_t first = block / group * group, left = blocks_of(e, out) - first;
    *apart = (left < group ? left : group) * in * tile;
    return (first * 64 + block - first) * in * tile;
}

/* The 27 weights from input i to output o lie at weight + i * in_apart + o * out_apart; the data
 * gradient has them `flipped`, tap 26 first. */
typedef struct {
    const engine *e;
    const float *weight;
    int64_t in, out, in_apart, out_apart;
    bool flipped;
    float *packed;
} packing;

static void pack_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const packing *j = context;
    const int64_t tile = j->e->kernels->tile, first = block * tile;
    int64_t apart;
    float *to = j->packed + weights_of_block(j->e, j->in, j->out, block, &apart);
    for (int64_t i = 0; i < j->in; i++, to += tile)
        j->e->kernels->winograd_weights(j->weight + i * j->in_apart + first * j->out_apart,
                                        j->out_apart, j->out - first < tile ? j->out - first : tile,
                                        j->flipped, to, apart);
}

size_t winograd_packed_bytes(const engine *e, const conv *c)
{
    return (size_t)weights_count(e, c->in[0] + c->in[1], c->out) * sizeof(float);
}

void winograd_pack(engine *e, const conv *c, const float *weight, float *packed)
{
    const int64_t in = c->in[0] + c->in[1];
    packing j = {e, weight, in, c->out, 27, in * 27, false, packed};
    pool_run(e->threads, pack_block, &j, blocks_of(e, c->out));
}

/* ---- the convolution ------------------------------------------------------------------- */

typedef struct {
    engine *e;
    const tensor *x[2]; /* channels of the first, then those of the second */
    const tensor *y;
    int64_t in;
    const float *packed, *bias; /* bias: [y->c]; NULL: 0 */
    bool add;                   /* onto what y holds */
    double *partial;            /* [n][tasks][out][3], or NULL */
    int64_t tasks;
    int64_t stride;                 /* from component to component of inputs */
    int64_t sums_apart;             /* from channel to channel of sums: no multiple of a page */
    int64_t rows, row_tiles, tiles; /* tile rows of a plane, tiles of a row, of a sample */
    char *local;
    size_t local_bytes, sums_at, terms_at;
} job;

/* A run of tiles within one row: of plane z, row y, from x on, at `lane` of the task. */
typedef struct {
    int64_t z, y, x, count, lane;
} piece;

static bool next_piece(const job *j, int64_t first, int64_t end, piece *p)
{
    const int64_t tile = first + (p->lane += p->count);
    if (tile >= end)
        return false;
    p->z = tile / (j->rows * j->row_tiles);
    p->y = tile / j->row_tiles % j->rows;
    p->x = tile % j->row_tiles;
    p->count = j->row_tiles - p->x < end - tile ? j->row_tiles - p->x : end - tile;
    return true;
}

static void transform_piece(const job *j, int64_t n, const piece *p, float *v)
{
    const int per = CHANNELS_PER_UNIT(j->y->dtype);
    int64_t channel = 0;
    for (int side = 0; side < 2 && j->x[side]; side++) {
        const tensor *x = j->x[side];
        const int64_t side_end = channel + x->c;
        for (int64_t u = 0; u < tensor_units(x); u++, channel += per) {
            const uint32_t *row[4][4];
            for (int i = 0; i < 16; i++) {
                int64_t z = 2 * p->z + i / 4 - 1;
                z = z < x->d ? z : x->d; /* the plane behind the last is zero */
                row[i / 4][i % 4] =
                    tensor_unit(x, n, u) + z * x->plane + (2 * p->y + i % 4 - 1) * x->row;
            }
            const int halves = side_end - channel < per ? 1 : per;
            j->e->kernels->winograd_input(row, p->x, p->count,
                                          v + channel * 64 * j->stride + p->lane, j->stride,
                                          64 * j->stride, halves);
        }
        channel = side_end;
    }
}

/* Channels [first, end) out of the sums m. */
static void store_piece(const job *j, int64_t n, const piece *p, int64_t first, int64_t end,
                        const float *m, double *partial)
{
    const tensor *y = j->y;
    const int per = CHANNELS_PER_UNIT(y->dtype);
    for (int64_t c = first; c < end; c += per) {
        uint32_t *unit = tensor_unit(y, n, c / per);
        winograd_outputs o = {.x = p->x, .w = y->w, .add = j->add};
        for (int h = 0; j->bias && h < per && c + h < y->c; h++)
            o.bias[h] = j->bias[c + h];
        for (int r = 0; r < 4; r++) {
            const int64_t z = 2 * p->z + r / 2, row = 2 * p->y + r % 2;
            if (z < y->d && row < y->h)
                o.row[r] = unit + z * y->plane + row * y->row;
        }
        double sum[2] = {0}, squares[2] = {0};
        j->e->kernels->winograd_output(&o, m + (c - first) * j->sums_apart + p->lane,
                                       WINOGRAD_TILES, j->sums_apart, p->count, sum, squares);
        for (int h = 0; partial && h < per && c + h < y->c; h++) {
            partial[(c + h) * 3 + 1] += sum[h];
            partial[(c + h) * 3 + 2] += squares[h];
        }
    }
}

/* A piece that ends its row clears the pads behind its rows; the last row of a plane its pad
 * row. */
static void clear_piece(const job *j, int64_t n, const piece *p)
{
    const tensor *y = j->y;
    if (p->x + p->count < j->row_tiles)
        return;
    for (int64_t u = 0; u < tensor_units(y); u++)
        for (int64_t z = 2 * p->z; z < 2 * p->z + 2 && z < y->d; z++) {
            const int64_t from = z * y->plane + 2 * p->y * y->row;
            const bool last_row = p->y + 1 == j->rows, last = last_row && z + 1 == y->d;
            const int64_t to = last ? y->span : last_row ? (z + 1) * y->plane : from + 2 * y->row;
            clear_pads(y, tensor_unit(y, n, u), from, to);
        }
}

static void winograd_task(void *context, int64_t index, int thread)
{
    const job *j = context;
    const int64_t n = index / j->tasks, first = index % j->tasks * WINOGRAD_TILES;
    const int64_t end = first + WINOGRAD_TILES < j->tiles ? first + WINOGRAD_TILES : j->tiles;
    const int64_t in = j->in, out = j->y->c, tile = j->e->kernels->tile;
    char *local = j->local + (size_t)thread * j->local_bytes;
    float *v = (float *)local, *m = (float *)(local + j->sums_at);
    const uint32_t *const *term = (const uint32_t *const *)(local + j->terms_at);
    const int64_t lanes = (end - first + 15) / 16 * 16;
    int64_t voxels = 0;
    for (piece p = {0}; next_piece(j, first, end, &p);) {
        transform_piece(j, n, &p, v);
        clear_piece(j, n, &p);
        const int64_t w = 2 * (p.x + p.count) > j->y->w ? 2 * p.count - 1 : 2 * p.count;
        voxels += w * (2 * p.z + 1 < j->y->d ? 2 : 1) * (2 * p.y + 1 < j->y->h ? 2 : 1);
    }
    double *partial = j->partial ? j->partial + index * out * 3 : NULL;
    for (int64_t c = 0; partial && c < out; c++) {
        partial[c * 3] = (double)voxels;
        partial[c * 3 + 1] = partial[c * 3 + 2] = 0;
    }
    for (int64_t c = 0; c < out; c += WINOGRAD_GROUP) {
        const int64_t channels = smaller(WINOGRAD_GROUP, out - c);
        const float *weight = j->packed + c * 64 * in;
        for (int64_t k = 0; k < 64; k++)
            for (int64_t i = 0; i < channels; i += tile, weight += in * tile)
                j->e->kernels->winograd_multiply(term + k * in, in, weight,
                                                 m + i * j->sums_apart + k * WINOGRAD_TILES, lanes,
                                                 j->sums_apart);
        for (piece p = {0}; next_piece(j, first, end, &p);)
            store_piece(j, n, &p, c, c + channels, m, partial);
    }
    for (int64_t c = 0; partial && c < out; c++)
        partial[c * 3 + 2] -= partial[c * 3 + 1] * partial[c * 3 + 1] / (double)voxels;
}

/* Where each component of each input lies in a thread's memory, as winograd_multiply takes
 * it. */
static void list_terms(const job *j)
{
    for (int thread = 0; thread < pool_threads(j->e->threads); thread++) {
        char *local = j->local + (size_t)thread * j->local_bytes;
        const uint32_t **term = (const uint32_t **)(local + j->terms_at);
        for (int64_t k = 0; k < 64; k++)
            for (int64_t i = 0; i < j->in; i++)
                *term++ = (const uint32_t *)local + (i * 64 + k) * j->stride;
    }
}

/* `out` channels shaped as x out of `in`. */
static job take_scratch(const engine *e, int64_t in, int64_t out, const tensor *x,
                        scratch_pieces *s)
{
    job j = {.in = in};
    /* Where rows are not whole vectors, a last one writes up to 15 lanes too many. */
    j.stride = (x->w + 1) / 2 % 16 ? WINOGRAD_TILES + 16 : WINOGRAD_TILES;
    j.sums_apart = 64 * WINOGRAD_TILES + 16;
    j.rows = (x->h + 1) / 2;
    j.row_tiles = (x->w + 1) / 2;
    j.tiles = (x->d + 1) / 2 * j.rows * j.row_tiles;
    j.tasks = (j.tiles + WINOGRAD_TILES - 1) / WINOGRAD_TILES;
    scratch_pieces local = {0};
    scratch_take(&local, (size_t)(64 * in * j.stride), sizeof(float));
    j.sums_at = local.used;
    scratch_take(&local,
                 (size_t)(smaller(WINOGRAD_GROUP, round_up(out, e->kernels->tile)) * j.sums_apart),
                 sizeof(float));
    j.terms_at = local.used;
    scratch_take(&local, (size_t)(64 * in), sizeof(void *));
    j.local_bytes = local.used;
    j.local = scratch_take(s, (size_t)pool_threads(e->threads) * local.used, 1);
    j.partial = scratch_take(s, (size_t)(x->n * j.tasks * out * 3), sizeof *j.partial);
    return j;
}

static void run(job *j)
{
    const tensor *y = j->y;
    list_terms(j);
    for (int64_t n = 0; n < y->n; n++)
        for (int64_t u = 0; u < tensor_units(y); u++)
            memset(tensor_unit(y, n, u) - y->lead, 0, (size_t)y->lead * sizeof(uint32_t));
    pool_run(j->e->threads, winograd_task, j, y->n * j->tasks);
    clear_tail(y);
}

/* Partial sums are distances from the bias: of the mean, the bias is added back. */
static void finish_moments(const job *j, float *moments)
{
    moments_join(j->e, j->y->n, j->y->c, j->tasks, j->partial, moments);
    for (int64_t i = 0; i < j->y->n * j->y->c; i++)
        moments[i * 2] += j->bias[i % j->y->c];
}

size_t winograd_scratch(const engine *e, const conv *c, const tensor *x, conv_pass pass)
{
    size_t most = 0;
    for (int side = 0; side < 2 && c->in[side]; side++) {
        scratch_pieces s = {0};
        if (pass == CONV_FORWARD) {
            take_scratch(e, c->in[0] + c->in[1], c->out, x, &s);
        } else {
            scratch_take(&s, (size_t)weights_count(e, c->out, c->in[side]), sizeof(float));
            take_scratch(e, c->out, c->in[side], x, &s);
        }
        most = s.used > most ? s.used : most;
    }
    return most;
}

void winograd_forward(engine *e, const conv *c, conv_inputs x, const float *packed,
                      const float *bias, const tensor *y, float *moments, void *scratch)
{
    scratch_pieces pieces = {.base = scratch};
    job j = take_scratch(e, c->in[0] + c->in[1], c->out, x[0], &pieces);
    j.e = e;
    j.x[0] = x[0];
    j.x[1] = x[1];
    j.y = y;
    j.packed = packed;
    j.bias = bias;
    if (!moments)
        j.partial = NULL;
    run(&j);
    if (moments)
        finish_moments(&j, moments);
}

void winograd_data_gradient(engine *e, const conv *c, int side, const float *weight,
                            const tensor *dy, const tensor *dx, bool add, void *scratch)
{
    scratch_pieces pieces = {.base = scratch};
    const int64_t in = c->in[0] + c->in[1];
    float *packed = scratch_take(&pieces, (size_t)weights_count(e, c->out, dx->c), sizeof *packed);
    packing p = {.e = e,
                 .weight = weight + (side ? c->in[0] : 0) * 27,
                 .in = c->out,
                 .out = dx->c,
                 .in_apart = in * 27,
                 .out_apart = 27,
                 .flipped = true,
                 .packed = packed};
    pool_run(e->threads, pack_block, &p, blocks_of(e, dx->c));
    job j = take_scratch(e, c->out, dx->c, dy, &pieces);
    j.e = e;
    j.x[0] = dy;
    j.y = dx;
    j.packed = packed;
    j.add = add;
    j.partial = NULL;
    run(&j);
}
