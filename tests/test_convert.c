/* convert: every layout into every other and back, voxels and meanings of labels kept. */
#include "exchange/exchange.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NX = 6, NY = 5, NZ = 4, VOXELS = NX * NY * NZ, CASES = 4 };

static char root[] = "/tmp/twinseg-convert-XXXXXX";
static const char *const ids[CASES] = {"BraTS2021_00001", "BraTS2021_00002", "BraTS2021_00003",
                                       "BraTS2021_00004"};

static char *below(const char *format, ...) PRINTF_LIKE(1, 2);
static char *below(const char *format, ...)
{
    static char path[8][512];
    static int next;
    char *out = path[next++ % 8];
    const int n = snprintf(out, sizeof path[0], "%s/", root);
    va_list list;
    va_start(list, format);
    vsnprintf(out + n, sizeof path[0] - (size_t)n, format, list);
    va_end(list);
    return out;
}

/* What voxel i of modality m of case k holds: whole numbers, but for case 2's FLAIR. */
static float value_at(int k, int m, int i)
{
    return (float)((k * 37 + m * 101 + i * 7) % 300 - 20) +
           (k == 2 && m == FLAIR ? 0.25f * (float)(i % 3) : 0);
}

/* Classes 0 to 3; case 2 has no enhancing tumour. */
static int class_at(int k, int i)
{
    return k == 2 ? i % 3 : (i / 3) % 4;
}

static volume_header grid_of(int k)
{
    const int64_t shape[3] = {NX, NY, NZ};
    const double spacing[3] = {1, 1.5, 2};
    const double affine[4][4] = {
        {-1, 0, 0, 3.0 + k}, {0, -1.5, 0, 7}, {0, 0, 2, -11}, {0, 0, 0, 1}};
    return volume_header_make(shape, spacing, affine);
}

/* BraTS 2021's names; case 0's truth in the old style (1 2 4), case 1's in the new (1 2 3), case
 * 2's with neither, case 3 without one. Case 1's images are plain .nii. */
static void make_data(const char *folder)
{
    ts_error e;
    for (int k = 0; k < CASES; k++) {
        const volume_header h = grid_of(k);
        float data[VOXELS];
        int16_t whole[VOXELS];
        uint8_t labels[VOXELS];
        for (int m = 0; m < MODALITIES; m++) {
            char *path =
                below("%s/%s_%s.nii%s", folder, ids[k], modality_names[m], k == 1 ? "" : ".gz");
            for (int i = 0; i < VOXELS; i++)
                whole[i] = (int16_t)(data[i] = value_at(k, m, i));
            if (k == 2 && m == FLAIR)
                assert_int_equal(volume_write_float(path, &h, 1, data, &e), TS_OK);
            else
                assert_int_equal(volume_write_int16(path, &h, 1, whole, &e), TS_OK);
        }
        for (int i = 0; i < VOXELS; i++) {
            const int c = class_at(k, i);
            labels[i] = (uint8_t)(c == 3 && k == 0 ? 4 : c);
        }
        if (k < 3)
            assert_int_equal(
                volume_write_labels(below("%s/%s_seg.nii.gz", folder, ids[k]), &h, labels, &e),
                TS_OK);
    }
}

