/* dataset: every layout and quirk recognised, from folders made here; the folds. */
#include "made_folders.h"

#include <math.h>

static void assert_complete(const dataset *d, size_t i)
{
    assert_int_equal(dataset_case_modalities(&d->cases[i]), ALL_MODALITIES);
    assert_non_null(d->cases[i].truth);
}

static void test_years(void **state)
{
    (void)state;
    static const struct {
        const char *layout, *id, *files[5];
    } years[] = {
        {"BraTS 2017",
         "Brats17_A_1",
         {"HGG/Brats17_A_1/Brats17_A_1_flair.nii.gz", "HGG/Brats17_A_1/Brats17_A_1_t1.nii.gz",
          "HGG/Brats17_A_1/Brats17_A_1_t1ce.nii.gz", "HGG/Brats17_A_1/Brats17_A_1_t2.nii.gz",
          "HGG/Brats17_A_1/Brats17_A_1_seg.nii.gz"}},
        {"BraTS 2020",
         "BraTS20_Training_355",
         {"BraTS20_Training_355/BraTS20_Training_355_t1.nii",
          "BraTS20_Training_355/BraTS20_Training_355_t1ce.nii",
          "BraTS20_Training_355/BraTS20_Training_355_t2.nii",
          "BraTS20_Training_355/BraTS20_Training_355_flair.nii",
          "BraTS20_Training_355/W39_1998.09.19_Segm.nii"}},
        {"BraTS 2023",
         "BraTS-GLI-00000-000",
         {"BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz",
          "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz",
          "BraTS-GLI-00000-000/BraTS-GLI-00000-000_t2.nii.gz",
          "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz",
          "BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg.nii.gz"}},
        {"BraTS 2021",
         "BraTS2021_00001",
         {"BraTS2021_00001_t1.nii.gz", "BraTS2021_00001_t1ce.nii.gz", "BraTS2021_00001_T2.nii.gz",
          "brats2021_00001_FLAIR.NII.GZ", "BraTS2021_00001_seg.nii.gz"}},
    };
    for (size_t i = 0; i < COUNT_OF(years); i++) {
        dataset d;
        open_ok(touch("years", years[i].files, 5), &d);
        assert_int_equal(d.count, 1);
        assert_string_equal(dataset_layout(&d), years[i].layout);
        assert_string_equal(d.cases[0].id, years[i].id);
        assert_complete(&d, 0);
        assert_int_equal(d.cases[0].labels, LABELS_AUTO);
        assert_non_null(
            strstr(d.cases[0].image[FLAIR], years[i].id[0] == 'B' && i == 3 ? "FLAIR" : ""));
        dataset_close(&d);
    }
}

/* A truth of another name: 355's by its known name, even among other cases; any, where it alone can
 * belong to the images beside it. */
static void test_odd_truths(void **state)
{
    (void)state;
    static const char *const files[] = {
        "flat/BraTS20_Training_354_flair.nii",
        "flat/BraTS20_Training_355_flair.nii",
        "flat/W39_1998.09.19_Segm.nii",
        "other/A_t1.nii",
        "other/A_t2.nii",
        "other/B_seg.nii",
        "unclear/C_t1.nii",
        "unclear/D_t1.nii",
        "unclear/E_seg.nii",
    };
    static const char *const truths[] = {"B_seg.nii", NULL, "W39_1998.09.19_Segm.nii", NULL, NULL};
    dataset d;
    open_ok(touch("truths", files, COUNT_OF(files)), &d);
    assert_int_equal(d.count, COUNT_OF(truths));
    for (size_t i = 0; i < d.count; i++) {
        assert_int_equal(d.cases[i].truth != NULL, truths[i] != NULL);
        if (truths[i])
            assert_string_equal(string_file_name(d.cases[i].truth), truths[i]);
    }
    assert_true(noted(&d, "its truth is called 'W39_1998.09.19_Segm.nii'"));
    assert_true(noted(&d, "B_seg.nii' is taken as its truth"));
    assert_true(noted(&d, "E_seg.nii' is left"));
    dataset_close(&d);
}

