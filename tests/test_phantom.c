/* phantom: the signal equations against figures worked by hand; of whole cases: what is visible in
 * which modality, zero outside, the same bits on any number of threads; of cohorts: each layout
 * read back by the rooms that read real ones. */
#include "dataset/dataset.h"
#include "phantom/phantom.h"
#include "phantom/physics.h"
#include "test_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t small[3] = {80, 80, 52};

enum { LABEL_COUNT = 4 }; /* 0 background, 1 NCR, 2 ED, 3 ET */

static void assert_close(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%.12g is not %.12g within %g", value, expected, tolerance);
}

static size_t voxel_count(const int64_t shape[3])
{
    return (size_t)(shape[0] * shape[1] * shape[2]);
}

static phantom_case make(uint64_t seed, int64_t index, const int64_t shape[3], int threads)
{
    phantom_case c;
    pool *p;
    ts_error e;
    assert_int_equal(pool_create(threads, &p, &e), TS_OK);
    assert_int_equal(phantom_make(seed, index, shape, p, &c, &e), TS_OK);
    pool_destroy(p);
    return c;
}

static bool same_case(const phantom_case *a, const phantom_case *b)
{
    const size_t n = voxel_count(a->shape);
    bool same = !memcmp(a->labels, b->labels, n);
    for (int m = 0; m < MODALITIES; m++)
        same = same && !memcmp(a->images[m], b->images[m], n * sizeof(int16_t));
    return same;
}

/* T1 1000, T2 100, PD 1, TR 500, TE 20: (1 - 2 e^-0.49 + e^-0.5) e^-0.2. */
/* T1 1000, T2 100, PD 1, TR 500, TE 20: (1 - 2 e^-0.49 + e^-0.5) e^-0.2. */
static void test_spin_echo(void **state)
{
    (void)state;
    assert_close(signal_spin_echo(1000, 100, 1, 500, 20), 0.3121639187, 1e-9);
    assert_close(signal_spin_echo(1000, 100, 0.5, 500, 20), 0.3121639187 / 2, 1e-9);
    assert_close(signal_spin_echo(1000, 100, 1, 1e6, 0), 1, 1e-9);
}

/* T1 1500, T2 150, PD 0.8, TR 9000, TE 120, TI 2500:
 * 0.8 (1 - 2 e^-5/3 + 2 e^-5.96 - e^-6) e^-0.8. */
static void test_inversion_recovery(void **state)
{
    (void)state;
    assert_close(signal_inversion_recovery(1500, 150, 0.8, 9000, 120, 2500), 0.2246392715, 1e-9);
    /* right after the pulse the magnetisation stands on its head */
    assert_close(signal_inversion_recovery(1000, 100, 1, 1e6, 0, 0), -1, 1e-9);
}

/* Of CSF at TR 9000, TE 120: 4300 ln(2 / (1 + 2 e^(-8940/4300) - e^(-9000/4300))). */
static void test_null_of_csf(void **state)
{
    (void)state;
    const double ti = inversion_time_of_null(4300, 9000, 120);
    assert_close(ti, 2467.2707041, 1e-6);
    assert_close(signal_inversion_recovery(4300, 1800, 1, 9000, 120, ti), 0, 1e-12);
}

/* 0.3 mmol/l at r1 3.7, r2 5.2 per s: 1/(1/1.6 + 1.11) = 0.576369 s, 1/(1/0.15 + 1.56) s. */
static void test_gadolinium(void **state)
{
    (void)state;
    double t1 = 1600, t2 = 150;
    relaxation_with_gadolinium(0.3, &t1, &t2);
    assert_close(t1, 576.3688761, 1e-6);
    assert_close(t2, 121.5559157, 1e-6);
}

static void test_zero_outside_alone(void **state)
{
    (void)state;
    phantom_case c = make(1, 0, small, 2);
    size_t brain = 0;
    for (size_t i = 0; i < voxel_count(small); i++) {
        const bool inside = c.images[T1][i] != 0;
        brain += inside;
        for (int m = 0; m < MODALITIES; m++)
            assert_int_equal(c.images[m][i] != 0, inside);
        assert_true(inside || c.labels[i] == 0);
        assert_in_range(c.labels[i], 0, 3);
    }
    /* 27 mm3 a voxel: a brain of 1 to 2 litres */
    assert_in_range(brain * 27 / 1000, 1000, 2000);
    phantom_free(&c);
}

