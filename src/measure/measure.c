/* Volumes, and each lesion's place, side and size. The labels are turned to left, posterior,
 * superior, so that the third axis counts the slices that are nearest to axial. */
#include "measure/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* RANO (Wen et al. 2010): two perpendicular diameters of at least 10 mm, on two or more axial
 * slices; of slices thicker than 5 mm twice their thickness. */
static const double least_mm = 10, thick_mm = 5;
static const double other_side = 0.1; /* share of a lesion that makes it cross the midline */

typedef struct {
    const volume_header *file;
    volume_header turned;
    volume_orientation orientation;
    uint8_t *labels; /* turned */
    components c;    /* of the tumour core */
    double voxel_ml;
    measures *out;
} work;

/* ---- volumes and the midline ----------------------------------------------------------------- */

static double determinant(const double a[4][4])
{
    double sum = 0;
    for (int k = 0; k < 3; k++)
        sum += a[0][k] *
               (a[1][(k + 1) % 3] * a[2][(k + 2) % 3] - a[1][(k + 2) % 3] * a[2][(k + 1) % 3]);
    return sum;
}

static void measure_volumes(work *w)
{
    int64_t counts[LABELS] = {0};
    for (size_t i = 0; i < (size_t)voxel_count(w->turned.shape); i++)
        counts[w->labels[i] < LABELS ? w->labels[i] : LABEL_BACKGROUND]++;
    for (int label = 1; label < LABELS; label++) {
        w->out->label_ml[label] = (double)counts[label] * w->voxel_ml;
        for (int r = 0; r < REGIONS; r++)
            w->out->region_ml[r] += region_holds(r, label) ? w->out->label_ml[label] : 0;
    }
}

/* x in the world of the mean of the brain's voxels, else of the grid's middle. */
static void find_midline(const work *w, const uint8_t *brain)
{
    const int64_t *n = w->file->shape;
    const double(*a)[4] = w->file->affine;
    double sum[3] = {0}, count = 0, at[3];
    for (int64_t z = 0, i = 0; brain && z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, i++)
                if (brain[i]) {
                    sum[0] += (double)x;
                    sum[1] += (double)y;
                    sum[2] += (double)z;
                    count++;
                }
    w->out->midline_of_brain = count > 0;
    for (int k = 0; k < 3; k++)
        at[k] = count > 0 ? sum[k] / count : (double)(n[k] - 1) / 2;
    w->out->midline_mm = a[0][0] * at[0] + a[0][1] * at[1] + a[0][2] * at[2] + a[0][3];
}

/* ---- one lesion ------------------------------------------------------------------------------ */

/* The centre, the sides, and the volumes of component `number`. */
static void place_lesion(const work *w, int32_t number, measure_lesion *l)
{
    const voxel_box *b = &w->c.all[number].box;
    const int64_t *n = w->turned.shape;
    const double(*a)[4] = w->turned.affine;
    double sum[3] = {0}, core = 0, enhancing = 0, right = 0;
    for (int64_t z = b->low[2]; z <= b->high[2]; z++)
        for (int64_t y = b->low[1]; y <= b->high[1]; y++)
            for (int64_t x = b->low[0]; x <= b->high[0]; x++) {
                const int64_t i = (z * n[1] + y) * n[0] + x;
                if (w->c.numbers[i] != number)
                    continue;
                const double at =
                    a[0][0] * (double)x + a[0][1] * (double)y + a[0][2] * (double)z + a[0][3];
                sum[0] += (double)x;
                sum[1] += (double)y;
                sum[2] += (double)z;
                right += at > w->out->midline_mm;
                enhancing += w->labels[i] == LABEL_ET;
                core++;
            }
    for (int k = 0; k < 3; k++) {
        const int axis = w->orientation.axis[k];
        const double middle = sum[k] / core, last = (double)(n[k] - 1);
        l->centre_voxel[axis] = w->orientation.flip[k] ? last - middle : middle;
        l->centre_mm[k] = a[k][3];
        for (int j = 0; j < 3; j++)
            l->centre_mm[k] += a[k][j] * sum[j] / core;
    }
    l->et_ml = enhancing * w->voxel_ml;
    l->core_ml = core * w->voxel_ml;
    l->right = l->centre_mm[0] > w->out->midline_mm;
    l->crosses_midline = (l->right ? core - right : right) >= other_side * core;
}

static bool is_measurable(const measure_lesion *l, double slice_mm)
{
    const double least = slice_mm > thick_mm ? fmax(least_mm, 2 * slice_mm) : least_mm;
    return l->axial.mm >= least && l->perpendicular.mm >= least && l->slices >= 2;
}

static ts_status measure_diameters(const work *w, int32_t number, measure_lesion *l,
                                   ts_error *error)
{
    const voxel_box *box = &w->c.all[number].box;
    lesion_box b = {0};
    box_shape(box, b.shape);
    const size_t voxels = (size_t)voxel_count(b.shape);
    uint8_t *masks = memory_allocate(voxels, 2, "a lesion", error), *et;
    if (!masks)
        return TS_MEMORY;
    et = masks + voxels;
    memcpy(b.affine, w->turned.affine, sizeof b.affine);
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++)
            b.affine[k][3] += w->turned.affine[k][j] * (double)box->low[j];
    box_cut(w->labels, w->turned.shape, box, NULL, et);
    for (int64_t z = 0, i = 0; z < b.shape[2]; z++)
        for (int64_t y = 0; y < b.shape[1]; y++) {
            const int32_t *row = w->c.numbers + box_row(box, w->turned.shape, y, z);
            for (int64_t x = 0; x < b.shape[0]; x++, i++) {
                masks[i] = row[x] == number;
                et[i] = masks[i] && et[i] == LABEL_ET;
            }
        }
    b.core = masks;
    b.et = et;
    ts_status status = diameters_axial(&b, l, error);
    if (status == TS_OK)
        status = diameter_longest(&b, l, error);
    free(masks);
    l->slice += box->low[2];
    if (w->orientation.flip[2])
        l->slice = w->turned.shape[2] - 1 - l->slice;
    l->measurable = is_measurable(l, w->out->slice_mm);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

