/* volume: what is written reads back, orientation is undone exactly, resampling equals scipy's.
 * (Odd NIfTI files are read by test_json.) */
#include "shared.h"
#include "test_folder.h"
#include "volume/volume.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- writing -------------------------------------------------------------------------------- */

static volume_header make_header(void)
{
    const int64_t shape[3] = {5, 4, 3};
    const double spacing[3] = {1, 2, 3};
    const double affine[4][4] = {{-1, 0, 0, 90}, {0, 0, 3, -7}, {0, 2, 0, 5}, {0, 0, 0, 1}};
    return volume_header_make(shape, spacing, affine);
}

static void check_written(const char *name, volume_header like)
{
    ts_error e;
    uint8_t labels[60], *back;
    float values[120];
    volume_header h;
    volume v;
    for (int i = 0; i < 120; i++) {
        labels[i % 60] = (uint8_t)(i % 5);
        values[i] = (float)i / 7;
    }
    assert_int_equal(volume_write_labels(path_of(name), &like, labels, &e), TS_OK);
    assert_int_equal(volume_read_labels(path_of(name), &h, &back, &e), TS_OK);
    assert_memory_equal(labels, back, sizeof labels);
    assert_true(volume_same_grid(&like, &h));
    assert_int_equal(h.version, like.version);
    assert_int_equal(h.sform_code, like.sform_code);
    assert_int_equal(h.qform_code, like.qform_code);
    free(back);
    assert_int_equal(volume_write_float(path_of(name), &like, 2, values, &e), TS_OK);
    assert_int_equal(volume_read(path_of(name), &v, &e), TS_OK);
    assert_int_equal(v.channels, 2);
    assert_memory_equal(values, v.data, sizeof values);
    assert_true(volume_same_grid(&like, &v.header));
    volume_free(&v);
}

static void test_written_reads_back(void **state)
{
    (void)state;
    volume_header h = make_header();
    check_written("a.nii", h);
    check_written("a.nii.gz", h);
    h.version = NIFTI_2;
    check_written("b.nii.gz", h);
    for (int i = 0; i < 2; i++) { /* sform alone, qform alone, neither: as real files have them */
        static const char *const files[] = {"affine-qfac-minus.nii", "affine-none.nii"};
        char odd[64];
        ts_error e;
        snprintf(odd, sizeof odd, "odd-nifti/%s", files[i]);
        const char *path = shared_path(odd);
        if (!path)
            skip();
        assert_int_equal(volume_read_header(path, &h, &e), TS_OK);
        h.dimensions = 3;
        check_written("c.nii.gz", h);
    }
}

static void test_bad_labels(void **state)
{
    (void)state;
    ts_error e;
    uint8_t *labels;
    volume_header h = make_header();
    float values[60] = {0};
    static const float bad[] = {0.5f, -1, 256, NAN, INFINITY};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        values[33] = bad[i]; /* 33 = 3 + 5 * (2 + 4 * 1) */
        assert_int_equal(volume_write_float(path_of("l.nii"), &h, 1, values, &e), TS_OK);
        assert_int_equal(volume_read_labels(path_of("l.nii"), &h, &labels, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "(3, 2, 1)"));
    }
    values[33] = 3.0005f;
    assert_int_equal(volume_write_float(path_of("l.nii"), &h, 1, values, &e), TS_OK);
    assert_int_equal(volume_read_labels(path_of("l.nii"), &h, &labels, &e), TS_OK);
    assert_int_equal(labels[33], 3);
    free(labels);
    assert_int_equal(volume_write_labels("/nowhere/a.nii", &h, NULL, &e), TS_IO);
}

/* A volume that says it lies nowhere is refused: no orientation could be right. */
static void test_place_is_finite(void **state)
{
    (void)state;
    ts_error e;
    volume_header h = make_header(), back;
    const float values[60] = {0};
    h.affine[1][3] = NAN;
    assert_int_equal(volume_write_float(path_of("n.nii"), &h, 1, values, &e), TS_OK);
    assert_int_equal(volume_read_header(path_of("n.nii"), &back, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "not finite"));
}

