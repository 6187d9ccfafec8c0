/* voxels and labels: components against flooding, boxes against plain loops, counts that overflow,
 * the range of a voxel's size, and which labels a region holds. */
#include "labels/labels.h"
#include "voxels/voxels.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NX = 7, NY = 6, NZ = 5, VOXELS = NX * NY * NZ };

static const int64_t shape[3] = {NX, NY, NZ};

static void random_mask(uint8_t *mask, double share, uint32_t seed)
{
    random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    for (int i = 0; i < VOXELS; i++)
        mask[i] = random_chance(&r, share) ? (uint8_t)(1 + i % 3) : 0;
}

/* ---- components ----------------------------------------------------------------------------- */

static void flood(const uint8_t *mask, int i, int32_t number, int32_t *numbers)
{
    numbers[i] = number;
    for (int j = 0; j < VOXELS; j++)
        if (mask[j] && !numbers[j] && abs(i % NX - j % NX) <= 1 &&
            abs(i / NX % NY - j / NX % NY) <= 1 && abs(i / NX / NY - j / NX / NY) <= 1)
            flood(mask, j, number, numbers);
}

static void test_components(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.02, 0.05, 0.08, 0.15, 0.3, 1};
    for (uint32_t k = 0; k < 5 * COUNT_OF(shares); k++) {
        ts_error e;
        components c;
        uint8_t mask[VOXELS];
        int32_t numbers[VOXELS] = {0}, count = 0;
        int64_t sizes[VOXELS + 1] = {0};
        random_mask(mask, shares[k % COUNT_OF(shares)], k + 1);
        for (int i = 0; i < VOXELS; i++)
            if (mask[i] && !numbers[i])
                flood(mask, i, ++count, numbers);
        assert_int_equal(components_find(mask, shape, &c, &e), TS_OK);
        assert_int_equal(c.count, count);
        assert_memory_equal(c.numbers, numbers, sizeof numbers);
        for (int i = 0; i < VOXELS; i++) {
            const int64_t at[3] = {i % NX, i / NX % NY, i / NX / NY};
            sizes[numbers[i]] += numbers[i] > 0;
            for (int a = 0; numbers[i] && a < 3; a++) {
                assert_true(c.all[numbers[i]].box.low[a] <= at[a]);
                assert_true(c.all[numbers[i]].box.high[a] >= at[a]);
            }
        }
        for (int32_t n = 1; n <= count; n++) {
            uint8_t one[VOXELS];
            for (int i = 0; i < VOXELS; i++)
                one[i] = numbers[i] == n;
            const voxel_box b = box_of_set(one, shape);
            assert_memory_equal(&c.all[n].box, &b, sizeof b);
            assert_int_equal(c.all[n].voxels, sizes[n]);
        }
        components_free(&c);
    }
}

/* ---- boxes ---------------------------------------------------------------------------------- */

static void test_boxes(void **state)
{
    (void)state;
    uint8_t mask[VOXELS] = {0}, table[256], cut[VOXELS];
    int32_t numbers[VOXELS];
    int64_t n[3];
    voxel_box b = box_of_set(mask, shape);
    assert_true(box_is_empty(&b));
    box_shape(&b, n);
    assert_int_equal(voxel_count(n), 0);
    mask[2 + NX * (1 + NY * 3)] = 5;
    mask[4 + NX * (3 + NY * 2)] = 1;
    b = box_of_set(mask, shape);
    assert_memory_equal(&b, &((voxel_box){{2, 1, 2}, {4, 3, 3}}), sizeof b);
    const voxel_box grown = box_grow(&b, 2, shape), all = box_grow(&b, 9, shape);
    assert_memory_equal(&grown, &((voxel_box){{0, 0, 0}, {6, 5, 4}}), sizeof grown);
    assert_memory_equal(&all, &((voxel_box){{0, 0, 0}, {NX - 1, NY - 1, NZ - 1}}), sizeof all);
    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(255 - v);
    for (int i = 0; i < VOXELS; i++) {
        mask[i] = (uint8_t)i;
        numbers[i] = i % 256;
    }
    box_shape(&b, n);
    for (int kind = 0; kind < 3; kind++) {
        if (kind < 2)
            box_cut(mask, shape, &b, kind ? table : NULL, cut);
        else
            box_cut_numbers(numbers, shape, &b, table, cut);
        for (int64_t z = 0, at = 0; z < n[2]; z++)
            for (int64_t y = 0; y < n[1]; y++)
                for (int64_t x = 0; x < n[0]; x++, at++) {
                    const int64_t i = x + 2 + NX * (y + 1 + NY * (z + 2));
                    assert_int_equal(cut[at], kind ? 255 - i : i);
                }
    }
}

/* ---- counts and sizes ----------------------------------------------------------------------- */

static void test_counts(void **state)
{
    (void)state;
    int64_t count = -1;
    assert_false(voxel_count_checked((int64_t[3]){4, 0, 2}, INT64_MAX, &count));
    assert_false(voxel_count_checked((int64_t[3]){4, -3, -2}, INT64_MAX, &count));
    assert_false(voxel_count_checked((int64_t[3]){1 << 22, 1 << 22, 1 << 22}, INT64_MAX, &count));
    assert_false(voxel_count_checked((int64_t[3]){INT64_MAX, 2, 2}, INT64_MAX, &count));
    assert_false(voxel_count_checked((int64_t[3]){10, 10, 10}, 999, &count));
    assert_int_equal(count, -1);
    assert_true(voxel_count_checked((int64_t[3]){10, 10, 10}, 1000, &count));
    assert_int_equal(count, 1000);
}

static void test_sizes(void **state)
{
    (void)state;
    static const double possible[] = {0.01, 0.5, 1, 100};
    static const double impossible[] = {0, -1, 0.00999, 100.1, 1e30, NAN, INFINITY};
    ts_error e;
    for (size_t i = 0; i < COUNT_OF(possible); i++)
        assert_true(voxel_size_possible(possible[i]));
    for (size_t i = 0; i < COUNT_OF(impossible); i++) {
        double mm[3] = {1, 1, 1};
        assert_false(voxel_size_possible(impossible[i]));
        assert_int_equal(voxel_sizes_check(mm, "f.nii", &e), TS_OK);
        mm[i % 3] = impossible[i];
        assert_int_equal(voxel_sizes_check(mm, "f.nii", &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "'f.nii'"));
    }
}

/* ---- labels --------------------------------------------------------------------------------- */

static void test_regions(void **state)
{
    (void)state;
    static const char *const holds[REGIONS_ALL] = {"0111", "0101", "0001", "0100", "0010", "0000"};
    static const unsigned with[LABELS] = {0, 3, 1, 7};
    for (int r = 0; r < REGIONS_ALL; r++)
        for (int v = 0; v < LABELS; v++)
            assert_int_equal(region_holds(r, v), holds[r][v] == '1');
    for (int v = 0; v < LABELS; v++)
        assert_int_equal(regions_with(v), with[v]);
    assert_true(region_holds(REGION_RC, LABEL_RC));
    assert_false(region_holds(REGION_WT, LABEL_RC));
    assert_false(region_holds(REGION_WT, 255));
    assert_string_equal(region_names[REGION_TC], "TC");
    assert_string_equal(region_names[REGION_ED], label_names[LABEL_ED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components), cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_counts),     cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
