/* Stochastic gradient descent as PyTorch's SGD does it (Nesterov momentum, weight decay added to
 * the gradient), clipping by norm, and the poly schedule. */
#ifndef TWINSEG_TRAIN_OPTIMISER_H
#define TWINSEG_TRAIN_OPTIMISER_H

#include "base/base.h"

typedef struct {
    double learning_rate, momentum, weight_decay;
} sgd;

/* learning_rate * (1 - step/steps)^0.9, step counted from 0. */
double poly_learning_rate(double learning_rate, int64_t step, int64_t steps);

/* The Euclidean norm in double, of chunks that are added in order: the same bits on any number of
 * threads. Not finite where any gradient is not. */
double gradient_norm(const float *gradient, int64_t count, pool *p);

/* The factor of torch.nn.utils.clip_grad_norm_: min(1, limit / (norm + 1e-6)); limit 0: 1. */
float clip_factor(double norm, double limit);

/* For every weight: g = factor * gradient + decay * weight; velocity = momentum * velocity + g;
 * weight -= learning_rate * (g + momentum * velocity). Velocities start at 0. */
void sgd_step(const sgd *s, float factor, const float *gradient, float *weight, float *velocity,
              int64_t count, pool *p);

#endif