/* A slope that is not a number counts as none, as 0 does. */
static void test_slope_is_finite(void **state)
{
    (void)state;
    ts_error e;
    volume_header h = make_header();
    volume v;
    float values[60];
    for (int i = 0; i < 60; i++)
        values[i] = (float)i;
    assert_int_equal(volume_write_float(path_of("s.nii"), &h, 1, values, &e), TS_OK);
    FILE *f = fopen(path_of("s.nii"), "r+b");
    const float not_a_number = NAN;
    assert_non_null(f);
    assert_int_equal(fseek(f, 112, SEEK_SET), 0); /* scl_slope */
    assert_int_equal(fwrite(&not_a_number, sizeof not_a_number, 1, f), 1);
    fclose(f);
    assert_int_equal(volume_read(path_of("s.nii"), &v, &e), TS_OK);
    assert_memory_equal(v.data, values, sizeof values);
    volume_free(&v);
}

/* Rounding in float32 headers leaves the grid the same; a twentieth of a millimetre does not. */
static void test_same_grid(void **state)
{
    (void)state;
    const volume_header h = make_header();
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            volume_header other = h;
            other.affine[i][j] += 5e-5;
            assert_true(volume_same_grid(&h, &other));
            other.affine[i][j] += 0.05;
            assert_false(volume_same_grid(&h, &other));
        }
    volume_header longer = h;
    longer.shape[2]++;
    assert_false(volume_same_grid(&h, &longer));
}

static size_t doubts_of(const volume_header *h)
{
    ts_error e;
    string_list doubts = {0};
    assert_int_equal(volume_header_doubts(h, "n.nii", NULL, &doubts, &e), TS_OK);
    const size_t count = doubts.count;
    for (size_t i = 0; i < count; i++)
        assert_non_null(strstr(doubts.items[i], "'n.nii'"));
    string_list_free(&doubts);
    return count;
}

/* A guessed orientation and voxel sizes that contradict the affine are doubts; rounding is not. */
static void test_doubts(void **state)
{
    (void)state;
    ts_error e;
    volume_header h = make_header(), back;
    const float values[60] = {0};
    static const struct {
        double zoom;
        int sform_code;
        bool guessed, two_sizes;
    } cases[] = {
        {2, 1, false, false}, {2.01, 1, false, false}, {2.1, 1, false, true},
        {1, 2, false, true},  {2, 0, true, false},     {1, 0, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        h.zooms[1] = cases[i].zoom;
        h.sform_code = cases[i].sform_code;
        assert_int_equal(volume_write_float(path_of("n.nii"), &h, 1, values, &e), TS_OK);
        assert_int_equal(volume_read_header(path_of("n.nii"), &back, &e), TS_OK);
        assert_int_equal(back.guessed, cases[i].guessed);
        assert_int_equal(back.two_sizes, cases[i].two_sizes);
        assert_int_equal(doubts_of(&back), cases[i].guessed + cases[i].two_sizes);
    }
}

/* ---- voxels as stored --------------------------------------------------------------------- */

enum { STORED = 100 };

#define STORE(type)                                                                                \
    {                                                                                              \
        const type value = (type)k;                                                                \
        memcpy(bytes + (size_t)i * sizeof value, &value, sizeof value);                            \
        width = sizeof value;                                                                      \
    }                                                                                              \
    break

/* 0, 1, 2... as values of the datatype, the other byte order by wish. */
static void store(int datatype, bool swap, uint8_t bytes[STORED * 8])
{
    size_t width = 0;
    for (int i = 0; i < STORED; i++) {
        const int k = i;
        switch (datatype) {
        case 2:
            STORE(uint8_t);
        case 4:
            STORE(int16_t);
        case 8:
            STORE(int32_t);
        case 16:
            STORE(float);
        case 64:
            STORE(double);
        case 256:
            STORE(int8_t);
        case 512:
            STORE(uint16_t);
        case 768:
            STORE(uint32_t);
        case 1024:
            STORE(int64_t);
        case 1280:
            STORE(uint64_t);
        }
        for (size_t b = 0; swap && b < width / 2; b++) {
            uint8_t *value = bytes + (size_t)i * width, kept = value[b];
            value[b] = value[width - 1 - b];
            value[width - 1 - b] = kept;
        }
    }
}

/* Every datatype, either byte order, scaled or not, forwards and in strides either way. */
static void test_values_as_stored(void **state)
{
    (void)state;
    static const int datatypes[] = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280};
    static const int64_t walks[][2] = {{0, 1}, {99, -1}, {1, 7}, {95, -9}};
    uint8_t bytes[STORED * 8];
    float out[STORED];
    for (size_t t = 0; t < COUNT_OF(datatypes); t++)
        for (int kind = 0; kind < 4; kind++) {
            const volume_voxels v = {.bytes = bytes,
                                     .datatype = datatypes[t],
                                     .swap = kind & 1,
                                     .slope = kind & 2 ? 0.3 : 1,
                                     .intercept = kind & 2 ? -2 : 0};
            store(datatypes[t], v.swap, bytes);
            assert_true(kind & 2 || volume_values_are_zero(&v, 0, 1));
            assert_false(volume_values_are_zero(&v, 0, 2));
            for (size_t w = 0; w < COUNT_OF(walks); w++) {
                const int64_t first = walks[w][0], step = walks[w][1];
                const int64_t count = (step > 0 ? STORED - 1 - first : first) / llabs(step) + 1;
                volume_values(&v, first, step, count, out);
                for (int64_t i = 0; i < count; i++) {
                    const double value = (double)(first + i * step) * v.slope + v.intercept;
                    assert_float_equal(out[i], (float)value, 0);
                }
            }
        }
}

