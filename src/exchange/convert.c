/* Data sets from one layout into another. An image that is one 3-D .nii.gz is copied byte for
 * byte; others are written anew, as int16 where every voxel is such a number, else as float32. A
 * truth is written anew on its images' grid, with the values of the new layout. */
#include "exchange/layouts.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one file ------------------------------------------------------------------------------ */

static bool all_int16(const float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(data[i] >= INT16_MIN && data[i] <= INT16_MAX) || data[i] != rintf(data[i]))
            return false;
    return true;
}

/* data: [channels][nz][ny][nx]. */
static ts_status write_image(const char *path, const volume_header *h, int channels,
                             const float *data, ts_error *error)
{
    const size_t count = (size_t)channels * (size_t)voxel_count(h->shape);
    if (!all_int16(data, count))
        return volume_write_float(path, h, channels, data, error);
    int16_t *whole = memory_allocate(count, sizeof *whole, path, error);
    if (!whole)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        whole[i] = (int16_t)data[i];
    const ts_status status = volume_write_int16(path, h, channels, whole, error);
    free(whole);
    return status;
}

static ts_status copy_file(const char *from, const char *to, ts_error *error)
{
    file_map map;
    ts_status status = file_map_open(from, &map, error);
    if (status != TS_OK)
        return status;
    status = file_put(to, map.bytes, map.count, error);
    file_map_close(&map);
    return status;
}

/* The volume of modality m appended at `out` (as many floats as grid has voxels). */
static ts_status read_channel(const dataset_case *c, modality m, const volume_header *grid,
                              float *out, ts_error *error)
{
    volume v;
    ts_status status = volume_read(c->image[m], &v, error);
    if (status != TS_OK)
        return status;
    if (c->channel[m] >= v.channels || !volume_same_grid(grid, &v.header))
        status = error_set(error, TS_BAD_INPUT, "'%s' changed while it was read", c->image[m]);
    else
        memcpy(out, v.data + (size_t)c->channel[m] * (size_t)voxel_count(grid->shape),
               (size_t)voxel_count(grid->shape) * sizeof *out);
    volume_free(&v);
    return status;
}

/* ---- one case ------------------------------------------------------------------------------ */

typedef struct {
    const dataset_case *c;
    exchange_layout to;
    modality_set use; /* of this case */
    const char *out;
    volume_header grid;
    bool single[MODALITIES]; /* modality m has a 3-D file of its own */
    bool cavity_lost;
} conversion;

/* One file of the case to be written: modality m's, with MSD that of all, or the truth. */
typedef struct {
    conversion *at;
    int role;
} file_job;

enum { ROLE_ALL = MODALITIES, ROLE_TRUTH };

static ts_status write_one(const conversion *at, modality m, const char *path, ts_error *error)
{
    if (at->single[m] && string_ends_nocase(at->c->image[m], ".nii.gz"))
        return copy_file(at->c->image[m], path, error);
    float *data = memory_allocate((size_t)voxel_count(at->grid.shape), sizeof *data, path, error);
    ts_status status = data ? read_channel(at->c, m, &at->grid, data, error) : TS_MEMORY;
    if (status == TS_OK)
        status = write_image(path, &at->grid, 1, data, error);
    free(data);
    return status;
}

static ts_status write_all(const conversion *at, const char *path, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(at->grid.shape);
    float *data =
        memory_allocate((size_t)modality_count(at->use) * voxels, sizeof *data, path, error);
    ts_status status = data ? TS_OK : TS_MEMORY;
    int count = 0;
    for (int i = 0; status == TS_OK && i < MODALITIES; i++) {
        const modality m = layout_channels(at->to)[i];
        if (at->use >> m & 1)
            status = read_channel(at->c, m, &at->grid, data + (size_t)count++ * voxels, error);
    }
    if (status == TS_OK)
        status = write_image(path, &at->grid, count, data, error);
    free(data);
    return status;
}