static void test_same_on_any_threads(void **state)
{
    (void)state;
    phantom_case one = make(3, 2, small, 1), three = make(3, 2, small, 3);
    assert_true(same_case(&one, &three));
    phantom_free(&one);
    phantom_free(&three);
}

static void test_every_case_differs(void **state)
{
    (void)state;
    phantom_case first = make(1, 0, small, 2), second = make(1, 1, small, 2);
    phantom_case other_seed = make(2, 0, small, 2);
    assert_false(same_case(&first, &second));
    assert_false(same_case(&first, &other_seed));
    phantom_free(&first);
    phantom_free(&second);
    phantom_free(&other_seed);
}

static void test_shapes(void **state)
{
    (void)state;
    const int64_t shapes[3][3] = {{64, 64, 64}, {16, 16, 16}, {60, 72, 31}};
    for (int i = 0; i < 3; i++) {
        phantom_case c = make(1, 0, shapes[i], 2);
        assert_close(c.spacing_mm, 240.0 / (double)shapes[i][0], 1e-12);
        phantom_free(&c);
    }
    const int64_t flat[3] = {64, 64, 8};
    phantom_case c;
    ts_error e;
    assert_int_equal(phantom_make(1, 0, flat, NULL, &c, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "64,64,8"));
}

/* ---- what a radiologist would expect ------------------------------------------------------ */

/* Usual sequences of the four modalities. */
static sequence usual(modality m)
{
    static const sequence all[MODALITIES] = {
        [T1] = {600, 12, 0, false},
        [T1CE] = {600, 12, 0, true},
        [T2] = {4500, 100, 0, false},
        [FLAIR] = {9000, 120, 2467, false},
    };
    return all[m];
}

static double signal(tissue_kind kind, modality m)
{
    const sequence s = usual(m);
    return fabs(tissue_signal(&tissues[kind], &s));
}

static void test_order_of_tissues(void **state)
{
    (void)state;
    assert_true(signal(TISSUE_WHITE, T1) > 1.1 * signal(TISSUE_GREY, T1));
    assert_true(signal(TISSUE_GREY, T1) > 1.5 * signal(TISSUE_CSF, T1));
    assert_true(signal(TISSUE_CSF, T2) > 1.3 * signal(TISSUE_EDEMA, T2));
    assert_true(signal(TISSUE_EDEMA, T2) > 1.2 * signal(TISSUE_GREY, T2));
    assert_true(signal(TISSUE_GREY, T2) > 1.2 * signal(TISSUE_WHITE, T2));
    assert_true(signal(TISSUE_EDEMA, FLAIR) > 1.3 * signal(TISSUE_GREY, FLAIR));
    assert_true(signal(TISSUE_CSF, FLAIR) < 0.02 * signal(TISSUE_WHITE, FLAIR));
    assert_true(signal(TISSUE_NECROSIS, T1CE) < 0.7 * signal(TISSUE_ENHANCING, T1CE));
}

/* Without contrast agent an enhancing and a solid tumour differ by less than a per mille in every
 * modality; with it by a quarter. Uptake shortens T1 by 838 +- 210 ms in enhancing tumour, by
 * 123 +- 74 ms in edema and by 32 +- 35 ms in healthy tissue (Nöth 2020). */
static void test_enhancement_needs_contrast_agent(void **state)
{
    static const struct {
        tissue_kind kind;
        double fall_ms, deviation_ms;
    } measured[] = {{TISSUE_ENHANCING, 838, 210}, {TISSUE_EDEMA, 123, 74}, {TISSUE_WHITE, 32, 35}};
    (void)state;
    for (int m = 0; m < MODALITIES; m++) {
        const double ratio =
            signal(TISSUE_ENHANCING, (modality)m) / signal(TISSUE_SOLID, (modality)m);
        if (m == T1CE)
            assert_true(ratio > 1.25);
        else
            assert_close(ratio, 1, 1e-3);
    }
    for (size_t i = 0; i < COUNT_OF(measured); i++) {
        const tissue *t = &tissues[measured[i].kind];
        double t1 = t->t1_ms, t2 = t->t2_ms;
        relaxation_with_gadolinium(t->gadolinium_mm, &t1, &t2);
        assert_close(t->t1_ms - t1, measured[i].fall_ms, measured[i].deviation_ms);
    }
}

