/* Volumes and labels of twinseg.h. */
#include "api/api.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ts_free(void *memory)
{
    free(memory);
}

static ts_grid grid_of(const volume_header *h)
{
    ts_grid g;
    for (int i = 0; i < 3; i++) {
        g.shape[i] = h->shape[i];
        g.spacing_mm[i] = h->zooms[i];
    }
    memcpy(g.affine, h->affine, sizeof g.affine);
    return g;
}

ts_status api_header(const ts_grid *grid, volume_header *header, size_t *voxels, ts_error *error)
{
    double spacing[3];
    const bool given =
        grid->spacing_mm[0] != 0 || grid->spacing_mm[1] != 0 || grid->spacing_mm[2] != 0;
    int64_t count;
    const int64_t *n = grid->shape;
    if (!voxel_count_checked(n, INT64_MAX / 64, &count))
        return error_set(error, TS_BAD_INPUT,
                         "the image has %s voxels: its shape is %lldx%lldx%lld",
                         n[0] < 1 || n[1] < 1 || n[2] < 1 ? "no" : "too many", (long long)n[0],
                         (long long)n[1], (long long)n[2]);
    *voxels = (size_t)count;
    for (int i = 0; i < 3; i++) {
        const double(*a)[4] = grid->affine;
        spacing[i] = given ? grid->spacing_mm[i]
                           : sqrt(a[0][i] * a[0][i] + a[1][i] * a[1][i] + a[2][i] * a[2][i]);
    }
    if (voxel_sizes_check(spacing, "grid", error) != TS_OK)
        return TS_BAD_INPUT;
    *header = volume_header_make(grid->shape, spacing, grid->affine);
    return TS_OK;
}

ts_status ts_volume_read(const char *path, ts_grid *grid, int64_t *volumes, float **data,
                         ts_error *error)
{
    volume v;
    const ts_status status = volume_read(path, &v, error);
    *data = NULL;
    if (status != TS_OK)
        return status;
    *grid = grid_of(&v.header);
    *volumes = v.channels;
    *data = v.data; /* allocated by itself: ts_free may have it */
    return TS_OK;
}

ts_status ts_labels_read(const char *path, ts_grid *grid, uint8_t **labels, ts_error *error)
{
    volume_header h;
    const ts_status status = volume_read_labels(path, &h, labels, error);
    if (status == TS_OK)
        *grid = grid_of(&h);
    return status;
}

static ts_status check_name(const char *path, ts_error *error)
{
    if (volume_extension(path))
        return TS_OK;
    return error_set(error, TS_BAD_INPUT, "'%s' must end in .nii or .nii.gz", path);
}

ts_status ts_volume_write(const char *path, const ts_grid *grid, int64_t volumes, const float *data,
                          ts_error *error)
{
    volume_header h;
    size_t voxels;
    ts_status status = check_name(path, error);
    if (status != TS_OK)
        return status;
    status = api_header(grid, &h, &voxels, error);
    if (status != TS_OK)
        return status;
    if (volumes < 1)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' cannot hold %lld volumes: at least one is needed", path,
                         (long long)volumes);
    return volume_write_float(path, &h, volumes, data, error);
}

ts_status ts_labels_write(const char *path, const ts_grid *grid, const uint8_t *labels,
                          ts_error *error)
{
    volume_header h;
    size_t voxels;
    ts_status status = check_name(path, error);
    if (status != TS_OK)
        return status;
    status = api_header(grid, &h, &voxels, error);
    return status == TS_OK ? volume_write_labels(path, &h, labels, error) : status;
}
