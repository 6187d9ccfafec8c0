/* dataset: which data set a folder holds: challenges by their cases' names, several data sets in
 * one folder, DICOM. */
#include "made_folders.h"

/* Every challenge since 2023 is known by its cases' names. */
static void test_challenges(void **state)
{
    (void)state;
    static const struct {
        const char *file, *layout;
        label_map labels;
    } cases[] = {
        {"BraTS-GLI-00005-000-t1c.nii.gz", "BraTS 2023", LABELS_AUTO},
        {"BraTS-GLI-00005-101-t1c.nii.gz", "BraTS 2024 post-treatment", LABELS_BRATS2024},
        {"BraTS-MET-00001-000-t1c.nii.gz", "BraTS-MET", LABELS_BRATS2024},
        {"BraTS-MEN-00004-000-t1c.nii.gz", "BraTS-MEN", LABELS_AUTO},
        {"BraTS-MEN-RT-0001-1_t1c.nii.gz", "BraTS-MEN-RT", LABELS_GTV},
        {"BraTS-PED-00002-000-t1c.nii.gz", "BraTS-PED", LABELS_PED_AUTO},
        {"BraTS-SSA-00002-000-t1c.nii.gz", "BraTS-SSA", LABELS_AUTO},
        {"BraTS-GoAT-00000-t1c.nii.gz", "BraTS-GoAT", LABELS_AUTO},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dataset d;
        ts_error e;
        const char *path = touch("challenge", &cases[i].file, 1);
        open_ok(path, &d);
        assert_string_equal(dataset_layout(&d), cases[i].layout);
        assert_int_equal(d.cases[0].labels, cases[i].labels);
        assert_int_equal(dataset_labels_by_name(d.cases[0].image[T1CE]), cases[i].labels);
        assert_int_equal(dataset_labels_by_name(d.cases[0].id), cases[i].labels);
        dataset_close(&d);
        assert_int_equal(dataset_open(path, LABELS_BRATS2023, &d, &e), TS_OK);
        assert_int_equal(d.cases[0].labels, LABELS_BRATS2023); /* what is set holds */
        dataset_close(&d);
    }
    /* a target of radiotherapy is a truth, which no reading fits */
    static const char *const files[] = {"BraTS-MEN-RT-0001-1/BraTS-MEN-RT-0001-1_t1c.nii.gz",
                                        "BraTS-MEN-RT-0001-1/BraTS-MEN-RT-0001-1_gtv.nii.gz",
                                        "A/A_t1c.nii.gz", "A/A_gtv.nii.gz"};
    dataset d;
    open_ok(touch("target", files, COUNT_OF(files)), &d);
    assert_int_equal(d.count, 2);
    assert_null(d.cases[0].truth);
    assert_non_null(d.cases[1].truth);
    assert_string_equal(d.cases[1].id, "BraTS-MEN-RT-0001-1");
    dataset_close(&d);
}

/* A folder that holds two data sets is refused with both places, whatever the layouts and however
 * deep the second lies; several BraTS-like trees are one data set. */
static void test_several(void **state)
{
    (void)state;
    static const struct {
        const char *files[2], *root, *word; /* the folder that is named */
    } kinds[] = {
        {{"%sBraTS2021_0000%d/BraTS2021_0000%d_t1.nii.gz", NULL}, "BraTS2021_0000", "BraTS-like"},
        {{"%simagesTr/X%d_0000.nii.gz", "%slabelsTr/X%d.nii.gz"}, "", "nnU-Net raw"},
        {{"%simagesTr/BRATS_00%d.nii.gz", "%simagesTs/BRATS_10%d.nii.gz"}, "", "MSD Task01"},
    };
    static const char *const places[][2] = {
        {"", "a/"}, {"a/", "b/"}, {"a/b/c/", "a/b/"}, {"", "a/b/c/d/e/f/"}, {"a/b/c/d/e/", "b/c/"}};
    for (size_t a = 0; a < COUNT_OF(kinds); a++)
        for (size_t b = 0; b < COUNT_OF(kinds); b++)
            for (size_t p = 0; p < COUNT_OF(places); p++) {
                char names[4][200];
                const char *files[4];
                size_t count = 0;
                const size_t both[2] = {a, b};
                for (int i = 0; i < 2; i++)
                    for (int k = 0; k < 2 && kinds[both[i]].files[k]; k++, count++) {
                        snprintf(names[count], sizeof names[0], kinds[both[i]].files[k],
                                 places[p][i], i + 1, i + 1);
                        files[count] = names[count];
                    }
                char path[512];
                dataset d;
                ts_error e = {0};
                snprintf(path, sizeof path, "%s", touch("several", files, count));
                const ts_status status = dataset_open(path, LABELS_AUTO, &d, &e);
                if (a == 0 && b == 0) {
                    assert_int_equal(status, TS_OK);
                    assert_int_equal(d.count, 2);
                    dataset_close(&d);
                    continue;
                }
                assert_int_equal(status, TS_BAD_INPUT);
                for (int i = 0; i < 2; i++) {
                    char place[900];
                    snprintf(place, sizeof place, "several/%s%s", places[p][i],
                             kinds[both[i]].root);
                    if (kinds[both[i]].root[0] == '\0')
                        place[strlen(place) - 1] = '\''; /* in place of the slash */
                    if (!strstr(e.text, place) || !strstr(e.text, kinds[both[i]].word))
                        fail_msg("'%s' lacks '%s' or '%s'", e.text, place, kinds[both[i]].word);
                }
                assert_non_null(strstr(e.text, "give one"));
            }

    /* within a folder of images, by a link, and a link to itself, which is not a second one */
    static const char *const inner[] = {"imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz",
                                        "imagesTr/old/C_flair.nii.gz"};
    static const char *const linked[] = {"imagesTr/BRATS_001.nii.gz"};
    static const char *const tree[] = {"C_flair.nii.gz"};
    char path[512];
    dataset d;
    ts_error e = {0};
    assert_int_equal(dataset_open(touch("several", inner, 3), LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "imagesTr/old/C_flair.nii.gz"));
    snprintf(path, sizeof path, "%s", touch("several", inner, 3));
    strcat(path, "/imagesTr");
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    snprintf(path, sizeof path, "%s", touch("several", linked, 1));
    run("ln -s . %s/self; ln -s imagesTr %s/imagesTs", path, path);
    open_ok(path, &d);
    assert_int_equal(d.count, 1);
    dataset_close(&d);
    touch("elsewhere", tree, 1);
    run("ln -s %s/elsewhere %s/more", root, path);
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "several/more/C_flair.nii.gz"));
}