/* ---- orientation ---------------------------------------------------------------------------- */

static void test_orientation(void **state)
{
    (void)state;
    const int64_t shape[3] = {4, 3, 2};
    int16_t file[24], oriented[24], back[24];
    for (int i = 0; i < 24; i++)
        file[i] = (int16_t)(i * 100);
    /* file axes run to A, R, I (in RAS terms +y, +x, -z) */
    const double affine[4][4] = {{0.1, 2, 0, 0}, {1, 0.1, 0, 0}, {0, 0, -3, 0}, {0, 0, 0, 1}};
    const volume_orientation o = volume_orientation_lps(affine);
    const int axes[3] = {1, 0, 2};
    assert_memory_equal(o.axis, axes, sizeof axes);
    assert_true(o.flip[0] && o.flip[1] && o.flip[2]);
    volume_reorient(file, shape, o, sizeof *file, oriented);
    /* oriented (0, 0, 0) is the most right, most anterior, most inferior voxel: file (3, 2, 1) */
    assert_int_equal(oriented[0], file[3 + 4 * (2 + 3 * 1)]);
    assert_int_equal(oriented[1], file[3 + 4 * (1 + 3 * 1)]);
    volume_reorient_back(oriented, shape, o, sizeof *file, back);
    assert_memory_equal(file, back, sizeof file);
    for (int flips = 0; flips < 8; flips++)
        for (int turn = 0; turn < 3; turn++) {
            volume_orientation any = {{turn, (turn + 1) % 3, (turn + 2) % 3},
                                      {flips & 1, flips & 2, flips & 4}};
            volume_reorient(file, shape, any, sizeof *file, oriented);
            volume_reorient_back(oriented, shape, any, sizeof *file, back);
            assert_memory_equal(file, back, sizeof file);
        }
    const double brats[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 239}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const volume_orientation same = volume_orientation_lps(brats);
    for (int i = 0; i < 3; i++)
        assert_true(same.axis[i] == i && !same.flip[i]);
}

