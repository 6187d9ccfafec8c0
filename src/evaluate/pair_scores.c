/* Reading and scoring a pair of files. */
#include "dataset/dataset.h"
#include "evaluate/scoring.h"
#include "volume/volume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The two volumes of a pair: 0 the prediction, 1 the truth. */
typedef struct {
    const char *paths[2];
    label_map maps[2];
    volume_header headers[2];
    uint8_t *labels[2];
} pair_reading;

/* The truth first: of two errors its own counts. */
static ts_status read_task(void *context, int64_t index, int thread, ts_error *error)
{
    pair_reading *r = context;
    const int64_t i = 1 - index;
    volume_header *h = &r->headers[i];
    (void)thread;
    if (!r->paths[i])
        return TS_OK;
    const ts_status status = volume_read_labels(r->paths[i], h, &r->labels[i], error);
    return status != TS_OK ? status
                           : labels_map(r->labels[i], (size_t)voxel_count(h->shape), r->maps[i],
                                        false, r->paths[i], error);
}

/* What the case's name tells of label values that no setting speaks of. A prediction is taken to
 * hold the program's own classes, so a 4 in it is asked about where 4 is not ET in the truth. */
static void read_names(const evaluate_pair *pair, label_map maps[2])
{
    const label_map by_name = dataset_labels_by_name(pair->id);
    if (by_name == LABELS_AUTO)
        return;
    maps[0] = maps[0] == LABELS_AUTO ? LABELS_OWN : maps[0];
    maps[1] = maps[1] == LABELS_AUTO ? by_name : maps[1];
}

/* Warnings where the two headers contradict each other; shapes are equal. Headers that give no
 * orientation (both codes 0) cannot. */
static void compare_headers(const pair_reading *r)
{
    const volume_header *p = &r->headers[0], *t = &r->headers[1];
    const volume_orientation o = volume_orientation_lps(p->affine);
    const volume_orientation q = volume_orientation_lps(t->affine);
    bool spacing = false, axes = false;
    for (int k = 0; k < 3; k++) {
        spacing |= fabs(p->zooms[k] - t->zooms[k]) > 1e-3 * t->zooms[k];
        axes |= o.axis[k] != q.axis[k] || o.flip[k] != q.flip[k];
    }
    if (spacing)
        warn("'%s' has voxels of %.4gx%.4gx%.4g mm, its truth '%s' of %.4gx%.4gx%.4g mm: "
             "distances and volumes are measured with the prediction's",
             r->paths[0], p->zooms[0], p->zooms[1], p->zooms[2], r->paths[1], t->zooms[0],
             t->zooms[1], t->zooms[2]);
    if (axes && (p->sform_code || p->qform_code) && (t->sform_code || t->qform_code))
        warn("'%s' and its truth '%s' have one shape, but their axes run in different directions "
             "by their headers: they are compared voxel by voxel as stored, and one of them may "
             "be flipped",
             r->paths[0], r->paths[1]);
}

static ts_status take_empty_prediction(pair_reading *r, ts_error *error)
{
    r->headers[0] = r->headers[1];
    r->labels[0] =
        memory_allocate((size_t)voxel_count(r->headers[0].shape), 1, "an empty prediction", error);
    return r->labels[0] ? TS_OK : TS_MEMORY;
}

/* Both volumes, on one grid with sizes in mm, an absent prediction as an empty one; labels are to
 * be freed also after an error. */
static ts_status read_pair(const evaluate_pair *pair, pair_reading *r, pool *p, ts_error *error)
{
    bool turned;
    volume_doubts doubts = {0};
    r->paths[0] = pair->prediction;
    r->paths[1] = pair->truth;
    read_names(pair, r->maps);
    ts_status status = pool_run_status(p, read_task, r, 2, error);
    for (int i = 0; status == TS_OK && i < 2; i++)
        if (r->paths[i])
            volume_warn_doubts(&r->headers[i], r->paths[i], &doubts);
    if (status == TS_OK && !pair->prediction)
        status = take_empty_prediction(r, error);
    if (status != TS_OK)
        return status;
    status = volume_turn_labels(&r->headers[0], &r->labels[0], &r->headers[1], &turned, error);
    if (status != TS_OK)
        return status;
    if (turned)
        note("'%s' is stored along other axes than its truth, on the same grid: turned",
             pair->prediction);
    const int64_t *a = r->headers[0].shape, *b = r->headers[1].shape;
    if (memcmp(a, b, 3 * sizeof *a))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has %lldx%lldx%lld voxels and its truth '%s' %lldx%lldx%lld: "
                         "they must be on one grid",
                         pair->prediction, (long long)a[0], (long long)a[1], (long long)a[2],
                         pair->truth, (long long)b[0], (long long)b[1], (long long)b[2]);
    status = voxel_sizes_check(r->headers[0].zooms,
                               pair->prediction ? pair->prediction : pair->truth, error);
    if (status == TS_OK && pair->prediction)
        compare_headers(r);
    return status;
}

ts_status evaluate_pair_score(const evaluate_pair *pair, convention c, label_map prediction_labels,
                              label_map truth_labels, pool *p, region_scores scores[REGIONS],
                              ts_error *error)
{
    pair_reading r = {.maps = {prediction_labels, truth_labels}};
    ts_status status = read_pair(pair, &r, p, error);
    if (status == TS_OK)
        status = evaluate_case(r.labels[0], r.labels[1], r.headers[0].shape, r.headers[0].zooms, c,
                               p, scores, error);
    free(r.labels[0]);
    free(r.labels[1]);
    return status;
}

static ts_status score_panoptic(const evaluate_pair *pair, label_map prediction_labels,
                                label_map truth_labels, pool *p,
                                panoptic_scores scores[REGIONS_ALL], ts_error *error)
{
    pair_reading r = {.maps = {prediction_labels, truth_labels}};
    for (int i = 0; i < 2; i++)
        r.maps[i] = r.maps[i] == LABELS_BRATS2024 ? LABELS_CAVITY : r.maps[i];
    ts_status status = read_pair(pair, &r, p, error);
    if (status == TS_OK)
        status = evaluate_case_panoptic(r.labels[0], r.labels[1], r.headers[0].shape,
                                        r.headers[0].zooms, p, scores, error);
    free(r.labels[0]);
    free(r.labels[1]);
    return status;
}

ts_status evaluate_pair_figures(const evaluate_pair *pair, convention c,
                                label_map prediction_labels, label_map truth_labels, pool *p,
                                double *figures, ts_error *error)
{
    const bool cavity = prediction_labels == LABELS_BRATS2024 || truth_labels == LABELS_BRATS2024;
    const evaluate_columns columns = evaluate_columns_of(c, cavity);
    region_scores scores[REGIONS];
    panoptic_scores panoptic[REGIONS_ALL];
    const ts_status status =
        c == CONVENTION_PANOPTIC
            ? score_panoptic(pair, prediction_labels, truth_labels, p, panoptic, error)
            : evaluate_pair_score(pair, c, prediction_labels, truth_labels, p, scores, error);
    for (int g = 0; status == TS_OK && g < columns.regions; g++, figures += columns.figures) {
        if (c == CONVENTION_PANOPTIC)
            list_panoptic(&panoptic[g], figures);
        for (int f = 0; c != CONVENTION_PANOPTIC && f < columns.figures; f++)
            figures[f] = evaluate_figure(&scores[g], f);
    }
    return status;
}
