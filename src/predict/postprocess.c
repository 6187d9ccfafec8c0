/* The rules after the argmax (docs/method.md, "Post-processing"), off by default. Small components
 * of the tumour are removed, but never all: where none is large enough the largest stays, so that a
 * rule cannot hide a finding. Enhancing tumour of very few voxels becomes necrosis (BraTS 2020's
 * winners: below 200 voxels, because a false ET where the truth has none costs the whole score of
 * that region). Before both, on the network's grid, components are removed of which the network is
 * much less sure than of the surest. */
#include "labels/labels.h"
#include "predict/predict.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>

int64_t predict_threshold_voxels(double rule_mm3, double voxel_mm3)
{
    return voxel_mm3 > 0 ? (int64_t)ceil(rule_mm3 / voxel_mm3) : 0;
}

/* The components of a tumour, within its box: that takes far less memory than the whole volume. */
typedef struct {
    voxel_box box;
    int64_t shape[3]; /* of the box */
    components c;
} tumour;

/* tumour: not 0. To be freed (components_free) also after an error. */
static ts_status find_tumour(const uint8_t *labels, const int64_t shape[3], tumour *t,
                             ts_error *error)
{
    *t = (tumour){.box = box_of_set(labels, shape)};
    box_shape(&t->box, t->shape);
    uint8_t *mask = memory_take((size_t)voxel_count(t->shape), 1, "the tumour", error);
    if (!mask)
        return TS_MEMORY;
    box_cut(labels, shape, &t->box, NULL, mask);
    const ts_status status = components_find(mask, t->shape, &t->c, error);
    free(mask);
    return status;
}

/* The number of the largest component (of equals the first), 0 where there is none. */
static int32_t largest_component(const components *c)
{
    int32_t largest = 0;
    for (int32_t k = 1; k <= c->count; k++)
        if (c->all[k].voxels > c->all[largest].voxels)
            largest = k;
    return largest;
}

static ts_status remove_small(uint8_t *labels, const int64_t shape[3], int64_t least,
                              ts_error *error)
{
    tumour t;
    const ts_status status = find_tumour(labels, shape, &t, error);
    if (status == TS_OK) {
        const int32_t largest = largest_component(&t.c), *number = t.c.numbers;
        for (int64_t z = 0; z < t.shape[2]; z++)
            for (int64_t y = 0; y < t.shape[1]; y++) {
                uint8_t *row = labels + box_row(&t.box, shape, y, z);
                for (int64_t x = 0; x < t.shape[0]; x++, number++)
                    if (*number && *number != largest && t.c.all[*number].voxels < least)
                        row[x] = 0;
            }
    }
    components_free(&t.c);
    return status;
}

/* sure[component]: its mean probability of tumour. */
static void measure_sureness(const tumour *t, const float *background, const int64_t shape[3],
                             double *sure)
{
    const int32_t *number = t->c.numbers;
    for (int64_t z = 0; z < t->shape[2]; z++)
        for (int64_t y = 0; y < t->shape[1]; y++) {
            const float *row = background + box_row(&t->box, shape, y, z);
            for (int64_t x = 0; x < t->shape[0]; x++, number++)
                if (*number)
                    sure[*number] += 1 - (double)row[x];
        }
    for (int32_t k = 1; k <= t->c.count; k++)
        sure[k] /= (double)t->c.all[k].voxels;
}

static void drop_unsure(const tumour *t, float *probabilities, const int64_t shape[3],
                        const double *sure, double share)
{
    const size_t voxels = (size_t)voxel_count(shape);
    const int64_t largest = t->c.all[largest_component(&t->c)].voxels;
    const int32_t *number = t->c.numbers;
    double surest = 0;
    for (int32_t k = 1; k <= t->c.count; k++)
        if (t->c.all[k].voxels * 10 >= largest)
            surest = fmax(surest, sure[k]);
    for (int64_t z = 0; z < t->shape[2]; z++)
        for (int64_t y = 0; y < t->shape[1]; y++) {
            float *row = probabilities + box_row(&t->box, shape, y, z);
            for (int64_t x = 0; x < t->shape[0]; x++, number++)
                for (size_t k = 0; *number && sure[*number] < share * surest && k < LABELS; k++)
                    row[k * voxels + (size_t)x] = k == LABEL_BACKGROUND;
        }
}

ts_status predict_drop_unsure(float *probabilities, const int64_t shape[3], double share,
                              ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(shape);
    tumour t = {0};
    double *sure = NULL;
    uint8_t *labelled = memory_allocate(voxels, 1, "the tumour", error);
    ts_status status = TS_MEMORY;
    if (!labelled)
        return TS_MEMORY;
    for (size_t i = 0; i < voxels; i++)
        for (size_t k = 1; k < LABELS; k++)
            labelled[i] |= probabilities[k * voxels + i] > probabilities[i];
    status = find_tumour(labelled, shape, &t, error);
    if (status != TS_OK)
        goto end;
    sure = memory_allocate((size_t)t.c.count + 1, sizeof *sure, "the components", error);
    if (!sure) {
        status = TS_MEMORY;
        goto end;
    }
    measure_sureness(&t, probabilities, shape, sure);
    drop_unsure(&t, probabilities, shape, sure, share);
end:
    free(sure);
    components_free(&t.c);
    free(labelled);
    return status;
}

ts_status predict_postprocess(uint8_t *labels, const int64_t shape[3], int64_t et_threshold_voxels,
                              int64_t component_voxels, ts_error *error)
{
    const int64_t voxels = voxel_count(shape);
    int64_t enhancing = 0;
    if (component_voxels > 0) {
        const ts_status status = remove_small(labels, shape, component_voxels, error);
        if (status != TS_OK)
            return status;
    }
    for (int64_t i = 0; i < voxels; i++)
        enhancing += labels[i] == LABEL_ET;
    for (int64_t i = 0; enhancing < et_threshold_voxels && i < voxels; i++)
        labels[i] = labels[i] == LABEL_ET ? LABEL_NCR : labels[i];
    return TS_OK;
}

void predict_follow_labels(float *probabilities, const uint8_t *labels, size_t voxels)
{
    float *p[LABELS];
    bool enhancing = false;
    for (size_t k = 0; k < LABELS; k++)
        p[k] = probabilities + k * voxels;
    for (size_t i = 0; i < voxels; i++)
        enhancing = enhancing || labels[i] == LABEL_ET;
    for (size_t i = 0; i < voxels; i++) {
        int best = 0;
        if (!enhancing) {
            p[LABEL_NCR][i] += p[LABEL_ET][i];
            p[LABEL_ET][i] = 0;
        }
        for (int k = 1; k < LABELS; k++)
            best = p[k][i] > p[best][i] ? k : best;
        for (int k = 0; best != labels[i] && k < LABELS; k++)
            p[k][i] = k == labels[i];
    }
}
