/* Heads between a tensor and plain floats, once per target. Included by kernel_template.h.
 *
 * Classes are taken four at a time: 4 vectors of logits, and one of each channel, stay in
 * registers. A row's last vector may reach beyond the row: of the tensor that is its own memory, of
 * the logits only what belongs to the row is read and written. */

#define CLASS_GROUP 4

INLINE vf load_plain(const float *p, int64_t count)
{
    if (count >= VL)
        return load(p);
    float part[VL] __attribute__((aligned(4 * VL))) = {0};
    memcpy(part, p, (size_t)count * sizeof *part);
    return load(part);
}

INLINE void store_plain(void *p, vf value, int64_t count)
{
    if (count >= VL)
        *(vf_unaligned *)p = value;
    else
        memcpy(p, &value, (size_t)count * 4);
}

/* The activation of channel c, element `half` of a unit, at in. */
INLINE vf head_value(const head_plane *p, int64_t c, const uint32_t *in, int half)
{
    const vf y = load_half(in, half);
    if (!p->norm)
        return y;
    const head_norm *n = p->norm + c;
    const vf value = (y - n->mean) * n->scale + n->beta;
    return choose(value, value, value * LEAKY_SLOPE);
}

/* Classes [first, first + count), count constant where inlined. */
INLINE void head_forward_group(const int count, const head_plane *p, int64_t first,
                               const float *weight, const float *bias)
{
    for (int64_t y = 0; y < p->h; y++)
        for (int64_t x = 0; x < p->w; x += VL) {
            vf sum[CLASS_GROUP];
            UNROLL for (int k = 0; k < count; k++)
            {
                sum[k] = splat(bias[first + k]);
            }
            for (int64_t c = 0; c < p->channels; c++) {
                const uint32_t *in = p->unit[c / HALVES] + y * p->row + x;
                prefetch_run(in + 8 * VL, VL);
                const vf a = head_value(p, c, in, c % HALVES);
                UNROLL for (int k = 0; k < count; k++)
                {
                    sum[k] += a * weight[(first + k) * p->channels + c];
                }
            }
            UNROLL for (int k = 0; k < count; k++)
            {
                store_plain(p->logits + (first + k) * p->stride + y * p->w + x, sum[k], p->w - x);
            }
        }
}

static void head_forward_plane(const head_plane *p, const float *weight, const float *bias)
{
    int64_t k = 0;
    for (; k + CLASS_GROUP <= p->classes; k += CLASS_GROUP)
        head_forward_group(CLASS_GROUP, p, k, weight, bias);
    for (; k < p->classes; k++)
        head_forward_group(1, p, k, weight, bias);
}

INLINE void head_data_group(const int count, const head_plane *p, int64_t first,
                            const float *weight, bool add)
{
    for (int64_t y = 0; y < p->h; y++)
        for (int64_t x = 0; x < p->w; x += VL) {
            vf z[CLASS_GROUP];
            UNROLL for (int k = 0; k < count; k++)
            {
                z[k] = load_plain(p->logits + (first + k) * p->stride + y * p->w + x, p->w - x);
            }
            for (int64_t c = 0; c < p->channels; c += HALVES) {
                uint32_t *to = p->unit[c / HALVES] + y * p->row + x;
                vf sum[HALVES];
                for (int h = 0; h < HALVES; h++) {
                    sum[h] = add ? load_half(to, h) : (vf){0};
                    if (c + h == p->channels)
                        break;
                    UNROLL for (int k = 0; k < count; k++)
                    {
                        sum[h] += z[k] * weight[(first + k) * p->channels + c + h];
                    }
                }
                if (p->w - x >= VL) {
                    store_halves(to, sum);
                    continue;
                }
                uint32_t elements[VL] __attribute__((aligned(4 * VL)));
                store_halves(elements, sum);
                memcpy(to, elements, (size_t)(p->w - x) * sizeof *to);
            }
        }
}

static void head_data_plane(const head_plane *p, const float *weight, bool add)
{
    int64_t k = 0;
    for (; k + CLASS_GROUP <= p->classes; k += CLASS_GROUP)
        head_data_group(CLASS_GROUP, p, k, weight, add || k > 0);
    for (; k < p->classes; k++)
        head_data_group(1, p, k, weight, add || k > 0);
}

/* Sums of `count` classes times channels [c, c + HEAD_TILE), the last one repeated beyond the last,
 * or, where c is the number of channels, of the classes alone. */
#define HEAD_TILE (TILE / 2)
INLINE void head_weight_group(const int count, const head_plane *p, int64_t first, int64_t c,
                              double *sums)
{
    const bool bias = c == p->channels;
    vf sum[CLASS_GROUP][HEAD_TILE] = {{{0}}};
    for (int64_t y = 0; y < p->h; y++)
        for (int64_t x = 0; x < p->w; x += VL) {
            vf z[CLASS_GROUP];
            UNROLL for (int k = 0; k < count; k++)
            {
                z[k] = load_plain(p->logits + (first + k) * p->stride + y * p->w + x, p->w - x);
            }
            UNROLL for (int i = 0; i < HEAD_TILE; i++)
            {
                const int64_t channel = c + i < p->channels ? c + i : p->channels - 1;
                const vf a =
                    bias ? splat(1)
                         : head_value(p, channel, p->unit[channel / HALVES] + y * p->row + x,
                                      channel % HALVES);
                UNROLL for (int k = 0; k < count; k++)
                {
                    sum[k][i] += z[k] * a;
                }
            }
        }
    UNROLL for (int k = 0; k < count; k++)
    {
        double *to = sums + (first + k) * (p->channels + 1) + c;
        for (int i = 0; i < HEAD_TILE && (i == 0 || c + i < p->channels); i++)
            to[i] += total(sum[k][i]);
    }
}

static void head_weight_plane(const head_plane *p, double *sums)
{
    for (int64_t c = 0; c < p->channels + HEAD_TILE; c += HEAD_TILE) {
        const int64_t from = c < p->channels ? c : p->channels;
        int64_t k = 0;
        for (; k + CLASS_GROUP <= p->classes; k += CLASS_GROUP)
            head_weight_group(CLASS_GROUP, p, k, from, sums);
        for (; k < p->classes; k++)
            head_weight_group(1, p, k, from, sums);
    }
}