typedef struct {
    double sum[LABEL_COUNT][MODALITIES], csf_flair, csf;
    int64_t count[LABEL_COUNT];
} contrast;

/* Adds a case's mean z-scores (over its brain) of each label, and FLAIR where T2 is brightest. */
static void add_contrast(const phantom_case *c, contrast *total)
{
    const size_t n = voxel_count(c->shape);
    double mean[MODALITIES] = {0}, deviation[MODALITIES] = {0}, sum[LABEL_COUNT][MODALITIES] = {0};
    int64_t brain = 0, count[LABEL_COUNT] = {0};
    for (size_t i = 0; i < n; i++) {
        brain += c->images[0][i] != 0;
        for (int m = 0; m < MODALITIES; m++) {
            mean[m] += c->images[m][i];
            deviation[m] += (double)c->images[m][i] * c->images[m][i];
        }
    }
    for (int m = 0; m < MODALITIES; m++) {
        mean[m] /= (double)brain;
        deviation[m] = sqrt(deviation[m] / (double)brain - mean[m] * mean[m]);
    }
    for (size_t i = 0; i < n; i++) {
        const int label = c->labels[i];
        if (c->images[0][i] == 0)
            continue;
        count[label]++;
        for (int m = 0; m < MODALITIES; m++)
            sum[label][m] += (c->images[m][i] - mean[m]) / deviation[m];
        if (label == 0 && (c->images[T2][i] - mean[T2]) / deviation[T2] > 2.5) {
            total->csf_flair += (c->images[FLAIR][i] - mean[FLAIR]) / deviation[FLAIR];
            total->csf++;
        }
    }
    for (int label = 0; label < LABEL_COUNT; label++) {
        if (count[label] < 20)
            continue;
        total->count[label]++;
        for (int m = 0; m < MODALITIES; m++)
            total->sum[label][m] += sum[label][m] / (double)count[label];
    }
}

/* Of eight cases: each part stands out in the modalities where it does in patients (in BraTS the
 * means are ET 1.7 in T1CE and 0.1 in T1; ED 0.7 in T2 and 1.8 in FLAIR; NCR -0.3 in T1CE). */
static void test_parts_are_visible(void **state)
{
    enum { NCR = 1, ED = 2, ET = 3 };
    contrast t = {0};
    double z[LABEL_COUNT][MODALITIES];
    (void)state;
    for (int k = 0; k < 8; k++) {
        phantom_case c = make(11, k, small, 2);
        add_contrast(&c, &t);
        phantom_free(&c);
    }
    for (int label = 1; label < LABEL_COUNT; label++)
        for (int m = 0; m < MODALITIES; m++)
            z[label][m] = t.sum[label][m] / (double)t.count[label];
    assert_true(z[ET][T1CE] > z[ED][T1CE] + 0.8);
    assert_true(z[ET][T1CE] > z[NCR][T1CE] + 1.2);
    assert_true(z[ET][T1CE] > z[ET][T1] + 1.2);
    assert_true(fabs(z[ET][T1] - z[ED][T1]) < 0.8);
    assert_true(z[NCR][T1] < 0 && z[NCR][T1CE] < 0.5);
    assert_true(z[ED][FLAIR] > 1.2 && z[ED][T2] > 0.3 && z[ED][T1CE] < 0.8);
    assert_true(z[NCR][T2] > z[ED][T2] + 0.4);
    assert_true(t.csf > 1000 && t.csf_flair / t.csf < -1);
}

/* Of 40 cases most have all three parts, some no enhancing tumour, some hardly any necrosis, and
 * their sizes differ by more than tenfold. */
