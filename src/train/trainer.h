/* What a trainer holds (private to trainer.c and iteration.c). */
#ifndef TWINSEG_TRAIN_TRAINER_H
#define TWINSEG_TRAIN_TRAINER_H

#include "train/barlow.h"
#include "train/iteration.h"
#include "voxels/voxels.h"

enum { HEADS_MAX = 8 }; /* stages go up to 8 */

/* One of the two networks. */
typedef struct {
    net *net; /* NULL where the method has none of the role */
    modality_set channels;
    float *moments; /* of the optimiser: first, and behind them AdamW's second */
} side;

struct trainer {
    plan plan;
    int64_t own, first; /* this rank's samples of the batch: how many, and the first */
    float *gathered;    /* [N][classes][voxels] of a head, of all ranks; NULL where there is one */
    engine *engine;
    side sides[ROLES];
    net *average;               /* moving average of the teacher; NULL where there is none */
    uint8_t *workspace[ROLES];  /* the second NULL where it is shared */
    const float **input;        /* [own][channels] of a network, into the batch */
    float *soft;                /* [N][classes][voxels]: softened labels, then their gradient */
    uint8_t *labels[HEADS_MAX]; /* truth at the resolution of each head but the first */
    barlow *barlow;             /* NULL where there is none */
    float *projector_moments;
    bool complete;          /* the batch at hand: the teacher learns from it */
    int64_t complete_steps; /* of the schedule so far: the updates of teacher and projector */
};

/* Heads of deep supervision, the same of both networks. */
static inline int trainer_heads(const trainer *t)
{
    return net_heads(t->sides[t->sides[STUDENT].net ? STUDENT : TEACHER].net);
}

#endif