typedef struct {
    double et_ml;
    int32_t number;
} ranked;

/* Most enhancing tumour first, then the order of first voxels. */
static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->et_ml != y->et_ml)
        return x->et_ml < y->et_ml ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static void number_voxels(const work *w, const ranked *order, size_t count, int32_t *of_component)
{
    int32_t *turned = w->c.numbers;
    memset(of_component, 0, ((size_t)w->c.count + 1) * sizeof *of_component);
    for (size_t i = 0; i < count; i++)
        of_component[order[i].number] = (int32_t)i + 1;
    for (size_t i = 0; i < (size_t)voxel_count(w->turned.shape); i++)
        turned[i] = of_component[turned[i]];
    volume_reorient_back(turned, w->file->shape, w->orientation, sizeof *turned, w->out->numbers);
}

static int compare_falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Of up to five measurable lesions, those of the largest products. */
static ts_status sum_products(measures *m, ts_error *error)
{
    double *products = memory_allocate(m->count + 1, sizeof *products, "the lesions", error);
    size_t count = 0;
    if (!products)
        return TS_MEMORY;
    for (size_t i = 0; i < m->count; i++)
        if (m->lesions[i].measurable)
            products[count++] = m->lesions[i].product_mm2;
    qsort(products, count, sizeof *products, compare_falling);
    for (size_t i = 0; i < count && i < MEASURE_TARGETS; i++)
        m->sum_of_products_mm2 += products[i];
    free(products);
    return TS_OK;
}

static ts_status measure_lesions(work *w, ts_error *error)
{
    measures *m = w->out;
    ts_status status = TS_MEMORY;
    measure_lesion *found = NULL;
    ranked *order = memory_allocate((size_t)w->c.count + 1, sizeof *order, "the lesions", error);
    int32_t *numbers =
        order ? memory_allocate((size_t)w->c.count + 1, sizeof *numbers, "the lesions", error)
              : NULL;
    if (numbers)
        found = memory_allocate((size_t)w->c.count + 1, sizeof *found, "the lesions", error);
    if (!found)
        goto end;
    m->lesions = memory_allocate((size_t)w->c.count + 1, sizeof *found, "the lesions", error);
    if (!m->lesions)
        goto end;
    for (int32_t k = 1; k <= w->c.count; k++) {
        place_lesion(w, k, &found[k]);
        if (found[k].et_ml > 0)
            order[m->count++] = (ranked){found[k].et_ml, k};
    }
    qsort(order, m->count, sizeof *order, compare_ranked);
    status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < m->count; i++) {
        m->lesions[i] = found[order[i].number];
        status = measure_diameters(w, order[i].number, &m->lesions[i], error);
    }
    if (status == TS_OK)
        status = sum_products(m, error);
    if (status == TS_OK)
        number_voxels(w, order, m->count, numbers);
end:
    free(order);
    free(numbers);
    free(found);
    return status;
}

static ts_status find_lesions(work *w, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(w->turned.shape);
    uint8_t *core = memory_take(voxels, 1, "the tumour core", error);
    if (!core)
        return TS_MEMORY;
    for (size_t i = 0; i < voxels; i++)
        core[i] = region_holds(REGION_TC, w->labels[i]);
    ts_status status = components_find(core, w->turned.shape, &w->c, error);
    free(core);
    if (status == TS_OK)
        status = measure_lesions(w, error);
    components_free(&w->c);
    return status;
}

ts_status measure_labels(const volume_header *h, const uint8_t *labels, const uint8_t *brain,
                         measures *out, ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(h->shape);
    work w = {.file = h, .orientation = volume_orientation_lps(h->affine), .out = out};
    *out = (measures){0};
    if (!volume_affine_possible(h->affine))
        return error_set(error, TS_BAD_INPUT,
                         "the header does not place the voxels in space (the affine is singular), "
                         "so nothing can be measured");
    w.turned = volume_turned_header(h, w.orientation);
    w.voxel_ml = fabs(determinant(h->affine)) / 1000;
    out->axial_axis = w.orientation.axis[2];
    /* across the slices: the volume of a voxel over its area in the plane */
    const double(*a)[4] = w.turned.affine;
    double area = 0;
    for (int k = 0; k < 3; k++) {
        const int u = (k + 1) % 3, v = (k + 2) % 3;
        area += pow(a[u][0] * a[v][1] - a[v][0] * a[u][1], 2);
    }
    out->slice_mm = w.voxel_ml * 1000 / sqrt(area);
    out->numbers = memory_allocate(voxels, sizeof *out->numbers, "the lesions", error);
    w.labels = out->numbers ? memory_take(voxels, 1, "the labels", error) : NULL;
    if (!w.labels)
        return TS_MEMORY;
    volume_reorient(labels, h->shape, w.orientation, 1, w.labels);
    measure_volumes(&w);
    find_midline(&w, brain);
    const ts_status status = find_lesions(&w, error);
    free(w.labels);
    return status;
}

void measures_free(measures *m)
{
    free(m->lesions);
    free(m->numbers);
    *m = (measures){0};
}

const char *measure_side(const measure_lesion *l)
{
    static const char *const words[2][2] = {{"left", "left, crosses the midline"},
                                            {"right", "right, crosses the midline"}};
    return words[l->right][l->crosses_midline];
}
