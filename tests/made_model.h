/* made_model: a small network with random weights, for tests of prediction. Include after
 * cmocka. */
#ifndef TWINSEG_TESTS_MADE_MODEL_H
#define TWINSEG_TESTS_MADE_MODEL_H

#include "model/model.h"

enum { MADE_PATCH = 16 };

/* A network of two stages with random weights; biases too, so that nothing is symmetric. */
static inline model made_model(modality_set channels, loss_kind loss, uint32_t seed)
{
    model m = {.channels = channels, .role = "student"};
    net_parameter *parameters;
    size_t count;
    ts_error e;
    plan_defaults(&m.plan);
    m.plan.student = channels;
    m.plan.patch[0] = m.plan.patch[1] = m.plan.patch[2] = MADE_PATCH;
    m.plan.base = 4;
    m.plan.stages = 2;
    m.plan.loss = loss;
    m.plan.spacing_mm = 1;
    m.config = net_config_of(&m.plan, channels);
    assert_int_equal(net_layout(&m.config, &parameters, &count, &m.weight_count, &e), TS_OK);
    free(parameters);
    m.weights = calloc((size_t)m.weight_count, sizeof *m.weights);
    assert_non_null(m.weights);
    random_stream r = random_open(seed, RANDOM_TEST, 1, 2);
    for (int64_t i = 0; i < m.weight_count; i++)
        m.weights[i] = (float)(0.4 * random_normal(&r));
    return m;
}

#endif
