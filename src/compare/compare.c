/* Two dates: both measured on their own grids, the second's image registered to the first's, lesions
 * matched through the transform. */
#include "compare/compare.h"
#include "compare/match.h"
#include "dataset/dataset.h"
#include "picture/picture.h"
#include "predict/predict.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    compare_date files;
    volume image;
    uint8_t *labels;
} date;

/* ---- reading --------------------------------------------------------------------------------- */

/* The contrast that both dates have, else each its own first: with contrast agent before others. */
static ts_status choose_contrasts(const date dates[2], modality contrast[2], ts_error *error)
{
    static const modality order[MODALITIES] = {T1CE, T1, T2, FLAIR};
    for (int i = 0; i < MODALITIES; i++)
        if (dates[0].files.images[order[i]] && dates[1].files.images[order[i]]) {
            contrast[0] = contrast[1] = order[i];
            return TS_OK;
        }
    for (int d = 0; d < 2; d++) {
        int i = 0;
        while (i < MODALITIES && !dates[d].files.images[order[i]])
            i++;
        if (i == MODALITIES)
            return error_set(error, TS_BAD_INPUT, "'%s' holds no image to register",
                             dates[d].files.id);
        contrast[d] = order[i];
    }
    warn("the two dates have no image of one kind: %s and %s are registered",
         modality_names[contrast[0]], modality_names[contrast[1]]);
    return TS_OK;
}

static ts_status read_date(date *d, modality contrast, label_map map, ts_error *error)
{
    const char *path = d->files.images[contrast], *labels = d->files.labels;
    volume_header h;
    ts_status status = volume_read(path, &d->image, error);
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)voxel_count(d->image.header.shape);
    if (d->image.channels != 1)
        return error_set(error, TS_BAD_INPUT, "'%s' holds %lld volumes; a single one is needed",
                         path, (long long)d->image.channels);
    for (size_t i = 0; i < voxels; i++)
        if (!isfinite(d->image.data[i]))
            return error_set(error, TS_BAD_INPUT, "'%s' holds NaN or infinite voxels", path);
    status = predict_take_labels(labels, false, &map, error);
    if (status != TS_OK)
        return status;
    if (map == LABELS_AUTO)
        map = dataset_labels_by_name(labels);
    status = volume_read_labels(labels, &h, &d->labels, error);
    if (status == TS_OK)
        status = volume_turn_labels(&h, &d->labels, &d->image.header, NULL, error);
    if (status != TS_OK)
        return status;
    if (!volume_same_grid(&h, &d->image.header))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' and '%s' lie on different grids: give the labels of the images' "
                         "common grid",
                         path, labels);
    return labels_map(d->labels, voxels, map, true, labels, error);
}

/* The brain's mask beside the labels, or the image's voxels that are not 0 where it is stripped;
 * *mask NULL: neither. */
static ts_status find_brain(const date *d, uint8_t **mask, ts_error *error)
{
    const volume_header *h = &d->image.header;
    const size_t voxels = (size_t)voxel_count(h->shape);
    double litres, share;
    int64_t nonzero = 0;
    *mask = NULL;
    if (d->files.brain) {
        volume_header other;
        ts_status status = volume_read_labels(d->files.brain, &other, mask, error);
        if (status == TS_OK)
            status = volume_turn_labels(&other, mask, h, NULL, error);
        if (status == TS_OK && !volume_same_grid(&other, h))
            status = error_set(error, TS_BAD_INPUT, "'%s' lies on another grid than the labels",
                               d->files.brain);
        return status;
    }
    for (size_t i = 0; i < voxels; i++)
        nonzero += d->image.data[i] != 0;
    if (dataset_looks_unstripped(nonzero, h, &litres, &share))
        return TS_OK;
    *mask = memory_take(voxels, 1, "a brain mask", error);
    for (size_t i = 0; *mask && i < voxels; i++)
        (*mask)[i] = d->image.data[i] != 0;
    return *mask ? TS_OK : TS_MEMORY;
}

static ts_status measure_date(const date *d, measures *out, ts_error *error)
{
    uint8_t *brain;
    ts_status status = find_brain(d, &brain, error);
    if (status == TS_OK)
        status = measure_labels(&d->image.header, d->labels, brain, out, error);
    free(brain);
    return status;
}

/* ---- the picture ----------------------------------------------------------------------------- */

