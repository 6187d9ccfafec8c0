/* The forward pass: encoder, bottleneck, decoder, heads. */
#include "net/graph.h"

#include <string.h>

static void pack(net *n, const unit *u)
{
    conv_pack(n->engine, &u->conv, net_weight(n, u->weight), n->packed + u->packed);
}

static void pack_all(net *n)
{
    for (int s = 0; s < n->config.stages; s++)
        for (int i = 0; i < 2; i++) {
            pack(n, &n->encoder[s][i]);
            if (s < n->config.stages - 1)
                pack(n, &n->decoder[s][i]);
        }
    for (int s = 0; s < n->config.stages - 1; s++)
        pack(n, &n->up[s]);
    n->stale = false;
}

static void convolve(const net *n, const unit *u, const tensor *x, const tensor *second,
                     const tensor *y)
{
    conv_forward(n->engine, &u->conv, (conv_inputs){x, second}, n->packed + u->packed,
                 net_weight(n, u->bias), y, u->moments, n->scratch);
}

void unit_activate(const net *n, const unit *u, const tensor *y, const tensor *a)
{
    norm_forward(n->engine, y, u->moments, net_weight(n, u->gamma), net_weight(n, u->beta), a);
}

tensor net_upsample(const net *n, int s, const tensor *below, void *place)
{
    const tensor up = tensor_in(&n->up[s].y, place);
    convolve(n, &n->up[s], below, NULL, &up);
    return up;
}

/* Convolution, norm, activation. Training keeps y and writes the activation to `place`; prediction
 * convolves into `place` and normalises there. Returns the activation. */
static tensor layer(const net *n, const unit *u, const tensor *x, const tensor *second, void *place)
{
    const tensor a = tensor_in(&u->y, place), *y = n->mode == NET_TRAIN ? &u->y : &a;
    convolve(n, u, x, second, y);
    unit_activate(n, u, y, &a);
    return a;
}

/* Logits of stage s from what its last convolution, or with norm NULL its activation, gave. */
static void head(const net *n, int s, const tensor *x, const norm_parameters *norm)
{
    head_forward(n->engine, x, norm, net_weight(n, n->head_weight[s]),
                 net_weight(n, n->head_bias[s]), n->config.classes, n->logits[s]);
}

/* Stage s of the decoder reads `below` in temporary[here]; gives its activation in the other one,
 * which held the up-sampled map before. Nothing but the head reads the activation of stage 0: it is
 * made there on the way. */
static tensor decode(const net *n, int s, const tensor *below, int here)
{
    const bool train = n->mode == NET_TRAIN;
    const unit *last = &n->decoder[s][1];
    const tensor up = net_upsample(n, s, below, n->temporary[!here]);
    const tensor a = layer(n, &n->decoder[s][0], &up, &n->skip[s], n->temporary[here]);
    if (s > 0) {
        const tensor x = layer(n, last, &a, NULL, n->temporary[!here]);
        if (s < net_heads(n) && train)
            head(n, s, &x, NULL);
        return x;
    }
    const tensor y = train ? last->y : tensor_in(&last->y, n->temporary[!here]);
    const norm_parameters norm = unit_norm(n, last);
    convolve(n, last, &a, NULL, &y);
    head(n, s, &y, &norm);
    return y;
}

/* Of `input`, or, where that is NULL, of `channels`. */
static ts_status run(net *n, const float *input, const float *const *channels, ts_error *error)
{
    const int lowest = n->config.stages - 1;
    int here = 0; /* which temporary holds x */
    if (!n->scratch && !n->input.data)
        return error_set(error, TS_BAD_INPUT, "a network was run without a workspace");
    if (n->stale)
        pack_all(n);
    if (input)
        tensor_upload(n->engine, input, &n->input);
    else
        tensor_upload_channels(n->engine, channels, &n->input);
    tensor x = n->input;
    for (int s = 0; s <= lowest; s++) {
        const tensor a = layer(n, &n->encoder[s][0], &x, NULL, n->temporary[1]);
        x = layer(n, &n->encoder[s][1], &a, NULL, s < lowest ? n->skip[s].data : n->temporary[0]);
    }
    for (int s = lowest - 1; s >= 0; s--, here = !here)
        x = decode(n, s, &x, here);
    n->kept = true;
    return TS_OK;
}

ts_status net_forward(net *n, const float *input, ts_error *error)
{
    return run(n, input, NULL, error);
}

ts_status net_forward_channels(net *n, const float *const *channels, ts_error *error)
{
    return run(n, NULL, channels, error);
}

void net_feature_read(net *n, const char *name, float *out)
{
    const unit *u = net_feature_unit(n, name);
    const bool fits = tensor_bytes(&u->y) <= n->scratch_bytes;
    const tensor a = tensor_in(&u->y, fits ? n->scratch : n->temporary[last_place(n)]);
    n->kept = n->kept && fits;
    unit_activate(n, u, &u->y, &a);
    tensor_download(n->engine, &a, out);
}

static double unit_flops(const unit *u)
{
    return conv_flops(&u->conv, &u->x);
}

double net_forward_flops(const net *n)
{
    double sum = 0;
    for (int s = 0; s < n->config.stages; s++)
        for (int i = 0; i < 2; i++)
            sum += unit_flops(&n->encoder[s][i]);
    for (int s = 0; s < n->config.stages - 1; s++)
        sum +=
            unit_flops(&n->up[s]) + unit_flops(&n->decoder[s][0]) + unit_flops(&n->decoder[s][1]);
    for (int h = 0; h < net_heads(n); h++) {
        const tensor *t = &n->decoder[h][1].y;
        sum += 2.0 * (double)(t->n * t->c * t->d * t->h * t->w) * n->config.classes;
    }
    return sum;
}
