/* The rules that turn gradients into steps, as PyTorch does them: SGD (Nesterov momentum, weight
 * decay added to the gradient) and AdamW (Loshchilov 2019, betas 0.9 and 0.999, eps 1e-8);
 * clipping by norm, and the poly schedule. */
#ifndef TWINSEG_TRAIN_OPTIMISER_H
#define TWINSEG_TRAIN_OPTIMISER_H

#include "plan/plan.h"

typedef struct {
    optimiser_kind kind;
    double learning_rate, weight_decay;
    double momentum; /* SGD's; AdamW has its betas */
    int64_t step;    /* updates before this one: AdamW's moments start at 0 and are scaled up */
} update_rule;

/* Arrays of the weights' size that a rule keeps from step to step: 1, or 2 for AdamW. */
int optimiser_moments(optimiser_kind kind);
/* The second of them, where they lie behind one another; the first again where there is one. */
float *optimiser_second(optimiser_kind kind, float *moments, int64_t count);

/* learning_rate * (1 - step/steps)^0.9, step counted from 0. */
double poly_learning_rate(double learning_rate, int64_t step, int64_t steps);

/* The Euclidean norm in double, of chunks that are added in order: the same bits on any number of
 * threads. Not finite where any gradient is not. */
double gradient_norm(const float *gradient, int64_t count, pool *p);

/* The factor of torch.nn.utils.clip_grad_norm_: min(1, limit / (norm + 1e-6)); limit 0: 1. */
float clip_factor(double norm, double limit);

/* For every weight, g = factor * gradient; moments start at 0.
 * SGD: g += decay * weight; first = momentum * first + g;
 * weight -= learning_rate * (g + momentum * first). second is not touched.
 * AdamW: weight *= 1 - learning_rate * decay; first += 0.1 * (g - first);
 * second += 0.001 * (g * g - second);
 * weight -= learning_rate * first / (1 - 0.9^t) / (sqrt(second / (1 - 0.999^t)) + 1e-8),
 * t = step + 1. */
void optimiser_step(const update_rule *rule, float factor, const float *gradient, float *weight,
                    float *first, float *second, int64_t count, pool *p);

#endif