static void test_post_treatment(void **state)
{
    (void)state;
    static const char *const files[] = {"BraTS-GLI-00005-100/BraTS-GLI-00005-100-t1c.nii.gz"};
    dataset d;
    open_ok(touch("post", files, COUNT_OF(files)), &d);
    assert_string_equal(dataset_layout(&d), "BraTS 2024 post-treatment");
    assert_int_equal(d.cases[0].labels, LABELS_BRATS2024);
    assert_int_equal(dataset_case_modalities(&d.cases[0]), 1u << T1CE);
    assert_null(d.cases[0].truth);
    dataset_close(&d);
}

static void test_quirks(void **state)
{
    (void)state;
    static const char *const files[] = {
        "Brats18_A_1/Brats18_A_1_t1.nii.gz",
        "Brats18_A_1/Brats18_A_1_t1.nii", /* twice */
        "Brats18_A_1/._Brats18_A_1_t1.nii.gz",
        "Brats18_A_1/.DS_Store",
        "Brats18_A_1/Brats18_A_1_flair.nii/00000057_brain_flair.nii", /* a folder called so */
        "Brats18_A_1/Brats18_A_1_pred.nii.gz",                        /* no known role */
        "Brats18_A_1/Brats18_A_1_seg.nii.gz",
        "siteA/001/flair.nii.gz",
        "siteA/001/T1CE.nii",
        "siteB/001/flair.nii.gz",
        "truths/Brats18_B_1_seg.nii.gz",
        "images/Brats18_B_1_t2.nii.gz",
        "truths/Brats18_C_1_seg.nii.gz", /* no images */
        "__MACOSX/Brats18_D_1_t2.nii.gz",
        "survival_info.csv",
    };
    static const char *const ids[] = {"Brats18_A_1", "Brats18_B_1", "siteA_001", "siteB_001"};
    dataset d;
    open_ok(touch("quirks", files, COUNT_OF(files)), &d);
    assert_int_equal(d.count, COUNT_OF(ids));
    for (size_t i = 0; i < d.count; i++)
        assert_string_equal(d.cases[i].id, ids[i]);
    assert_true(string_ends(d.cases[0].image[T1], "_t1.nii.gz"));
    assert_true(string_ends(d.cases[0].image[FLAIR], "/00000057_brain_flair.nii"));
    assert_null(d.cases[0].image[T2]);
    assert_non_null(d.cases[1].truth);
    assert_int_equal(dataset_case_modalities(&d.cases[2]), 1u << FLAIR | 1u << T1CE);
    assert_true(noted(&d, "_t1.nii' is left"));
    assert_true(noted(&d, "called like an image"));
    assert_true(noted(&d, "_pred.nii.gz"));
    assert_true(noted(&d, "a truth without images"));
    assert_true(noted(&d, "hidden or macOS"));
    assert_int_equal(d.notes.count, 5);
    dataset_close(&d);

    /* one case folder given as the data set, by a path that has no name of its own */
    char path[600];
    snprintf(path, sizeof path, "%s/quirks/siteA/001/.", root);
    open_ok(path, &d);
    assert_int_equal(d.count, 1);
    assert_string_equal(d.cases[0].id, "001");
    dataset_close(&d);
}

static void test_no_case(void **state)
{
    (void)state;
    static const char *const files[] = {"a/brain.nii.gz", "readme.txt"};
    dataset d;
    ts_error e;
    assert_int_equal(dataset_open(touch("none", files, 2), LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "X_flair.nii.gz"));
    assert_non_null(strstr(e.text, "'brain.nii.gz'"));
    assert_int_equal(dataset_open("/nowhere/at/all", LABELS_AUTO, &d, &e), TS_IO);
    assert_non_null(strstr(e.text, "/nowhere/at/all"));
}

