/* The inside of a net: its layers with their tensors, shared by forward.c and backward.c.
 *
 * Training keeps of every normed layer the convolution's output y and its moments; activations
 * a = leaky ReLU(norm(y)) and up-sampled maps are made again where they are read (one pass over
 * memory, a hundredth of a step, instead of one tensor). Prediction normalises in place and keeps
 * only the skips. The heads make their input on the way. */
#ifndef TWINSEG_NET_GRAPH_H
#define TWINSEG_NET_GRAPH_H

#include "net/net.h"

enum { NET_STAGES_MAX = 16, NET_FEATURES_MAX = 8 };

/* A convolution, and where it is `normed` the instance norm behind it. Offsets count floats of the
 * flat weight and gradient arrays. */
typedef struct {
    conv conv;
    bool normed;
    int64_t weight, bias, gamma, beta;
    size_t packed; /* bytes into net.packed */
    tensor x;      /* shape of the (first) input */
    tensor y;      /* where normed, with its memory in training; else a shape alone */
    float *moments;
} unit;

/* A gradient that the next backward pass adds at the feature of a stage. */
typedef struct {
    const unit *at;
    float *values; /* kept for the next step; NULL until first used */
    bool wanted;
} feature_gradient;

struct net {
    net_config config;
    int64_t batch, patch[3];
    net_mode mode;
    engine *engine;
    net_parameter *parameters;
    size_t parameter_count;
    int64_t weight_count;
    float *weights, *gradients; /* gradients NULL in prediction */
    uint8_t *packed;
    bool stale; /* packed does not hold the weights yet */

    unit encoder[NET_STAGES_MAX][2]; /* [stages - 1] is the bottleneck */
    unit up[NET_STAGES_MAX];         /* [s]: from stage s + 1 to s */
    unit decoder[NET_STAGES_MAX][2];
    int64_t head_weight[NET_STAGES_MAX], head_bias[NET_STAGES_MAX];

    /* memory of the workspace */
    tensor input;
    void *temporary[2];          /* each holds the largest activation */
    tensor skip[NET_STAGES_MAX]; /* activations */
    float *logits[NET_STAGES_MAX];
    void *scratch;
    size_t scratch_bytes;
    bool kept; /* temporary[last_place()] still holds the activation that forward left there */
    feature_gradient features[NET_FEATURES_MAX];
    int feature_count;
};

/* `like` with other memory. */
static inline tensor tensor_in(const tensor *like, void *data)
{
    tensor t = *like;
    t.data = data;
    return t;
}

static inline const float *net_weight(const net *n, int64_t offset)
{
    return n->weights + offset;
}

/* After a forward pass in training, the temporary that holds the activation of the first layer of
 * decoder stage 0; the other one has the up-sampled map. */
static inline int last_place(const net *n)
{
    return n->config.stages % 2;
}

/* What makes the activation of a unit's y. */
static inline norm_parameters unit_norm(const net *n, const unit *u)
{
    return (norm_parameters){u->moments, net_weight(n, u->gamma), net_weight(n, u->beta)};
}

/* The unit whose activation is the feature of that name; NULL where the net has none. */
const unit *net_feature_unit(const net *n, const char *name);

/* a = activation of a unit, from its y. */
void unit_activate(const net *n, const unit *u, const tensor *y, const tensor *a);

/* The transposed convolution to stage s, into `place`. */
tensor net_upsample(const net *n, int s, const tensor *below, void *place);

#endif