/* BraTS's files from 2023 on have a value for the resection cavity, which is read as one where the
 * case's name says so. */
static bool keeps_cavity(const conversion *at)
{
    return at->to == LAYOUT_BRATS2023 && dataset_labels_by_name(at->c->id) == LABELS_BRATS2024;
}

/* The truth on its images' grid: turned where its axes run otherwise, else voxel by voxel. */
static ts_status read_truth(const conversion *at, volume_header *header, uint8_t **labels,
                            ts_error *error)
{
    ts_status status = volume_read_labels(at->c->truth, header, labels, error);
    if (status == TS_OK)
        status = volume_turn_labels(header, labels, &at->grid, NULL, error);
    if (status != TS_OK)
        return status;
    for (int i = 0; i < 3; i++)
        if (header->shape[i] != at->grid.shape[i])
            return error_set(error, TS_BAD_INPUT, "'%s' does not have the shape of its images",
                             at->c->truth);
    if (!volume_same_grid(header, &at->grid))
        note("case %s: its truth lies elsewhere by its header; it is taken voxel by voxel and "
             "written on its images' grid",
             at->c->id);
    return TS_OK;
}

static ts_status write_truth(conversion *at, const char *path, ts_error *error)
{
    volume_header header;
    uint8_t *labels = NULL;
    ts_status status = read_truth(at, &header, &labels, error);
    if (status != TS_OK)
        goto done;
    const size_t voxels = (size_t)voxel_count(header.shape);
    const bool has_cavity =
        at->c->labels == LABELS_BRATS2024 && memchr(labels, LABEL_RC, voxels) != NULL;
    const bool keeps = has_cavity && keeps_cavity(at);
    at->cavity_lost = has_cavity && !keeps;
    status = labels_map(labels, voxels, keeps ? LABELS_CAVITY : at->c->labels, true, at->c->truth,
                        error);
    if (status != TS_OK)
        goto done;
    labels_unmap(labels, voxels, layout_labels(at->to)); /* the cavity stays 4 */
    status = volume_write_labels(path, &at->grid, labels, error);
done:
    free(labels);
    return status;
}

static ts_status write_file(void *context, int64_t index, int thread, ts_error *error)
{
    (void)thread;
    const file_job *job = (const file_job *)context + index;
    conversion *at = job->at;
    const modality m = job->role < MODALITIES ? (modality)job->role : T1;
    char *path = job->role == ROLE_TRUTH ? layout_truth_path(at->to, at->out, at->c)
                                         : layout_image_path(at->to, at->out, at->c, at->use, m);
    if (!path)
        return error_set(error, TS_MEMORY, "out of memory");
    const ts_status status = job->role == ROLE_TRUTH ? write_truth(at, path, error)
                             : job->role == ROLE_ALL ? write_all(at, path, error)
                                                     : write_one(at, m, path, error);
    free(path);
    return status;
}

/* The headers of the images: all on one grid, which is the case's. */
static ts_status read_grid(conversion *at, ts_error *error)
{
    const char *first = NULL;
    for (int m = 0; m < MODALITIES; m++) {
        volume_header h;
        if (!(at->use >> m & 1))
            continue;
        const char *path = at->c->image[m];
        const ts_status status = volume_read_header(path, &h, error);
        if (status != TS_OK)
            return status;
        if (at->c->channel[m] >= h.shape[3])
            return error_set(error, TS_BAD_INPUT, "'%s' holds %lld volumes; %s should be number %d",
                             path, (long long)h.shape[3], modality_names[m], at->c->channel[m] + 1);
        if (first && !volume_same_grid(&at->grid, &h))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' and '%s' differ in grid: register and resample them first", path,
                             first);
        at->single[m] = h.dimensions == 3;
        if (!first)
            at->grid = h;
        first = first ? first : path;
    }
    return TS_OK;
}

