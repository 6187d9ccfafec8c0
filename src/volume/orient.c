/* Orientation by flips and permutations alone: exact, and undone on writing. */
#include "volume/volume.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool volume_affine_possible(const double a[4][4])
{
    double lengths = 1, determinant = 0;
    for (int k = 0; k < 3; k++) {
        const int u = (k + 1) % 3, v = (k + 2) % 3;
        if (!isfinite(a[k][3]))
            return false;
        lengths *= sqrt(a[0][k] * a[0][k] + a[1][k] * a[1][k] + a[2][k] * a[2][k]);
        determinant += a[0][k] * (a[1][u] * a[2][v] - a[1][v] * a[2][u]);
    }
    return fabs(determinant) > 1e-3 * lengths; /* false for NaN */
}

void volume_affine_multiply(const double a[4][4], const double b[4][4], double out[4][4])
{
    double product[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            product[i][j] = 0;
            for (int k = 0; k < 4; k++)
                product[i][j] += a[i][k] * b[k][j];
        }
    memcpy(out, product, sizeof product);
}

/* By cofactors. */
void volume_affine_invert(const double a[4][4], double out[4][4])
{
    double inverse[4][4] = {{0}, {0}, {0}, {0, 0, 0, 1}}, determinant = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int r0 = (i + 1) % 3, r1 = (i + 2) % 3, c0 = (j + 1) % 3, c1 = (j + 2) % 3;
            inverse[j][i] = a[r0][c0] * a[r1][c1] - a[r0][c1] * a[r1][c0];
            determinant += i == 0 ? a[0][j] * inverse[j][i] : 0;
        }
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            inverse[i][j] /= determinant;
        for (int j = 0; j < 3; j++)
            inverse[i][3] -= inverse[i][j] * a[j][3];
    }
    memcpy(out, inverse, sizeof inverse);
}

/* The permutation of axes whose columns point best along L, P, S: the greatest sum of |cosine|. */
volume_orientation volume_orientation_lps(const double affine[4][4])
{
    static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    double length[3], best = -1;
    volume_orientation o = {{0, 1, 2}, {false, false, false}};
    for (int j = 0; j < 3; j++) {
        const double l = sqrt(affine[0][j] * affine[0][j] + affine[1][j] * affine[1][j] +
                              affine[2][j] * affine[2][j]);
        length[j] = l > 0 ? l : 1;
    }
    for (int p = 0; p < 6; p++) {
        double sum = 0;
        for (int i = 0; i < 3; i++)
            sum += fabs(affine[i][permutations[p][i]]) / length[permutations[p][i]];
        if (sum > best + 1e-9) {
            best = sum;
            memcpy(o.axis, permutations[p], sizeof o.axis);
        }
    }
    for (int i = 0; i < 3; i++) {
        const double along = affine[i][o.axis[i]]; /* towards R, A, S where positive */
        o.flip[i] = i < 2 ? along > 0 : along < 0;
    }
    return o;
}

/* Walks over the oriented grid and gives for every voxel its place in the file's. */
typedef struct {
    int64_t shape[3], start, step[3];
} walk;

static walk make_walk(const int64_t file_shape[3], volume_orientation o)
{
    const int64_t strides[3] = {1, file_shape[0], file_shape[0] * file_shape[1]};
    walk w = {.start = 0};
    for (int i = 0; i < 3; i++) {
        w.shape[i] = file_shape[o.axis[i]];
        w.step[i] = o.flip[i] ? -strides[o.axis[i]] : strides[o.axis[i]];
        w.start += o.flip[i] ? (w.shape[i] - 1) * strides[o.axis[i]] : 0;
    }
    return w;
}

/* Copies between the oriented array and the file's, either way. */
static void copy_oriented(const walk *w, uint8_t *oriented, uint8_t *file, size_t bytes, bool back)
{
    for (int64_t z = 0; z < w->shape[2]; z++)
        for (int64_t y = 0; y < w->shape[1]; y++) {
            int64_t at = w->start + z * w->step[2] + y * w->step[1];
            for (int64_t x = 0; x < w->shape[0]; x++, at += w->step[0], oriented += bytes) {
                uint8_t *other = file + (size_t)at * bytes;
                memcpy(back ? other : oriented, back ? oriented : other, bytes);
            }
        }
}

void volume_reorient(const void *in, const int64_t shape_in[3], volume_orientation o,
                     size_t element_bytes, void *out)
{
    const walk w = make_walk(shape_in, o);
    copy_oriented(&w, out, (uint8_t *)(uintptr_t)in, element_bytes, false); /* in is only read */
}

void volume_reorient_back(const void *in, const int64_t shape_out[3], volume_orientation o,
                          size_t element_bytes, void *out)
{
    const walk w = make_walk(shape_out, o);
    copy_oriented(&w, (uint8_t *)(uintptr_t)in, out, element_bytes, true);
}

volume_header volume_turned_header(const volume_header *h, volume_orientation o)
{
    volume_header t = *h;
    for (int i = 0; i < 3; i++) {
        const int axis = o.axis[i];
        t.shape[i] = h->shape[axis];
        t.zooms[i] = h->zooms[axis];
        for (int r = 0; r < 3; r++) {
            t.affine[r][i] = o.flip[i] ? -h->affine[r][axis] : h->affine[r][axis];
            if (o.flip[i])
                t.affine[r][3] += h->affine[r][axis] * (double)(h->shape[axis] - 1);
        }
    }
    return t;
}

bool volume_same_space(const volume_header *a, const volume_header *b)
{
    const volume_header x = volume_turned_header(a, volume_orientation_lps(a->affine));
    const volume_header y = volume_turned_header(b, volume_orientation_lps(b->affine));
    return volume_same_grid(&x, &y);
}

ts_status volume_turn(const volume_header *from, const void *voxels, size_t element_bytes,
                      const volume_header *to, void **out, ts_error *error)
{
    const size_t count = (size_t)voxel_count(from->shape);
    void *oriented = memory_take(count, element_bytes, "an image to turn", error);
    *out = oriented ? memory_take(count, element_bytes, "an image to turn", error) : NULL;
    if (*out) {
        volume_reorient(voxels, from->shape, volume_orientation_lps(from->affine), element_bytes,
                        oriented);
        volume_reorient_back(oriented, to->shape, volume_orientation_lps(to->affine), element_bytes,
                             *out);
    }
    free(oriented);
    return *out ? TS_OK : TS_MEMORY;
}

ts_status volume_turn_labels(volume_header *h, uint8_t **labels, const volume_header *like,
                             bool *turned, ts_error *error)
{
    void *out;
    const bool turn = !volume_same_grid(h, like) && volume_same_space(h, like);
    if (turned)
        *turned = turn;
    if (!turn)
        return TS_OK;
    const ts_status status = volume_turn(h, *labels, 1, like, &out, error);
    if (status != TS_OK)
        return status;
    free(*labels);
    *labels = out;
    *h = *like;
    return TS_OK;
}