/* The second date's labels on the first's grid, from the nearest voxel: for looking at. */
static void place_labels(const date dates[2], const double transform[4][4], uint8_t *out)
{
    const volume_header *to = &dates[0].image.header, *from = &dates[1].image.header;
    double world[4][4], place[4][4];
    volume_affine_invert(from->affine, world);
    volume_affine_multiply(world, transform, place);
    volume_affine_multiply(place, to->affine, place);
    const int64_t *n = to->shape;
    for (int64_t i = 0; i < voxel_count(n); i++) {
        const double voxel[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]),
                                 (double)(i / n[0] / n[1])};
        const int64_t at = nearest_voxel(from->shape, place, voxel);
        out[i] = at < 0 ? 0 : dates[1].labels[at];
    }
}

static ts_status draw(const date dates[2], const comparison *c, const char *folder, pool *p,
                      ts_error *error)
{
    const volume_header *grid = &dates[0].image.header;
    const size_t voxels = (size_t)voxel_count(grid->shape);
    ts_status status = TS_MEMORY;
    uint8_t *labels = NULL;
    char *path = path_join(folder, "compare.png", error);
    float *image = path ? memory_allocate(voxels, sizeof *image, "a picture", error) : NULL;
    labels = image ? memory_allocate(voxels, 1, "a picture", error) : NULL;
    if (!labels)
        goto end;
    status = align_resample(&dates[1].image, c->found.transform, grid, p, image, error);
    if (status != TS_OK)
        goto end;
    place_labels(dates, c->found.transform, labels);
    const picture_date drawn[2] = {
        {dates[0].files.id, dates[0].image.data, dates[0].labels},
        {dates[1].files.id, image, labels},
    };
    char title[256];
    snprintf(title, sizeof title, "%s and %s, %s", dates[0].files.id, dates[1].files.id,
             modality_names[c->contrast[0]]);
    status = picture_dates(path, title, grid, drawn, error);
end:
    free(path);
    free(image);
    free(labels);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static ts_status open_dates(const compare_request *r, date dates[2], comparison *out,
                            ts_error *error)
{
    const char *const folders[2] = {r->before, r->after};
    ts_status status = TS_OK;
    for (int d = 0; status == TS_OK && d < 2; d++)
        status = compare_date_open(folders[d], &dates[d].files, error);
    if (status == TS_OK)
        status = choose_contrasts(dates, out->contrast, error);
    for (int d = 0; status == TS_OK && d < 2; d++) {
        status = read_date(&dates[d], out->contrast[d], r->labels, error);
        if (status == TS_OK)
            status = measure_date(&dates[d], &out->date[d], error);
    }
    return status;
}

static ts_status work(const compare_request *r, date dates[2], pool *p, comparison *out,
                      ts_error *error)
{
    ts_status status = open_dates(r, dates, out, error);
    if (status != TS_OK)
        return status;
    progress_show("registering %s to %s", dates[1].files.id, dates[0].files.id);
    status = align_rigid(&dates[0].image, &dates[1].image, p, &out->found, error);
    progress_clear();
    if (status != TS_OK)
        return status;
    status = match_lesions(&dates[0].image.header, &dates[1].image.header, out, error);
    if (status != TS_OK || !r->out)
        return status;
    status = directory_create(r->out, error);
    if (status == TS_OK)
        status = compare_write(out, r->out, error);
    return status == TS_OK ? draw(dates, out, r->out, p, error) : status;
}

ts_status compare_dates(const compare_request *r, pool *p, comparison *out, ts_error *error)
{
    date dates[2] = {0};
    *out = (comparison){0};
    const ts_status status = work(r, dates, p, out, error);
    for (int d = 0; d < 2; d++) {
        compare_date_free(&dates[d].files);
        volume_free(&dates[d].image);
        free(dates[d].labels);
    }
    return status;
}

void comparison_free(comparison *c)
{
    for (int d = 0; d < 2; d++) {
        measures_free(&c->date[d]);
        free(c->group_of[d]);
    }
    free(c->groups);
    *c = (comparison){0};
}

double compare_percent(double before, double after)
{
    return before > 0 ? 100 * (after - before) / before : NAN;
}

const char *compare_state(const compare_group *g)
{
    if (g->before == 0)
        return "new";
    if (g->after == 0)
        return "gone";
    if (g->before == 1)
        return g->after == 1 ? "the same" : "split";
    return g->after == 1 ? "merged" : "several";
}
