/* The backward pass: heads and decoder from full resolution down, bottleneck, encoder up again.
 *
 * Gradients alternate between the two temporaries. A layer's y is read for the last time where the
 * gradient passes its norm; from then on its memory serves others:
 *     second layer's y      the first layer's activation, made again for a weight gradient; then,
 *                           in the decoder, the gradient of the skip until its encoder stage
 *     decoder first layer's the activation that the stage reads from below, made again
 * The skips keep their activations, which two weight gradients read. */
#include "net/graph.h"

/* The caller's gradient at this unit's activation; NULL where there is none (any more). */
static float *take_feature_gradient(net *n, const unit *u)
{
    for (int i = 0; i < n->feature_count; i++)
        if (n->features[i].at == u && n->features[i].wanted) {
            n->features[i].wanted = false;
            return n->features[i].values;
        }
    return NULL;
}

static void add_feature_gradient(net *n, const unit *u, const tensor *da)
{
    const float *values = take_feature_gradient(n, u);
    if (values)
        tensor_add(n->engine, values, da);
}

/* The activation of a unit, made again in `place`. */
static tensor activation(const net *n, const unit *u, void *place)
{
    const tensor a = tensor_in(&u->y, place);
    unit_activate(n, u, &u->y, &a);
    return a;
}

/* Gradient of the activation to that of the convolution's output, in place. */
static void norm_back(net *n, const unit *u, const tensor *da)
{
    const norm_parameters norm = unit_norm(n, u);
    norm_backward(n->engine, &u->y, &norm, da, da, n->gradients + u->gamma, n->gradients + u->beta,
                  n->scratch);
}

static void weights_back(net *n, const unit *u, const tensor *x, const tensor *second,
                         const tensor *dy)
{
    conv_weight_gradient(n->engine, &u->conv, (conv_inputs){x, second}, dy,
                         n->gradients + u->weight, n->gradients + u->bias, n->scratch);
}

static void data_back(net *n, const unit *u, const tensor *dy, const tensor *dx,
                      const tensor *dsecond, bool add)
{
    conv_data_gradient(n->engine, &u->conv, net_weight(n, u->weight), dy,
                       (conv_inputs){dx, dsecond}, (const bool[2]){add, false}, n->scratch);
}

/* The second layer of a stage: gradient of its activation, in da, to that of the first layer's, in
 * `place`. */
static tensor second_layer_back(net *n, const unit stage[2], const tensor *da, void *place)
{
    const tensor dx = tensor_in(&stage[0].y, place);
    norm_back(n, &stage[1], da);
    const tensor x = activation(n, &stage[0], stage[1].y.data);
    weights_back(n, &stage[1], &x, NULL, da);
    data_back(n, &stage[1], da, &dx, NULL, false);
    return dx;
}

/* The gradient of the activation of an encoder stage above the bottleneck. */
static tensor skip_gradient(const net *n, int s)
{
    return tensor_in(&n->skip[s], n->decoder[s][1].y.data);
}

/* The first layer of a decoder stage, from the gradient of its activation in dy to that of the
 * activation one stage below, which takes dy's place. `up`: the up-sampled map, its memory alone
 * where it has to be made again (from the activation below); its gradient takes its place. */
static tensor first_layer_back(net *n, int s, const tensor *dy, void *place, bool kept)
{
    const unit *below = s + 2 == n->config.stages ? &n->encoder[s + 1][1] : &n->decoder[s + 1][1];
    const unit *first = &n->decoder[s][0];
    const tensor dskip = skip_gradient(n, s);
    norm_back(n, first, dy);
    const tensor x = activation(n, below, first->y.data);
    const tensor up = kept ? tensor_in(&n->up[s].y, place) : net_upsample(n, s, &x, place);
    weights_back(n, first, &up, &n->skip[s], dy);
    data_back(n, first, dy, &up, &dskip, false); /* up becomes its gradient */
    weights_back(n, &n->up[s], &x, NULL, &up);
    const tensor dx = tensor_in(&below->y, dy->data);
    data_back(n, &n->up[s], &up, &dx, NULL, false);
    return dx;
}