static void test_kinds_of_tumours(void **state)
{
    const int64_t coarse[3] = {48, 48, 31};
    int without_et = 0, without_ncr = 0, left = 0;
    double least = 1e9, most = 0;
    (void)state;
    for (int k = 0; k < 40; k++) {
        phantom_case c = make(21, k, coarse, 2);
        double ml[LABEL_COUNT] = {0}, side = 0;
        for (size_t i = 0; i < voxel_count(coarse); i++) {
            ml[c.labels[i]] += 0.125;
            side += c.labels[i] ? (double)(i % 48) - 23.5 : 0;
        }
        const double tumour = ml[1] + ml[2] + ml[3];
        without_et += ml[3] == 0;
        without_ncr += ml[1] < 0.1 * tumour && ml[3] > 0;
        left += side > 0;
        least = fmin(least, tumour);
        most = fmax(most, tumour);
        assert_true(tumour > 5 && tumour < 350);
        phantom_free(&c);
    }
    assert_in_range(without_et, 1, 12);
    assert_in_range(without_ncr, 4, 30);
    assert_in_range(left, 8, 32);
    assert_true(most > 6 * least);
}

/* ---- files -------------------------------------------------------------------------------- */

/* What the data set's reader makes of a cohort equals the cases themselves. */
static void check_cohort(phantom_layout layout, const char *name, uint8_t ncr, uint8_t ed,
                         uint8_t et)
{
    const int64_t shape[3] = {40, 40, 26};
    const uint8_t values[LABEL_COUNT] = {0, ncr, ed, et};
    char path[128];
    ts_error e;
    dataset d;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(phantom_write(path, 2, 7, shape, layout, NULL, &e), TS_OK);
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_OK);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.notes.count, 0);
    for (int k = 0; k < 2; k++) {
        phantom_case c = make(7, k, shape, 1);
        volume_header header;
        uint8_t *labels;
        assert_int_equal(dataset_case_modalities(&d.cases[k]), ALL_MODALITIES);
        assert_int_equal(volume_read_labels(d.cases[k].truth, &header, &labels, &e), TS_OK);
        for (size_t i = 0; i < voxel_count(shape); i++)
            assert_int_equal(labels[i], values[c.labels[i]]);
        for (int m = 0; m < MODALITIES; m++) {
            volume v;
            assert_int_equal(volume_read(d.cases[k].image[m], &v, &e), TS_OK);
            assert_int_equal(v.header.datatype, 4);
            assert_memory_equal(v.header.affine, c.affine, sizeof c.affine);
            const float *data = v.data + (size_t)d.cases[k].channel[m] * voxel_count(shape);
            for (size_t i = 0; i < voxel_count(shape); i++)
                assert_true(data[i] == c.images[m][i]);
            volume_free(&v);
        }
        free(labels);
        phantom_free(&c);
    }
    dataset_close(&d);
}

static void test_layouts(void **state)
{
    (void)state;
    check_cohort(PHANTOM_BRATS2021, "brats2021", 1, 2, 4);
    check_cohort(PHANTOM_BRATS2023, "brats2023", 1, 2, 3);
    check_cohort(PHANTOM_MSD, "msd", 2, 1, 3);
}

static void test_folder_in_use(void **state)
{
    const int64_t shape[3] = {16, 16, 16};
    char path[128], file[160];
    ts_error e;
    (void)state;
    snprintf(path, sizeof path, "%s/used", folder);
    snprintf(file, sizeof file, "%s/notes.txt", path);
    assert_int_equal(directory_create(path, &e), TS_OK);
    assert_int_equal(phantom_write(path, 1, 0, shape, PHANTOM_MSD, NULL, &e), TS_OK);
    assert_int_equal(phantom_write(path, 1, 0, shape, PHANTOM_MSD, NULL, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "not empty"));
    assert_int_equal(file_put(file, "x", 1, &e), TS_OK);
    assert_int_equal(phantom_write(file, 1, 0, shape, PHANTOM_MSD, NULL, &e), TS_IO);
    assert_int_equal(phantom_write("/proc/nowhere", 1, 0, shape, PHANTOM_MSD, NULL, &e), TS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin_echo),
        cmocka_unit_test(test_inversion_recovery),
        cmocka_unit_test(test_null_of_csf),
        cmocka_unit_test(test_gadolinium),
        cmocka_unit_test(test_zero_outside_alone),
        cmocka_unit_test(test_same_on_any_threads),
        cmocka_unit_test(test_every_case_differs),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_order_of_tissues),
        cmocka_unit_test(test_enhancement_needs_contrast_agent),
        cmocka_unit_test(test_parts_are_visible),
        cmocka_unit_test(test_kinds_of_tumours),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_folder_in_use),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