/* Folds partition the cases, are of even size, follow the seed, and never part a patient. */
static void test_split(void **state)
{
    (void)state;
    enum { PATIENTS = 11, FOLDS = 5 };
    static const char *files[2 * PATIENTS];
    for (int i = 0; i < PATIENTS; i++)
        for (int v = 0; v < 2; v++)
            files[2 * i + v] = string_format("BraTS-GLI-%05d-%03d-t1c.nii.gz", i, v);
    dataset d;
    open_ok(touch("split", files, COUNT_OF(files)), &d);
    assert_int_equal(d.count, 2 * PATIENTS);
    bool held[FOLDS][2 * PATIENTS], again[2 * PATIENTS];
    for (int f = 0; f < FOLDS; f++) {
        dataset_split(&d, 7, f, FOLDS, held[f]);
        int patients = 0;
        for (int i = 0; i < PATIENTS; i++) {
            assert_int_equal(held[f][2 * i], held[f][2 * i + 1]);
            patients += held[f][2 * i];
        }
        assert_in_range(patients, PATIENTS / FOLDS, PATIENTS / FOLDS + 1);
    }
    for (int i = 0; i < 2 * PATIENTS; i++)
        assert_int_equal(held[0][i] + held[1][i] + held[2][i] + held[3][i] + held[4][i], 1);
    dataset_split(&d, 7, 3, FOLDS, again);
    assert_memory_equal(again, held[3], sizeof again);
    dataset_split(&d, 8, 3, FOLDS, again);
    assert_memory_not_equal(again, held[3], sizeof again);
    dataset_split(&d, 7, 0, 1, again);
    for (int i = 0; i < 2 * PATIENTS; i++) {
        assert_false(again[i]);
        free((char *)(uintptr_t)files[i]);
    }
    dataset_close(&d);
}

/* ---- MSD and nnU-Net -------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *content)
{
    char path[700];
    ts_error e;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_put(path, content, strlen(content), &e), TS_OK);
}

static void test_msd(void **state)
{
    (void)state;
    static const char *const files[] = {
        "Task01/imagesTr/BRATS_001.nii.gz", "Task01/imagesTr/._BRATS_001.nii.gz",
        "Task01/imagesTr/BRATS_002.nii.gz", "Task01/labelsTr/BRATS_001.nii.gz",
        "Task01/imagesTs/BRATS_485.nii.gz",
    };
    dataset d;
    char path[600];
    snprintf(path, sizeof path, "%s", touch("msd", files, COUNT_OF(files)));
    open_ok(path, &d); /* the folder above, and no dataset.json: MSD's own order */
    assert_string_equal(dataset_layout(&d), "MSD Task01");
    assert_int_equal(d.count, 2);
    assert_string_equal(d.cases[0].id, "BRATS_001");
    assert_int_equal(d.cases[0].channel[T2], 3);
    assert_int_equal(d.cases[0].labels, LABELS_MSD);
    assert_true(noted(&d, "no dataset.json"));
    assert_true(noted(&d, "imagesTs"));
    dataset_close(&d);

    put(path, "Task01/dataset.json",
        "{\"modality\": {\"0\": \"T1w\", \"1\": \"t1gd\", \"2\": \"FLAIR\", \"3\": \"T2w\"},"
        " \"labels\": {\"0\": \"background\", \"1\": \"edema\", \"2\": \"non-enhancing tumor\","
        " \"3\": \"enhancing tumour\"}}");
    open_ok(path, &d);
    static const int channels[MODALITIES] = {[T1] = 0, [T1CE] = 1, [FLAIR] = 2, [T2] = 3};
    assert_memory_equal(d.cases[0].channel, channels, sizeof channels);
    assert_complete(&d, 0);
    assert_null(d.cases[1].truth);
    assert_int_equal(d.cases[0].labels, LABELS_MSD);
    dataset_close(&d);

    strcat(path, "/Task01/imagesTs");
    open_ok(path, &d);
    assert_int_equal(d.count, 1);
    assert_string_equal(d.cases[0].id, "BRATS_485");
    assert_int_equal(dataset_case_modalities(&d.cases[0]), ALL_MODALITIES);
    dataset_close(&d);
}