/* Stage s of the decoder below the first: da, the gradient of its activation, lies in
 * temporary[here], and what is returned in the other one. */
static tensor decoder_back(net *n, int s, const tensor *da, int here)
{
    const tensor dy = second_layer_back(n, n->decoder[s], da, n->temporary[!here]);
    return first_layer_back(n, s, &dy, n->temporary[here], false);
}

static void head_weights_back(net *n, int h)
{
    const unit *u = &n->decoder[h][1];
    const norm_parameters norm = unit_norm(n, u);
    head_weight_gradient(n->engine, &u->y, &norm, n->logits[h], n->config.classes,
                         n->gradients + n->head_weight[h], n->gradients + n->head_bias[h],
                         n->scratch);
}

/* Stage 0 of the decoder, from the gradient of its logits. The gradient of the last layer's y takes
 * its place; the temporaries still hold what forward left there. What is returned lies in
 * temporary[last_place]. */
static tensor last_stage_back(net *n)
{
    const unit *first = &n->decoder[0][0], *last = &n->decoder[0][1];
    void *const place = n->temporary[last_place(n)];
    float *more = take_feature_gradient(n, last);
    head_weights_back(n, 0);
    const last_backward l = {
        .y = &last->y,
        .norm = unit_norm(n, last),
        .dlogits = n->logits[0],
        .weight = net_weight(n, n->head_weight[0]),
        .classes = n->config.classes,
        .more = more,
        .dy = &last->y,
        .dgamma = n->gradients + last->gamma,
        .dbeta = n->gradients + last->beta,
    };
    last_backward_run(n->engine, &l, n->scratch);
    const tensor x = n->kept ? tensor_in(&first->y, place) : activation(n, first, place);
    weights_back(n, last, &x, NULL, &last->y);
    const tensor dx = tensor_in(&first->y, place);
    data_back(n, last, &last->y, &dx, NULL, false);
    return first_layer_back(n, 0, &dx, n->temporary[!last_place(n)], true);
}

/* The head's gradients, from the gradient of its logits; that of its input is added to da. */
static void head_back(net *n, int h, const tensor *da)
{
    head_weights_back(n, h);
    head_data_gradient(n->engine, n->logits[h], net_weight(n, n->head_weight[h]), n->config.classes,
                       da, true);
}

/* Stage s of the encoder, from the gradient of its activation in da. */
static void encoder_back(net *n, int s, const tensor *da, void *place)
{
    const unit *first = &n->encoder[s][0];
    add_feature_gradient(n, &n->encoder[s][1], da);
    const tensor dy = second_layer_back(n, n->encoder[s], da, place);
    norm_back(n, first, &dy);
    weights_back(n, first, s ? &n->skip[s - 1] : &n->input, NULL, &dy);
    if (!s)
        return;
    const tensor dskip = skip_gradient(n, s - 1);
    data_back(n, first, &dy, &dskip, NULL, true);
}

ts_status net_backward(net *n, ts_error *error)
{
    const int lowest = n->config.stages - 1;
    int here = last_place(n); /* which temporary holds da */
    if (n->mode != NET_TRAIN)
        return error_set(error, TS_BAD_INPUT, "a network made for prediction cannot be trained");
    tensor da = last_stage_back(n);
    for (int s = 1; s < lowest; s++) {
        if (s < net_heads(n))
            head_back(n, s, &da);
        add_feature_gradient(n, &n->decoder[s][1], &da);
        da = decoder_back(n, s, &da, here);
        here = !here;
    }
    encoder_back(n, lowest, &da, n->temporary[!here]);
    for (int s = lowest - 1; s >= 0; s--) {
        da = skip_gradient(n, s);
        encoder_back(n, s, &da, n->temporary[0]);
    }
    return TS_OK;
}
