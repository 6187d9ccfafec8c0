/* The brain of a patient whose images are on one grid: of images that are stripped already, by a
 * mask of the user's, by a tool of the user's, or by the network of the program. */
#include "align/strip.h"
#include "align/tools.h"
#include "brain/brain.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

/* Which images are stripped already, and the mask of the first of them, the reference before the
 * others. */
static ts_status find_stripped(const strip_job *j, uint8_t *mask, modality_set *set,
                               ts_error *error)
{
    const int reference = (int)j->reference;
    const size_t voxels = (size_t)voxel_count(j->grid->shape);
    uint8_t *other = memory_take(voxels, 1, "a brain's mask", error);
    ts_status status = other ? TS_OK : TS_MEMORY;
    *set = 0;
    for (int k = 0; k < MODALITIES && status == TS_OK; k++) {
        const int m = k == 0 ? reference : k <= reference ? k - 1 : k;
        bool stripped = false;
        if (j->images[m])
            status = brain_if_stripped(j->grid, j->images[m], other, &stripped, error);
        if (status == TS_OK && stripped && !*set)
            memcpy(mask, other, voxels);
        *set |= stripped ? 1u << m : 0;
    }
    free(other);
    return status;
}

/* A file of the user's, on the grid of the reference's file, brought to the images' grid. */
static ts_status read_mask(const strip_job *j, uint8_t *mask, ts_error *error)
{
    static const double same[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const char *path = j->request->brain;
    const size_t voxels = (size_t)voxel_count(j->grid->shape);
    volume v;
    ts_status status = volume_read(path, &v, error);
    if (status != TS_OK)
        return status;
    float *share = NULL;
    if (v.channels != 1 || !volume_same_grid(&v.header, j->reference_grid))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' is not on the grid of the %s image, to which the others are "
                           "registered: make the mask on that one",
                           path, modality_names[j->reference]);
    for (int64_t i = 0; i < voxel_count(v.header.shape) && status == TS_OK; i++)
        v.data[i] = v.data[i] != 0;
    if (status == TS_OK && !(share = memory_take(voxels, sizeof *share, "a mask", error)))
        status = TS_MEMORY;
    if (status == TS_OK)
        status = align_resample(&v, same, j->grid, j->pool, share, error);
    bool any = false;
    for (size_t i = 0; i < voxels && status == TS_OK; i++) {
        mask[i] = share[i] >= 0.5f;
        any = any || mask[i];
    }
    if (status == TS_OK && !any)
        status =
            error_set(error, TS_BAD_INPUT, "'%s' is 0 everywhere: it is no brain's mask", path);
    free(share);
    volume_free(&v);
    return status;
}

/* All images vote. */
static ts_status find_brain(const strip_job *j, uint8_t *mask, ts_error *error)
{
    const float *images[MODALITIES];
    const char *names[MODALITIES];
    brain_finder *f;
    brain_found found;
    size_t count = 0;
    for (int m = 0; m < MODALITIES; m++)
        if (j->images[m]) {
            images[count] = j->images[m];
            names[count++] = j->request->input[m];
        }
    progress_show("finding the brain");
    ts_status status = brain_open(NULL, pool_threads(j->pool), &f, error);
    if (status != TS_OK)
        return status;
    status = brain_find(f, j->grid, images, names, count, mask, NULL, &found, error);
    brain_close(f);
    return status;
}

static double measure(const volume_header *grid, const uint8_t *mask)
{
    int64_t count = 0;
    for (int64_t i = 0; i < voxel_count(grid->shape); i++)
        count += mask[i];
    return (double)count * grid->zooms[0] * grid->zooms[1] * grid->zooms[2] / 1000;
}

/* *whole: there is nothing to cut away. */
static ts_status make_mask(const strip_job *j, align_brain *found, uint8_t **mask, bool *whole,
                           ts_error *error)
{
    const align_request *r = j->request;
    const float *head = j->images[j->reference];
    modality_set stripped, all = 0;
    ts_status status = find_stripped(j, *mask, &stripped, error);
    if (status != TS_OK)
        return status;
    for (int m = 0; m < MODALITIES; m++)
        all |= j->images[m] ? 1u << m : 0;
    const bool none = r->brain && !strcmp(r->brain, "none");
    if (none && stripped != all) {
        found->source = ALIGN_BRAIN_LEFT;
        return TS_OK;
    }
    if (r->brain && !none) {
        found->source = ALIGN_BRAIN_GIVEN;
        return read_mask(j, *mask, error);
    }
    if (stripped) {
        char some[24], rest[24];
        found->source = ALIGN_BRAIN_STRIPPED;
        if (stripped != all)
            note("skull-stripped already: %s; not so: %s, which are cut to the same brain",
                 modality_print(stripped, some), modality_print(all & ~stripped, rest));
        *whole = stripped == all;
        return TS_OK;
    }
    if (!r->skull_strip) {
        found->source = ALIGN_BRAIN_FOUND;
        return find_brain(j, *mask, error);
    }
    found->source = ALIGN_BRAIN_TOOL;
    progress_show("skull stripping: %s", r->skull_strip);
    free(*mask);
    *mask = NULL;
    return skull_strip(r->skull_strip, j->scratch, j->grid, head, mask, error);
}

ts_status strip_images(const strip_job *j, align_brain *found, uint8_t **mask, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(j->grid->shape);
    bool whole = false;
    *found = (align_brain){0};
    *mask = memory_allocate(voxels, 1, "a brain's mask", error);
    ts_status status = *mask ? make_mask(j, found, mask, &whole, error) : TS_MEMORY;
    if (status != TS_OK || found->source == ALIGN_BRAIN_LEFT) {
        free(*mask);
        *mask = NULL;
        return status;
    }
    found->millilitres = measure(j->grid, *mask);
    for (int m = 0; m < MODALITIES; m++)
        for (size_t i = 0; j->images[m] && !whole && i < voxels; i++)
            j->images[m][i] = (*mask)[i] ? j->images[m][i] : 0;
    return TS_OK;
}