static void test_nnunet(void **state)
{
    (void)state;
    static const char *const files[] = {
        "imagesTr/X_1_0000.nii.gz", "imagesTr/X_1_0001.nii.gz", "imagesTr/X_1_0001.nii",
        "imagesTr/X_0000.nii.gz",   "imagesTr/stray.nii.gz",    "labelsTr/X_1.nii.gz",
        "labelsTr/Y.nii.gz",
    };
    dataset d;
    ts_error e;
    const char *path = touch("raw", files, COUNT_OF(files));
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "no dataset.json"));
    put(path, "dataset.json",
        "{\"channel_names\": {\"0\": \"Flair\", \"1\": \"T1-Gd\"}, \"labels\": {\"background\": 0,"
        " \"whole tumor\": [1, 2, 3], \"tumor core\": [2, 3], \"enhancing tumor\": [3]}}");
    open_ok(path, &d);
    assert_string_equal(dataset_layout(&d), "nnU-Net raw");
    assert_int_equal(d.count, 2);
    assert_string_equal(d.cases[0].id, "X");
    assert_string_equal(d.cases[1].id, "X_1");
    assert_int_equal(dataset_case_modalities(&d.cases[1]), 1u << FLAIR | 1u << T1CE);
    assert_true(string_ends(d.cases[1].image[T1CE], "_0001.nii.gz"));
    assert_int_equal(d.cases[1].channel[T1CE], 0);
    assert_non_null(d.cases[1].truth);
    assert_int_equal(d.cases[1].labels, LABELS_MSD);
    assert_true(noted(&d, "stray.nii.gz"));
    assert_true(noted(&d, "X_1_0001.nii' is left"));
    assert_true(noted(&d, "Y.nii.gz' is left"));
    dataset_close(&d);
}

static void test_dataset_json(void **state)
{
    (void)state;
    static const char *const files[] = {"imagesTr/X_0000.nii.gz", "labelsTr/X.nii.gz"};
    static const struct {
        const char *json, *word; /* NULL: good, with `labels` */
        label_map labels;
    } contents[] = {
        {"{\"channel_names\": {\"0\": \"T1\"", "not JSON", 0},
        {"[]", "names no channels", 0},
        {"{\"modality\": {\"0\": \"CT\"}}", "no channel t1", 0},
        {"{\"modality\": {\"0\": \"T1c\", \"1\": \"T1ce\"}}", "both mean t1ce", 0},
        {"{\"modality\": {\"x\": \"T1\"}}", "number from 0", 0},
        {"{\"modality\": {\"99999999999\": \"T1\"}}", "number from 0", 0},
        {"{\"modality\": [\"T1\"], \"labels\": {\"1\": \"liver\"}}", "1 liver", 0},
        {"{\"modality\": [\"T1\"], \"labels\": {\"edema\": 7}}", "7 edema", 0},
        {"{\"modality\": [\"T1\"]}", "does not say what its labels mean", 0},
        {"{\"modality\": [\"T1\"], \"labels\": {\"NCR\": 1, \"ED\": 2, \"ET\": 4}}", NULL,
         LABELS_BRATS2021},
        {"{\"modality\": [\"T1\"], \"labels\": {\"NETC\": 1, \"SNFH\": 2, \"ET\": \"3\"}}", NULL,
         LABELS_BRATS2023},
        {"{\"modality\": [\"T1\"], \"labels\": {\"1\": \"NETC\", \"2\": \"SNFH\", \"3\": \"ET\","
         " \"4\": \"resection cavity\"}}",
         NULL, LABELS_BRATS2024},
        {"{\"modality\": [\"T1\"], \"labels\": {\"ET\": 1, \"NonEnh\": 2, \"Cystic\": 3, "
         "\"Edema\": 4}}",
         NULL, LABELS_PED},
        {"{\"modality\": [\"T1\"], \"labels\": {\"whole_tumor\": [1, 2, 3, 4], "
         "\"tumor_core\": [1, 2, 3], \"enhancing_tumor\": 1}}",
         NULL, LABELS_PED},
        {"\xef\xbb\xbf{\"modality\": [\"T1\"], \"labels\": {\"NCR\": 1, \"ED\": 2, \"ET\": 4}}",
         NULL, LABELS_BRATS2021}, /* behind a byte-order mark */
        {"{\"modality\": [\"T1\"], \"labels\": {\"background\": 0, \"GTV\": 1}}", "1 GTV", 0},
    };
    const char *path = touch("json", files, COUNT_OF(files));
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        dataset d;
        ts_error e = {0};
        put(path, "dataset.json", contents[i].json);
        const ts_status status = dataset_open(path, LABELS_AUTO, &d, &e);
        if (contents[i].word && (status != TS_BAD_INPUT || !strstr(e.text, contents[i].word)))
            fail_msg("%s: '%s' lacks '%s'", contents[i].json, e.text, contents[i].word);
        if (contents[i].word)
            continue;
        assert_int_equal(status, TS_OK);
        assert_int_equal(d.cases[0].labels, contents[i].labels);
        dataset_close(&d);
    }
}

