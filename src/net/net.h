/* net: the U-Net of docs/method.md, "Network", as a list of layers over the engine: forward,
 * backward, memory.
 *
 * Outside of engine/ and net/, tensors are plain float [N][C][D][H][W]: the batch going in,
 * logits and latents coming out, their gradients going back. */
#ifndef TWINSEG_NET_H
#define TWINSEG_NET_H

#include "engine/engine.h"
#include "plan/plan.h"

typedef struct {
    int in_channels, classes;
    int base, cap, stages;
    bool deep_supervision; /* heads on every decoder stage but the lowest; else on stage 0 alone */
    bool winograd; /* in training too, where the engine has it (engine.h); prediction always */
} net_config;

/* The network of a plan with an input for each modality of `channels`. */
net_config net_config_of(const plan *p, modality_set channels);

/* One parameter tensor, in PyTorch's shapes: convolution [out][in][k][k][k], transposed
 * convolution [in][out][2][2][2], norm and bias [c]. It lies at `offset` (in floats) of the flat
 * weight and gradient arrays. Names: encoder.S.conv0.weight, .bias, encoder.S.norm0.weight, ...,
 * decoder.S.up.weight, decoder.S.conv0.weight, head.S.weight; S counts from 0 = full resolution. */
typedef struct {
    char name[48];
    int dimensions;
    int64_t shape[5], offset, count;
    bool norm_or_bias;
} net_parameter;

/* The table of parameters that a configuration has, without making a net (layout.c): the order of
 * the flat arrays and of a model file. Every convolution, the transposed ones and the heads too,
 * has a bias. Free *parameters with free(); *weights (may be NULL) receives the floats in all. */
ts_status net_layout(const net_config *config, net_parameter **parameters, size_t *count,
                     int64_t *weights, ts_error *error);

/* Decoder stages are 0 .. stages-2; as in nnU-Net the lowest has no head: stages-2 heads, at least
 * 1, and 1 without deep supervision. */
int net_head_count(const net_config *config);

typedef enum { NET_PREDICT, NET_TRAIN } net_mode;
typedef struct net net;

/* patch d h w, each divisible by 2^(stages-1). The weights are zero until net_initialise or the
 * caller fills them. The engine must outlive the net. */
ts_status net_create(const net_config *config, int64_t batch, const int64_t patch[3], net_mode mode,
                     engine *e, net **out, ts_error *error);
void net_destroy(net *n);

/* Bytes of activations and scratch for one forward (and backward): the plan, exact. */
size_t net_workspace_bytes(const net_config *config, int64_t batch, const int64_t patch[3],
                           net_mode mode, const engine *e);
/* Bytes of the weights in the engine's layout, which a net holds beside weights and workspace. */
size_t net_packed_bytes(const net_config *config, net_mode mode, const engine *e);
/* Gives the net memory of net_workspace_bytes (aligned to 64). Two nets may be given the same
 * memory when their passes do not overlap in time. */
void net_bind(net *n, void *workspace);
/* Another patch for a network made for prediction, with the same weights; net_bind must follow,
 * with memory for the new patch. */
ts_status net_set_patch(net *n, const int64_t patch[3], ts_error *error);

size_t net_parameter_count(const net *n); /* tensors */
const net_parameter *net_parameters(const net *n);
int64_t net_weight_count(const net *n); /* floats in all */
float *net_weights(net *n);             /* caller may read and write; call net_weights_changed */
void net_weights_changed(net *n);       /* repacks for the engine's layout at the next forward */
float *net_gradients(net *n);           /* filled by net_backward (overwritten, not added) */

/* He initialisation for slope 0.01 (normal), biases 0, norm 1 and 0; each tensor's draws are
 * keyed by (seed, name), so that a network's role or channels elsewhere change nothing. */
void net_initialise(net *n, uint64_t seed);

/* input [N][in_channels][D][H][W]. TS_BAD_INPUT without net_bind. */
ts_status net_forward(net *n, const float *input, ts_error *error);
/* channels: [N][in_channels] pointers to [D][H][W]; NULL: zeros. */
ts_status net_forward_channels(net *n, const float *const *channels, ts_error *error);

int net_heads(const net *n);
/* Logits of head s (0 = full resolution): [N][classes][D>>s][H>>s][W>>s], valid until the next
 * forward. The caller turns them into gradients in place before net_backward. */
float *net_logits(net *n, int head);

/* Features after norm and activation: "bottleneck", "encoderS", "decoderS". shape receives
 * N C D H W; false where the net has no such stage. */
bool net_feature_shape(const net *n, const char *name, int64_t shape[5]);
void net_feature_read(net *n, const char *name, float *out);
/* A gradient to be added at that feature in the next net_backward; copied at the call. At most
 * 8. */
ts_status net_feature_gradient(net *n, const char *name, const float *gradient, ts_error *error);

/* Fills net_gradients from the gradients that the caller left in net_logits (zeros for a head
 * without a loss). TS_BAD_INPUT for a net made for prediction. */
ts_status net_backward(net *n, ts_error *error);

/* Floating-point operations of one forward, two per multiply-add, for shares of the roof. A
 * backward is twice that, less the first layer's data gradient. */
double net_forward_flops(const net *n);

#endif
