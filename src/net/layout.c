/* The parameters of a U-Net (docs/method.md, "Network"), from its configuration alone: names,
 * PyTorch's shapes, and where each lies in the flat arrays. Nets, model files and checkpoints
 * share this table. */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    net_parameter *next;
    int64_t offset;
} layout;

static void add(layout *l, bool norm_or_bias, int dimensions, const int64_t *shape,
                const char *name)
{
    net_parameter *p = l->next++;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->dimensions = dimensions;
    p->offset = l->offset;
    p->norm_or_bias = norm_or_bias;
    p->count = 1;
    for (int i = 0; i < dimensions; i++)
        p->count *= p->shape[i] = shape[i];
    l->offset += p->count;
}

/* A convolution of size k (weight [a][b][k][k][k]) and the bias of its `out` channels. */
static void add_convolution(layout *l, const char *side, int stage, const char *part, int a, int b,
                            int k, int out)
{
    char name[48];
    const int64_t shape[5] = {a, b, k, k, k}, bias[1] = {out};
    snprintf(name, sizeof name, "%s.%d.%s%sweight", side, stage, part, *part ? "." : "");
    add(l, false, 5, shape, name);
    snprintf(name, sizeof name, "%s.%d.%s%sbias", side, stage, part, *part ? "." : "");
    add(l, true, 1, bias, name);
}

/* Two times convolution 3x3x3 and instance norm. */
static void add_stage(layout *l, const char *side, int stage, int in, int out)
{
    for (int i = 0; i < 2; i++) {
        char name[48];
        const int64_t channels[1] = {out};
        add_convolution(l, side, stage, i ? "conv1" : "conv0", out, i ? out : in, 3, out);
        snprintf(name, sizeof name, "%s.%d.norm%d.weight", side, stage, i);
        add(l, true, 1, channels, name);
        snprintf(name, sizeof name, "%s.%d.norm%d.bias", side, stage, i);
        add(l, true, 1, channels, name);
    }
}

static int width(const net_config *c, int stage)
{
    const int64_t w = (int64_t)c->base << stage;
    return w < c->cap ? (int)w : c->cap;
}

net_config net_config_of(const plan *p, modality_set channels)
{
    return (net_config){
        .in_channels = modality_count(channels),
        .classes = p->loss == LOSS_REGIONS ? 3 : 4, /* WT, TC, ET or the labels 0 to 3 */
        .base = (int)p->base,
        .cap = (int)p->cap,
        .stages = (int)p->stages,
        .deep_supervision = p->deep_supervision,
        .winograd = p->winograd,
    };
}

int net_head_count(const net_config *c)
{
    return c->deep_supervision && c->stages > 3 ? c->stages - 2 : 1;
}

ts_status net_layout(const net_config *c, net_parameter **parameters, size_t *count,
                     int64_t *weights, ts_error *error)
{
    *parameters = NULL;
    *count = 0;
    if (c->in_channels < 1 || c->in_channels > 64 || c->classes < 1 || c->classes > 64 ||
        c->base < 1 || c->base > 4096 || c->cap < 1 || c->cap > 4096 || c->stages < 2 ||
        c->stages > 16)
        return error_set(error, TS_BAD_INPUT,
                         "no network has %d inputs, %d classes, base %d, cap %d and %d stages",
                         c->in_channels, c->classes, c->base, c->cap, c->stages);
    const int up = c->stages - 1, heads = net_head_count(c);
    const size_t n = (size_t)(8 * c->stages + (2 + 8) * up + 2 * heads);
    *parameters = memory_allocate(n, sizeof **parameters, "the table of parameters", error);
    if (!*parameters)
        return TS_MEMORY;
    layout l = {.next = *parameters};
    for (int s = 0; s < c->stages; s++)
        add_stage(&l, "encoder", s, s ? width(c, s - 1) : c->in_channels, width(c, s));
    for (int s = up - 1; s >= 0; s--) {
        add_convolution(&l, "decoder", s, "up", width(c, s + 1), width(c, s), 2, width(c, s));
        add_stage(&l, "decoder", s, 2 * width(c, s), width(c, s));
    }
    for (int s = 0; s < heads; s++)
        add_convolution(&l, "head", s, "", c->classes, width(c, s), 1, c->classes);
    *count = n;
    if (weights)
        *weights = l.offset;
    return TS_OK;
}