/* nnU-Net's mask: where any modality is not 0, and the hole in the middle; a voxel that is 0 in one
 * modality alone counts with its 0. */
static void test_union_mask(void **state)
{
    (void)state;
    enum { N = 5, INNER = 27, MIDDLE = 13 }; /* a cube of 3 in a volume of 5; its voxels in order */
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {1, 1, 1};
    const double affine[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    char path[2][512];
    dataset_case c = {.id = (char[]){"x"}};
    double mean = 0, square = 0;
    ts_error e;
    run("mkdir -p %s/union", root);
    for (int m = 0; m < 2; m++) {
        float data[N * N * N] = {0};
        for (int i = 0; i < INNER; i++) {
            const int at = (i / 9 + 1) * N * N + (i / 3 % 3 + 1) * N + i % 3 + 1;
            data[at] = i == MIDDLE || (m == 0 && i == 0) ? 0 : (float)(i + 1);
            mean += m == 0 ? data[at] / INNER : 0;
            square += m == 0 ? data[at] * data[at] / INNER : 0;
        }
        snprintf(path[m], sizeof path[m], "%s/union/%d.nii", root, m);
        assert_int_equal(volume_write_float(path[m], &h, 1, data, &e), TS_OK);
        c.image[m ? FLAIR : T1CE] = path[m];
    }
    preprocessed ready;
    assert_int_equal(preprocess_case(&c, ALL_MODALITIES, 1, BRAIN_UNION, false, NULL, &ready, &e),
                     TS_OK);
    const float *image = ready.images + T1CE * INNER;
    assert_int_equal(ready.geometry.shape[0] * ready.geometry.shape[1], 9);
    for (int i = 0; i < INNER; i++) {
        const double value = i == MIDDLE || i == 0 ? 0 : i + 1;
        assert_true(fabs(image[i] - (value - mean) / sqrt(square - mean * mean)) < 1e-5);
    }
    preprocessed_free(&ready);
}

/* One image in other units: z-scores do not care, down to the ends of float32. */
static void test_units(void **state)
{
    (void)state;
    enum { N = 8, VOXELS = N * N * N };
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {1, 1, 1};
    const double affine[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    static const double factors[] = {0x1p-100, 0x1p-30, 0x1p100, 1e-30, 1e-20, 1e-11,
                                     1e-8,     1e-3,    1e4,     1e20,  1e30};
    for (int resampled = 0; resampled < 2; resampled++)
        for (int mask = BRAIN_OWN; mask <= BRAIN_UNION; mask++) {
            preprocessed ready[2] = {{0}};
            for (size_t f = 0; f <= COUNT_OF(factors); f++) { /* the first is the image itself */
                float data[VOXELS];
                const float *images[MODALITIES] = {[FLAIR] = data};
                const double factor = f ? factors[f - 1] : 1;
                preprocessed *now = &ready[f > 0];
                ts_error e;
                for (int i = 0; i < VOXELS; i++)
                    data[i] = i % 3 ? (float)((i * 37 % 101 + 300) * factor) : 0;
                assert_int_equal(preprocess_images(&h, images, resampled ? 1.5 : 1,
                                                   (brain_mask)mask, NULL, now, NULL, &e),
                                 TS_OK);
                const int64_t *n = now->geometry.shape;
                const int64_t voxels = n[0] * n[1] * n[2];
                for (int64_t i = 0; f && i < voxels; i++) {
                    const float a = ready[0].images[FLAIR * voxels + i];
                    const float b = ready[1].images[FLAIR * voxels + i];
                    assert_true(f <= 3 ? a == b : fabsf(a - b) < 1e-4f);
                }
                if (f)
                    preprocessed_free(now);
            }
            preprocessed_free(&ready[0]);
        }
}

/* An image of one value is a mask: refused, in whatever plane its voxels lie; one other value makes
 * it an image. */
static void test_constant(void **state)
{
    (void)state;
    enum { N = 8, VOXELS = N * N * N };
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {1, 1, 1};
    const double affine[4][4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    for (int other = -1; other < VOXELS; other += 73) {
        float data[VOXELS];
        const float *images[MODALITIES] = {[T2] = data};
        preprocessed ready;
        ts_error e = {0};
        for (int i = 0; i < VOXELS; i++)
            data[i] = i == other ? 1e-9f : i % 5 ? 2e-9f : 0;
        const ts_status status =
            preprocess_images(&h, images, 1, BRAIN_OWN, NULL, &ready, NULL, &e);
        assert_int_equal(status, other < 0 ? TS_BAD_INPUT : TS_OK);
        if (other < 0)
            assert_non_null(strstr(e.text, "'t2' is 2e-09 in every voxel that is not 0"));
        else
            preprocessed_free(&ready);
    }
    /* every plane of one value, but not of the same */
    float planes[VOXELS];
    const float *images[MODALITIES] = {[T2] = planes};
    preprocessed ready;
    ts_error e;
    for (int i = 0; i < VOXELS; i++)
        planes[i] = (float)(1 + i / (N * N));
    assert_int_equal(preprocess_images(&h, images, 1, BRAIN_OWN, NULL, &ready, NULL, &e), TS_OK);
    preprocessed_free(&ready);
}

/* A FLAIR and a truth whose first axis runs the other way, as some tools write them, make the case
 * that they would make in order. */
static void test_other_axes(void **state)
{
    (void)state;
    enum { N = 6, VOXELS = N * N * N };
    const int64_t shape[3] = {N, N, N};
    const double spacing[3] = {1, 1, 1};
    const double lps[4][4] = {{-1, 0, 0, 7}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const double rps[4][4] = {{1, 0, 0, 7 - (N - 1)}, {0, -1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, lps);
    const volume_header other = volume_header_make(shape, spacing, rps);
    float image[VOXELS], turned[VOXELS];
    uint8_t labels[VOXELS], turned_labels[VOXELS];
    char path[5][512];
    preprocessed ready[2];
    ts_error e;
    run("mkdir -p %s/axes", root);
    for (int i = 0; i < VOXELS; i++) {
        const int across = i / N * N + N - 1 - i % N;
        /* two empty planes at one side of every axis: the crop begins where the head does */
        const bool inside = i % N < N - 2 && i / N % N > 1 && i / N / N < N - 2;
        image[i] = turned[across] = inside ? (float)(i + 1) : 0;
        labels[i] = turned_labels[across] = i % 7 == 0 ? 2 : 0;
    }
    for (int i = 0; i < 5; i++)
        snprintf(path[i], sizeof path[i], "%s/axes/%d.nii", root, i);
    assert_int_equal(volume_write_float(path[0], &h, 1, image, &e), TS_OK);
    assert_int_equal(volume_write_float(path[1], &h, 1, image, &e), TS_OK);
    assert_int_equal(volume_write_float(path[2], &other, 1, turned, &e), TS_OK);
    assert_int_equal(volume_write_labels(path[3], &h, labels, &e), TS_OK);
    assert_int_equal(volume_write_labels(path[4], &other, turned_labels, &e), TS_OK);
    for (int i = 0; i < 2; i++) {
        dataset_case c = {.id = (char[]){"x"}, .truth = path[3 + i]};
        c.image[T1CE] = path[0];
        c.image[FLAIR] = path[1 + i];
        assert_int_equal(
            preprocess_case(&c, ALL_MODALITIES, 1, BRAIN_OWN, true, NULL, &ready[i], &e), TS_OK);
    }
    enum { CROP = (N - 2) * (N - 2) * (N - 2) };
    assert_memory_equal(ready[0].images, ready[1].images, MODALITIES * CROP * sizeof *image);
    assert_memory_equal(ready[0].labels, ready[1].labels, CROP);
    for (int i = 0; i < CROP; i++) {
        const int x = i % (N - 2), y = i / (N - 2) % (N - 2) + 2, z = i / (N - 2) / (N - 2);
        assert_int_equal(ready[1].labels[i], labels[(z * N + y) * N + x]);
    }
    preprocessed_free(&ready[0]);
    preprocessed_free(&ready[1]);
    /* the same by a first image that is turned: the crop is taken at the other end of its axis */
    dataset_case c = {.id = (char[]){"x"}, .truth = path[4]};
    c.image[T1CE] = path[2];
    c.image[FLAIR] = path[1];
    assert_int_equal(preprocess_case(&c, ALL_MODALITIES, 1, BRAIN_OWN, true, NULL, &ready[0], &e),
                     TS_OK);
    for (int i = 0; i < CROP; i++) {
        const int x = i % (N - 2), y = i / (N - 2) % (N - 2) + 2, z = i / (N - 2) / (N - 2);
        assert_int_equal(ready[0].labels[i], labels[(z * N + y) * N + x]);
        assert_true(ready[0].images[T1CE * CROP + i] == ready[0].images[FLAIR * CROP + i]);
    }
    preprocessed_free(&ready[0]);
}

/* Voxels are resampled where their size is another one, but not for what float32 headers lose. */
static void test_resampled_size(void **state)
{
    (void)state;
    enum { N = 12 };
    static const struct {
        double zoom_mm;
        int64_t expected;
    } cases[] = {{1, 12}, {1.0000001, 12}, {1.05, 13}, {0.95, 11}, {2, 24}};
    const int64_t shape[3] = {N, N, N};
    static float image[N * N * N];
    char path[512];
    ts_error e;
    snprintf(path, sizeof path, "%s/size.nii", root);
    for (int i = 0; i < N * N * N; i++)
        image[i] = (float)(i % 17 + 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const double mm = cases[i].zoom_mm, spacing[3] = {mm, mm, mm};
        const double affine[4][4] = {{-mm, 0, 0, 0}, {0, -mm, 0, 0}, {0, 0, mm, 0}, {0, 0, 0, 1}};
        const volume_header h = volume_header_make(shape, spacing, affine);
        dataset_case c = {.id = (char[]){"x"}, .image = {[FLAIR] = path}};
        preprocessed ready;
        assert_int_equal(volume_write_float(path, &h, 1, image, &e), TS_OK);
        assert_int_equal(preprocess_case(&c, ALL_MODALITIES, 1, BRAIN_OWN, false, NULL, &ready, &e),
                         TS_OK);
        for (int k = 0; k < 3; k++)
            assert_int_equal(ready.geometry.shape[k], cases[i].expected);
        preprocessed_free(&ready);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_truths),
        cmocka_unit_test(test_years),
        cmocka_unit_test(test_post_treatment),
        cmocka_unit_test(test_quirks),
        cmocka_unit_test(test_no_case),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_msd),
        cmocka_unit_test(test_nnunet),
        cmocka_unit_test(test_dataset_json),
        cmocka_unit_test(test_union_mask),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_other_axes),
        cmocka_unit_test(test_resampled_size),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