/* The same grid written along other axes, all 48 ways, comes back in order. */
static void test_turn(void **state)
{
    (void)state;
    static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                           {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    volume_header h = make_header();
    int16_t file[60], turned[60];
    ts_error e;
    h.affine[0][1] = 0.1; /* a little oblique */
    for (int i = 0; i < 60; i++)
        file[i] = (int16_t)(i * 100);
    for (int way = 0; way < 48; way++) {
        volume_orientation o = {.flip = {way & 1, way & 2, way & 4}};
        volume_header t = h;
        void *back;
        memcpy(o.axis, permutations[way / 8], sizeof o.axis);
        for (int i = 0; i < 3; i++) {
            const double last = (double)(h.shape[o.axis[i]] - 1);
            t.shape[i] = h.shape[o.axis[i]];
            for (int r = 0; r < 3; r++) {
                t.affine[r][i] = h.affine[r][o.axis[i]] * (o.flip[i] ? -1 : 1);
                t.affine[r][3] += o.flip[i] ? h.affine[r][o.axis[i]] * last : 0;
            }
        }
        volume_reorient(file, h.shape, o, sizeof *file, turned);
        assert_true(volume_same_space(&t, &h));
        assert_int_equal(volume_same_grid(&t, &h), way == 0);
        assert_int_equal(volume_turn(&t, turned, sizeof *file, &h, &back, &e), TS_OK);
        assert_memory_equal(back, file, sizeof file);
        free(back);
        t.affine[2][3] += 0.5;
        assert_false(volume_same_space(&t, &h));
    }
}

/* ---- resampling ----------------------------------------------------------------------------- */

enum { NX = 11, NY = 7, NZ = 9 };

static void check_resampled(const char *name, const int64_t shape[3], bool cubic)
{
    ts_error e;
    char word[64];
    int count;
    pool *p;
    float in[NX * NY * NZ], out[2][17 * 7 * 14];
    const int64_t shape_in[3] = {NX, NY, NZ};
    for (int64_t i = 0; i < NX * NY * NZ; i++)
        in[i] = (float)((i * 7919 + i * i % 1009 * 31) % 4001 - 2000) / 1000;
    assert_int_equal(pool_create(3, &p, &e), TS_OK);
    for (int run = 0; run < 2; run++)
        assert_int_equal((cubic ? volume_resample_cubic : volume_resample_linear)(
                             in, shape_in, out[run], shape, run ? p : NULL, &e),
                         TS_OK);
    pool_destroy(p);
    FILE *f = fopen("tests/golden/resample.txt", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*[^\n]"), 0);
    while (fscanf(f, "%63s %d", word, &count) == 2)
        for (int i = 0; i < count; i++) {
            double value;
            assert_int_equal(fscanf(f, "%lf", &value), 1);
            if (!strcmp(word, name) && !(fabs(out[0][i] - value) <= 2e-6))
                fail_msg("%s[%d] is %.9g instead of %.9g", name, i, out[0][i], value);
        }
    fclose(f);
    assert_memory_equal(out[0], out[1], (size_t)(shape[0] * shape[1] * shape[2]) * sizeof(float));
}

static void test_resampling_is_scipys(void **state)
{
    (void)state;
    const int64_t down[3] = {6, 4, 5}, up[3] = {17, 7, 14};
    check_resampled("down.cubic", down, true);
    check_resampled("down.linear", down, false);
    check_resampled("up.cubic", up, true);
    check_resampled("up.linear", up, false);
}

/* Labels: the argmax of each label's own linear map. */
static void test_labels_resample(void **state)
{
    (void)state;
    ts_error e;
    uint8_t in[NX * NY * NZ], out[6 * 5 * 4];
    float one[NX * NY * NZ], map[4][6 * 5 * 4];
    const int64_t shape_in[3] = {NX, NY, NZ}, shape[3] = {6, 5, 4};
    random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int i = 0; i < NX * NY * NZ; i++)
        in[i] = (uint8_t)random_below(&r, 4);
    assert_int_equal(volume_resample_labels(in, shape_in, out, shape, NULL, &e), TS_OK);
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < NX * NY * NZ; i++)
            one[i] = in[i] == k;
        assert_int_equal(volume_resample_linear(one, shape_in, map[k], shape, NULL, &e), TS_OK);
    }
    for (int i = 0; i < 6 * 5 * 4; i++)
        for (int k = 0; k < 4; k++)
            assert_true(map[out[i]][i] >= map[k][i] - 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_reads_back),
        cmocka_unit_test(test_bad_labels),
        cmocka_unit_test(test_place_is_finite),
        cmocka_unit_test(test_slope_is_finite),
        cmocka_unit_test(test_same_grid),
        cmocka_unit_test(test_doubts),
        cmocka_unit_test(test_values_as_stored),
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_resampling_is_scipys),
        cmocka_unit_test(test_labels_resample),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
