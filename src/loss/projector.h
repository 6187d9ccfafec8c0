/* Barlow Twins behind a projector: loss_barlow with width > 0. */
#ifndef TWINSEG_LOSS_PROJECTOR_H
#define TWINSEG_LOSS_PROJECTOR_H

#include "loss/loss.h"

ts_status barlow_projected(const barlow_pair *b, pool *p, double *loss, ts_error *error);

#endif
