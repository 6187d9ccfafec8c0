/* Lesions that overlap after registration, or come within 2 mm (what a rigid transform leaves of a
 * brain that has shifted), are joined; the groups that arise are what is compared. */
#include "compare/match.h"
#include "voxels/voxels.h"

#include <math.h>
#include <string.h>
#include <stdlib.h>

static const double reach_mm = 2;

/* Lesions of both dates in one list: those of the second date behind those of the first. */
static size_t find_root(size_t *parents, size_t i)
{
    while (parents[i] != i)
        i = parents[i] = parents[parents[i]];
    return i;
}

static void join(size_t *parents, size_t i, size_t j)
{
    i = find_root(parents, i);
    j = find_root(parents, j);
    parents[i > j ? i : j] = i > j ? j : i;
}

/* Looks from every voxel of the second date's lesions at the first date, there and `reach_mm`
 * beside it along each axis of the world. */
static void join_touching(const volume_header *before, const volume_header *after,
                          const comparison *c, size_t *parents)
{
    static const int8_t beside[7][3] = {{0, 0, 0},  {1, 0, 0}, {-1, 0, 0}, {0, 1, 0},
                                        {0, -1, 0}, {0, 0, 1}, {0, 0, -1}};
    double back[4][4], to_world[4][4], to_voxel[4][4];
    const int64_t *n = after->shape;
    const size_t first = c->date[0].count;
    volume_affine_invert(c->found.transform, back);
    volume_affine_multiply(back, after->affine, to_world);
    volume_affine_invert(before->affine, to_voxel);
    for (int64_t i = 0; i < voxel_count(n); i++) {
        const int32_t number = c->date[1].numbers[i];
        if (!number)
            continue;
        const double x = (double)(i % n[0]), y = (double)(i / n[0] % n[1]),
                     z = (double)(i / n[0] / n[1]);
        for (int b = 0; b < 7; b++) {
            double place[3];
            for (int k = 0; k < 3; k++)
                place[k] = to_world[k][0] * x + to_world[k][1] * y + to_world[k][2] * z +
                           to_world[k][3] + reach_mm * beside[b][k];
            const int64_t at = nearest_voxel(before->shape, to_voxel, place);
            const int32_t other = at < 0 ? 0 : c->date[0].numbers[at];
            if (other)
                join(parents, (size_t)other - 1, first + (size_t)number - 1);
        }
    }
}

static int compare_groups(const void *a, const void *b)
{
    const compare_group *x = a, *y = b;
    const double p = x->et_ml[0] + x->et_ml[1], q = y->et_ml[0] + y->et_ml[1];
    return p != q ? (p < q) - (p > q) : (x->root > y->root) - (x->root < y->root);
}

/* A lesion joins a group; the first of the later date (which has most ET) gives its place. */
static void add_lesion(compare_group *g, const measure_lesion *l, int date)
{
    if (date == 0 ? g->before == 0 : g->after == 0) {
        memcpy(g->centre_mm, l->centre_mm, sizeof g->centre_mm);
        g->right = l->right;
    }
    *(date == 0 ? &g->before : &g->after) += 1;
    g->et_ml[date] += l->et_ml;
    g->product_mm2[date] += l->product_mm2;
}

/* Groups in the order of their roots, then sorted; *place of each root follows. */
static void gather(comparison *c, size_t *parents, size_t *group_of)
{
    const size_t first = c->date[0].count, all = first + c->date[1].count;
    for (size_t i = 0; i < all; i++) {
        const size_t root = find_root(parents, i);
        if (root == i) {
            c->groups[c->count].root = i;
            group_of[i] = c->count++;
        }
        const int date = i >= first;
        add_lesion(&c->groups[group_of[root]], &c->date[date].lesions[date ? i - first : i], date);
    }
    qsort(c->groups, c->count, sizeof *c->groups, compare_groups);
    for (size_t g = 0; g < c->count; g++)
        group_of[c->groups[g].root] = g;
    for (size_t i = 0; i < all; i++) {
        const int date = i >= first;
        c->group_of[date][date ? i - first : i] = group_of[find_root(parents, i)];
    }
}

ts_status match_lesions(const volume_header *before, const volume_header *after, comparison *c,
                        ts_error *error)
{
    const size_t all = c->date[0].count + c->date[1].count;
    size_t *parents = memory_allocate(all + 1, sizeof *parents, "the lesions", error);
    size_t *groups =
        parents ? memory_allocate(all + 1, sizeof *groups, "the lesions", error) : NULL;
    bool good = groups != NULL;
    for (int d = 0; good && d < 2; d++) {
        c->group_of[d] =
            memory_allocate(c->date[d].count + 1, sizeof *c->group_of[d], "the lesions", error);
        good = c->group_of[d] != NULL;
    }
    c->groups = good ? memory_allocate(all + 1, sizeof *c->groups, "the lesions", error) : NULL;
    if (c->groups) {
        for (size_t i = 0; i < all; i++)
            parents[i] = i;
        join_touching(before, after, c, parents);
        gather(c, parents, groups);
    }
    free(parents);
    free(groups);
    return c->groups ? TS_OK : TS_MEMORY;
}
