/* The Barlow Twins part of an iteration: latents of teacher and student at the stages of the plan,
 * their loss, and its gradients given to the networks. */
#ifndef TWINSEG_TRAIN_BARLOW_H
#define TWINSEG_TRAIN_BARLOW_H

#include "net/net.h"

typedef struct barlow barlow;

/* Bytes of latents, gradients and projectors with their moments; and those that the loss takes on
 * top while it is computed. */
ts_status barlow_bytes(const plan *p, size_t *bytes, size_t *working, ts_error *error);
ts_status barlow_create(const plan *p, barlow **out, ts_error *error);
void barlow_destroy(barlow *b);

/* Keeps the latents of the network's last forward. */
void barlow_keep_teacher(barlow *b, net *teacher);

/* The loss between the teacher's kept latents and those of the student's last forward, the mean
 * over the plan's stages; hands weight * gradient to the student and, where not NULL, to the
 * teacher. */
ts_status barlow_apply(barlow *b, net *student, net *teacher, double weight, pool *p, double *loss,
                       ts_error *error);

/* Weights of the projectors (of both networks, all stages) as one flat array; 0 of them without. */
float *barlow_weights(barlow *b);
const float *barlow_gradients(const barlow *b);
int64_t barlow_weight_count(const barlow *b);

/* The weight of step `step`, grown from 0 over the warm-up. */
double barlow_weight_at(const plan *p, int64_t step);

#endif