/* imagesVal beside imagesTr is left, and said to be. */
static void test_other_images(void **state)
{
    (void)state;
    static const char *const files[] = {"imagesTr/BRATS_001.nii.gz", "imagesVal/BRATS_002.nii.gz"};
    dataset d;
    open_ok(touch("others", files, 2), &d);
    assert_int_equal(d.count, 1);
    assert_true(noted(&d, "/imagesVal' are not read"));
    dataset_close(&d);
}

/* DICOM is named as such, with the command that reads it. */
static void test_dicom(void **state)
{
    (void)state;
    static const char *const files[] = {"P1/s/readme", "P1/s/IM0001"};
    char path[512];
    dataset d;
    ts_error e = {0};
    snprintf(path, sizeof path, "%s", touch("dicom", files, 2));
    run("head -c 128 /dev/zero > %s/P1/s/IM0001; printf 'DICM' >> %s/P1/s/IM0001", path, path);
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "twinseg prepare"));
    assert_non_null(strstr(e.text, "P1/s/IM0001"));
    strcat(path, "/P1/s/IM0001");
    assert_int_equal(dataset_open(path, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "twinseg prepare"));
}

/* Several folders are one data set: sorted over all of them, every case with its folder; two cases of
 * one id are refused with both places. */
static void test_folders(void **state)
{
    (void)state;
    static const char *const one[] = {"B_flair.nii.gz", "B_seg.nii.gz", "D_flair.nii.gz"};
    static const char *const two[] = {"C/C_t1.nii.gz", "A/A_t2.nii.gz"};
    static const char *const three[] = {"B-t2f.nii.gz"};
    char paths[3][512];
    const char *list[3] = {paths[0], paths[1], paths[2]};
    dataset d;
    ts_error e = {0};
    snprintf(paths[0], sizeof paths[0], "%s", touch("first", one, 3));
    snprintf(paths[1], sizeof paths[1], "%s", touch("second", two, 2));
    snprintf(paths[2], sizeof paths[2], "%s", touch("third", three, 1));
    assert_int_equal(dataset_open_all(list, 2, LABELS_AUTO, &d, &e), TS_OK);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.folder_count, 2);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(d.cases[i].id[0], 'A' + (int)i);
        assert_int_equal(d.cases[i].folder, 1 - i % 2);
    }
    assert_true(dataset_is_folder(&d, paths[0]) && dataset_is_folder(&d, paths[1]));
    assert_false(dataset_is_folder(&d, paths[2]));
    char inside[600];
    snprintf(inside, sizeof inside, "%s/new", paths[1]);
    assert_int_equal(dataset_check_place(&d, inside, &e), TS_BAD_INPUT);
    dataset_close(&d);

    assert_int_equal(dataset_open_all(list, 3, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "case 'B' stands in"));
    assert_non_null(strstr(e.text, "first/B_flair.nii.gz"));
    assert_non_null(strstr(e.text, "third/B-t2f.nii.gz"));
    snprintf(paths[1], sizeof paths[1], "%s/first/.", root);
    assert_int_equal(dataset_open_all(list, 2, LABELS_AUTO, &d, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "are the same data set"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenges), cmocka_unit_test(test_several),
        cmocka_unit_test(test_folders),    cmocka_unit_test(test_other_images),
        cmocka_unit_test(test_dicom),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