static ts_status convert_case(conversion *at, pool *p, ts_error *error)
{
    file_job jobs[MODALITIES + 2];
    int count = 0;
    ts_status status = read_grid(at, error);
    if (status == TS_OK)
        status = layout_make_folders(at->to, at->out, at->c, error);
    if (status != TS_OK)
        return status;
    if (at->to == LAYOUT_MSD)
        jobs[count++] = (file_job){.at = at, .role = ROLE_ALL};
    for (int m = 0; at->to != LAYOUT_MSD && m < MODALITIES; m++)
        if (at->use >> m & 1)
            jobs[count++] = (file_job){.at = at, .role = m};
    if (at->c->truth)
        jobs[count++] = (file_job){.at = at, .role = ROLE_TRUTH};
    ts_error cause;
    status = pool_run_status(p, write_file, jobs, count, &cause);
    return status == TS_OK ? TS_OK : error_set(error, status, "case %s: %s", at->c->id, cause.text);
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* What can be told before anything is written. */
static ts_status check(const dataset *d, exchange_layout to, modality_set use, const char *out,
                       ts_error *error)
{
    string_list inside = {0};
    if (file_exists(out)) {
        const ts_status status = directory_list(out, &inside, error);
        const size_t count = inside.count;
        string_list_free(&inside);
        if (status != TS_OK)
            return status;
        if (count)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' is not empty: give a new folder (what an interrupted conversion "
                             "left is to be removed first)",
                             out);
    }
    const ts_status place = dataset_check_place(d, out, error);
    if (place != TS_OK)
        return place;
    for (size_t i = 0; i < d->count; i++) {
        const dataset_case *c = &d->cases[i];
        char lacking[24];
        const modality_set missing = use & ~dataset_case_modalities(c);
        if (missing == use || (missing && layout_has_description(to)))
            return error_set(error, TS_BAD_INPUT,
                             "case %s lacks %s, and %s: say with --modalities which to take, or "
                             "move the case out",
                             c->id, modality_print(missing, lacking),
                             missing == use ? "nothing of it would be left"
                                            : "this layout needs the same channels for every case");
        const label_map by_name = dataset_labels_by_name(c->id);
        if (c->truth && to == LAYOUT_BRATS2021 &&
            (by_name == LABELS_BRATS2024 || by_name == LABELS_PED_AUTO))
            return error_set(error, TS_BAD_INPUT,
                             "case %s is by its name of a challenge where 4 is %s: brats2021's 4 "
                             "(enhancing tumour) would be misread; convert it to brats2023",
                             c->id,
                             by_name == LABELS_PED_AUTO ? "the edema" : "the resection cavity");
    }
    return TS_OK;
}

ts_status exchange_convert(const dataset *d, exchange_layout to, modality_set use, const char *out,
                           pool *p, exchange_counts *counts, ts_error *error)
{
    modality_set present = 0;
    *counts = (exchange_counts){0};
    for (size_t i = 0; i < d->count; i++)
        present |= dataset_case_modalities(&d->cases[i]);
    if (!(use &= present))
        return error_set(error, TS_BAD_INPUT, "no case of '%s' has any of these modalities",
                         d->path);
    ts_status status = check(d, to, use, out, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < d->count; i++) {
        const dataset_case *c = &d->cases[i];
        conversion at = {.c = c, .to = to, .use = use & dataset_case_modalities(c), .out = out};
        if (interrupt_requested()) {
            status = error_set(error, TS_STOPPED, "stopped after %zu of %zu cases", i, d->count);
            break;
        }
        progress_show("case %zu of %zu: %s", i + 1, d->count, c->id);
        status = convert_case(&at, p, error);
        counts->cases += status == TS_OK;
        counts->with_truth += status == TS_OK && c->truth;
        counts->cavities += at.cavity_lost;
        counts->ambiguous +=
            c->truth && to == LAYOUT_BRATS2023 && dataset_labels_by_name(c->id) == LABELS_PED_AUTO;
    }
    progress_end();
    if (status == TS_OK && layout_has_description(to))
        status = layout_write_description(to, out, d, use, error);
    return status;
}