static int make_root(void **state)
{
    (void)state;
    ts_error e;
    if (!mkdtemp(root) || directory_create(below("source"), &e) != TS_OK)
        return -1;
    make_data("source");
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void convert(const char *from, exchange_layout to, modality_set use, const char *out)
{
    dataset d;
    exchange_counts counts;
    ts_error e = {0};
    if (dataset_open(below("%s", from), LABELS_AUTO, &d, &e) != TS_OK)
        fail_msg("%s", e.text);
    if (exchange_convert(&d, to, use, below("%s", out), NULL, &counts, &e) != TS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(counts.cases, d.count);
    for (size_t i = 0; i < d.count && to == LAYOUT_BRATS2023; i++)
        counts.ambiguous -= !strncmp(d.cases[i].id, "BraTS-PED", 9);
    assert_int_equal(counts.ambiguous, 0);
    dataset_close(&d);
}

static void check_case(const dataset_case *c, int k, modality_set use)
{
    const volume_header grid = grid_of(k);
    ts_error e;
    assert_string_equal(c->id, ids[k]);
    assert_int_equal(dataset_case_modalities(c), use);
    for (int m = 0; m < MODALITIES; m++) {
        volume v;
        if (!(use >> m & 1))
            continue;
        assert_int_equal(volume_read(c->image[m], &v, &e), TS_OK);
        assert_true(volume_same_grid(&v.header, &grid));
        for (int i = 0; i < VOXELS; i++)
            assert_true(v.data[c->channel[m] * VOXELS + i] == value_at(k, m, i));
        volume_free(&v);
    }
    assert_int_equal(c->truth != NULL, k < 3);
    if (c->truth) {
        volume_header h;
        uint8_t *labels;
        assert_int_equal(volume_read_labels(c->truth, &h, &labels, &e), TS_OK);
        assert_true(volume_same_grid(&h, &grid));
        assert_int_equal(labels_map(labels, VOXELS, c->labels, true, c->truth, &e), TS_OK);
        for (int i = 0; i < VOXELS; i++)
            assert_int_equal(labels[i], class_at(k, i));
        free(labels);
    }
}

/* The data set at `name` holds what was made; imagesTs is a data set of its own. */
static void check_data(const char *name, const char *layout, modality_set use)
{
    const bool split = directory_exists(below("%s/imagesTs", name));
    for (int part = 0; part < 1 + split; part++) {
        dataset d;
        ts_error e = {0};
        const char *path = part ? below("%s/imagesTs", name) : below("%s", name);
        if (dataset_open(path, LABELS_AUTO, &d, &e) != TS_OK)
            fail_msg("%s", e.text);
        assert_string_equal(dataset_layout(&d), layout);
        assert_int_equal(d.count, part ? 1 : CASES - split);
        for (size_t i = 0; i < d.count; i++)
            check_case(&d.cases[i], part ? 3 : (int)i, use);
        dataset_close(&d);
    }
}

static const char *const layout_titles[LAYOUTS] = {"nnU-Net raw", "BraTS 2021", "BraTS 2021",
                                                   "MSD Task01"};

/* From the source to each layout, and from there to each other: cases without a truth are in
 * imagesTs, which a second conversion would take from there. */
static void test_round_trips(void **state)
{
    (void)state;
    for (int to = 0; to < LAYOUTS; to++) {
        char *first = below("%s", exchange_layout_names[to]) + strlen(root) + 1;
        convert("source", (exchange_layout)to, ALL_MODALITIES, first);
        check_data(first, layout_titles[to], ALL_MODALITIES);
        for (int then = 0; then < LAYOUTS; then++) {
            dataset d;
            ts_error e;
            char *second = below("%s-%s", first, exchange_layout_names[then]) + strlen(root) + 1;
            convert(first, (exchange_layout)then, ALL_MODALITIES, second);
            assert_int_equal(dataset_open(below("%s", second), LABELS_AUTO, &d, &e), TS_OK);
            for (size_t i = 0; i < d.count && i < 3; i++)
                check_case(&d.cases[i], (int)i, ALL_MODALITIES);
            dataset_close(&d);
        }
    }
}

static void test_some_modalities(void **state)
{
    (void)state;
    const modality_set use = 1u << FLAIR | 1u << T1CE;
    for (int to = 0; to < LAYOUTS; to++) {
        char *name = below("some-%s", exchange_layout_names[to]) + strlen(root) + 1;
        convert("source", (exchange_layout)to, use, name);
        check_data(name, layout_titles[to], use);
    }
}

/* The values as other programs expect them: 1 NCR, 2 ED, 4 ET; 1 ED, 2 NCR, 3 ET. */
static void test_values(void **state)
{
    (void)state;
    static const uint8_t expected[LAYOUTS][4] = {
        {0, 2, 1, 3}, {0, 1, 2, 4}, {0, 1, 2, 3}, {0, 2, 1, 3}};
    static const char *const files[LAYOUTS] = {
        "nnunet/labelsTr/%s.nii.gz", "brats2021/%s/%s_seg.nii.gz", "brats2023/%s/%s-seg.nii.gz",
        "msd/labelsTr/%s.nii.gz"};
    for (int to = 0; to < LAYOUTS; to++) {
        char name[256];
        volume_header h;
        uint8_t *labels;
        ts_error e;
        snprintf(name, sizeof name, files[to], ids[1], ids[1]);
        assert_int_equal(volume_read_labels(below("%s", name), &h, &labels, &e), TS_OK);
        for (int i = 0; i < VOXELS; i++)
            assert_int_equal(labels[i], expected[to][class_at(1, i)]);
        free(labels);
    }
    static const modality order[MODALITIES] = {FLAIR, T1, T1CE, T2}; /* Task01's */
    volume v;
    ts_error e;
    assert_int_equal(volume_read(below("msd/imagesTr/%s.nii.gz", ids[1]), &v, &e), TS_OK);
    for (int m = 0; m < MODALITIES; m++)
        assert_true(v.data[m * VOXELS + 5] == value_at(1, (int)order[m], 5));
    volume_free(&v);
}

/* A truth that runs along other axes of its images' grid is put into their order. */
static void test_turned_truth(void **state)
{
    (void)state;
    dataset d;
    ts_error e;
    exchange_counts counts;
    volume_header h = grid_of(2), turned = h, back;
    uint8_t labels[VOXELS], mirrored[VOXELS], *values;
    turned.affine[0][0] = -h.affine[0][0];
    turned.affine[0][3] = h.affine[0][3] + (NX - 1) * h.affine[0][0];
    for (int i = 0; i < VOXELS; i++)
        labels[i] = mirrored[i / NX * NX + NX - 1 - i % NX] = (uint8_t)class_at(2, i);
    assert_int_equal(dataset_open(below("source"), LABELS_AUTO, &d, &e), TS_OK);
    assert_int_equal(volume_write_labels(d.cases[2].truth, &turned, mirrored, &e), TS_OK);
    assert_int_equal(
        exchange_convert(&d, LAYOUT_BRATS2023, ALL_MODALITIES, below("turned"), NULL, &counts, &e),
        TS_OK);
    assert_int_equal(
        volume_read_labels(below("turned/%s/%s-seg.nii.gz", ids[2], ids[2]), &back, &values, &e),
        TS_OK);
    assert_memory_equal(values, labels, VOXELS);
    assert_true(volume_same_grid(&back, &h));
    free(values);
    assert_int_equal(volume_write_labels(d.cases[2].truth, &h, labels, &e), TS_OK);
    dataset_close(&d);
}

static void refuse(const dataset *d, exchange_layout to, const char *out, const char *words)
{
    exchange_counts counts;
    ts_error e = {0};
    assert_int_not_equal(
        exchange_convert(d, to, ALL_MODALITIES, below("%s", out), NULL, &counts, &e), TS_OK);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
}

static void test_refusals(void **state)
{
    (void)state;
    dataset d;
    ts_error e;
    const volume_header h = grid_of(0);
    uint8_t labels[VOXELS] = {0, 3, 4};
    assert_int_equal(symlink("source", below("link")), 0);
    assert_int_equal(directory_create(below("other"), &e), TS_OK);
    assert_int_equal(dataset_open(below("source"), LABELS_AUTO, &d, &e), TS_OK);
    refuse(&d, LAYOUT_MSD, "source", "not empty");
    refuse(&d, LAYOUT_MSD, "source/out", "lies within the data set");
    refuse(&d, LAYOUT_MSD, "source/new/../out", "lies within the data set");
    refuse(&d, LAYOUT_MSD, "link/deep/out/", "lies within the data set");
    assert_int_equal(directory_create(below("source/empty"), &e), TS_OK);
    refuse(&d, LAYOUT_MSD, "source/empty/out", "lies within the data set");
    assert_int_equal(directory_create(below("source-beside"), &e), TS_OK);
    convert("source", LAYOUT_MSD, ALL_MODALITIES, "source-beside/out");
    refuse(&d, LAYOUT_MSD, "other/../source/a/b", "lies within the data set");
    dataset inner; /* the folder that was given holds the data set's own */
    assert_int_equal(directory_create(below("above"), &e), TS_OK);
    convert("source", LAYOUT_MSD, ALL_MODALITIES, "above/data");
    assert_int_equal(dataset_open(below("above"), LABELS_AUTO, &inner, &e), TS_OK);
    refuse(&inner, LAYOUT_BRATS2021, "above/out", "lies within the data set");
    refuse(&inner, LAYOUT_BRATS2021, "above/data/out", "lies within the data set");
    dataset_close(&inner);
    char *t2 = d.cases[1].image[T2];
    d.cases[1].image[T2] = NULL;
    refuse(&d, LAYOUT_NNUNET, "refused", "BraTS2021_00002 lacks t2");
    assert_false(file_exists(below("refused")));
    d.cases[1].image[T2] = t2;
    char *const id = d.cases[0].id;
    d.cases[0].id = strdup("BraTS-GLI-00005-100");
    refuse(&d, LAYOUT_BRATS2021, "refused", "resection cavity");
    free(d.cases[0].id);
    d.cases[0].id = id;
    assert_int_equal(volume_write_labels(d.cases[0].truth, &h, labels, &e), TS_OK);
    refuse(&d, LAYOUT_BRATS2023, "both", "holds the labels 3 and 4");
    d.cases[0].labels = LABELS_BRATS2024;
    exchange_counts counts;
    assert_int_equal(
        exchange_convert(&d, LAYOUT_BRATS2023, ALL_MODALITIES, below("cavity"), NULL, &counts, &e),
        TS_OK);
    assert_int_equal(counts.cavities, 1);
    d.cases[0].id = strdup("BraTS-GLI-00005-100"); /* of 2024 by its name: 4 stays what it is */
    assert_int_equal(
        exchange_convert(&d, LAYOUT_BRATS2023, ALL_MODALITIES, below("kept"), NULL, &counts, &e),
        TS_OK);
    assert_int_equal(counts.cavities, 0);
    volume_header back;
    uint8_t *values;
    assert_int_equal(
        volume_read_labels(below("kept/BraTS-GLI-00005-100/BraTS-GLI-00005-100-seg.nii.gz"), &back,
                           &values, &e),
        TS_OK);
    assert_memory_equal(values, labels, VOXELS);
    free(values);
    free(d.cases[0].id);
    d.cases[0].id = id;
    dataset_close(&d);
}

/* BraTS-PED from 2024 on counts otherwise: its classes arrive in every layout, or it is refused. */
static void test_pediatric(void **state)
{
    (void)state;
    static const uint8_t in[] = {0, 1, 2, 3, 4}, classes[] = {0, 3, 1, 1, 2};
    const volume_header h = grid_of(0);
    uint8_t labels[VOXELS], *back;
    ts_error e;
    dataset d;
    for (int i = 0; i < VOXELS; i++)
        labels[i] = in[i % 5];
    convert("source", LAYOUT_BRATS2023, ALL_MODALITIES, "children");
    for (int k = 1; k < CASES; k++) {
        char command[1200];
        snprintf(command, sizeof command, "rm -r %s", below("children/%s", ids[k]));
        assert_int_equal(system(command), 0);
    }
    const char *was = "BraTS2021_00001", *is = "BraTS-PED-00001-000";
    static const char *const words[] = {"t1n", "t1c", "t2w", "t2f", "seg"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        assert_int_equal(rename(below("children/%s/%s-%s.nii.gz", was, was, words[i]),
                                below("children/%s/%s-%s.nii.gz", was, is, words[i])),
                         0);
    assert_int_equal(
        volume_write_labels(below("children/%s/%s-seg.nii.gz", was, is), &h, labels, &e), TS_OK);
    assert_int_equal(dataset_open(below("children"), LABELS_AUTO, &d, &e), TS_OK);
    refuse(&d, LAYOUT_BRATS2021, "children2021", "4 is the edema");
    dataset_close(&d);
    static const exchange_layout layouts[] = {LAYOUT_NNUNET, LAYOUT_MSD, LAYOUT_BRATS2023};
    for (size_t l = 0; l < COUNT_OF(layouts); l++) {
        const bool named = layouts[l] != LAYOUT_BRATS2023; /* by dataset.json */
        volume_header grid;
        char *out = below("children-%d", (int)layouts[l]) + strlen(root) + 1;
        convert("children", layouts[l], ALL_MODALITIES, out);
        assert_int_equal(
            dataset_open(below("%s", out), named ? LABELS_AUTO : LABELS_BRATS2023, &d, &e), TS_OK);
        assert_int_equal(volume_read_labels(d.cases[0].truth, &grid, &back, &e), TS_OK);
        assert_int_equal(labels_map(back, VOXELS, d.cases[0].labels, true, "truth", &e), TS_OK);
        for (int i = 0; i < VOXELS; i++)
            assert_int_equal(back[i], classes[i % 5]);
        free(back);
        dataset_close(&d);
    }
    /* no edema, no 4: either year's */
    for (int i = 0; i < VOXELS; i++)
        labels[i] = in[i % 4];
    assert_int_equal(
        volume_write_labels(below("children/%s/%s-seg.nii.gz", was, is), &h, labels, &e), TS_OK);
    assert_int_equal(dataset_open(below("children"), LABELS_AUTO, &d, &e), TS_OK);
    refuse(&d, LAYOUT_NNUNET, "children-unclear", "brats2023 (");
    refuse(&d, LAYOUT_MSD, "children-unclear2", "brats-ped (");
    dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_some_modalities),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_turned_truth),
        cmocka_unit_test(test_pediatric),   cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
