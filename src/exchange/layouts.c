/* The names of files, channels and labels in each layout, as docs/data.md lists them. nnU-Net's are
 * those of its own conversion of BraTS (Dataset137_BraTS21), MSD's those of Task01_BrainTumour. */
#include "exchange/layouts.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const char *const exchange_layout_names[LAYOUTS] = {"nnunet", "brats2021", "brats2023", "msd"};

static const modality by_name[MODALITIES] = {T1, T1CE, T2, FLAIR};
static const modality by_msd[MODALITIES] = {FLAIR, T1, T1CE, T2};

static const struct {
    bool described;
    const modality *channels;
    label_map labels;              /* how the values written are to be read */
    const char *words[MODALITIES]; /* of files (BraTS) or channels (dataset.json) */
    const char *truth;             /* BraTS: what a truth's file is called */
} layouts[LAYOUTS] = {
    [LAYOUT_NNUNET] = {true, by_name, LABELS_MSD, {"T1", "T1ce", "T2", "Flair"}, NULL},
    [LAYOUT_BRATS2021] =
        {false, by_name, LABELS_BRATS2021, {"_t1", "_t1ce", "_t2", "_flair"}, "_seg"},
    [LAYOUT_BRATS2023] =
        {false, by_name, LABELS_BRATS2023, {"-t1n", "-t1c", "-t2w", "-t2f"}, "-seg"},
    [LAYOUT_MSD] = {true, by_msd, LABELS_MSD, {"T1w", "t1gd", "T2w", "FLAIR"}, NULL},
};

bool layout_has_description(exchange_layout to)
{
    return layouts[to].described;
}

const modality *layout_channels(exchange_layout to)
{
    return layouts[to].channels;
}

label_map layout_labels(exchange_layout to)
{
    return layouts[to].labels;
}

/* ---- files ------------------------------------------------------------------------------ */

static const char *part_of(const dataset_case *c)
{
    return c->truth ? "Tr" : "Ts";
}

char *layout_image_path(exchange_layout to, const char *out, const dataset_case *c,
                        modality_set use, modality m)
{
    const modality_set before = use & ((1u << m) - 1);
    switch (to) {
    case LAYOUT_NNUNET:
        return string_format("%s/images%s/%s_%04d.nii.gz", out, part_of(c), c->id,
                             modality_count(before));
    case LAYOUT_MSD:
        return string_format("%s/images%s/%s.nii.gz", out, part_of(c), c->id);
    default:
        return string_format("%s/%s/%s%s.nii.gz", out, c->id, c->id, layouts[to].words[m]);
    }
}

char *layout_truth_path(exchange_layout to, const char *out, const dataset_case *c)
{
    if (layouts[to].described)
        return string_format("%s/labelsTr/%s.nii.gz", out, c->id);
    return string_format("%s/%s/%s%s.nii.gz", out, c->id, c->id, layouts[to].truth);
}

ts_status layout_make_folders(exchange_layout to, const char *out, const dataset_case *c,
                              ts_error *error)
{
    const char *images = !layouts[to].described ? c->id : c->truth ? "imagesTr" : "imagesTs";
    const char *const names[] = {images, layouts[to].described && c->truth ? "labelsTr" : images};
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(names); i++) {
        char *path = path_join(out, names[i], NULL);
        status =
            path ? directory_create(path, error) : error_set(error, TS_MEMORY, "out of memory");
        free(path);
    }
    return status;
}

/* ---- dataset.json ----------------------------------------------------------------------- */

/* {"0": "FLAIR", "1": "T1w", ...} */
static json_t *channel_names(exchange_layout to, modality_set use)
{
    json_t *names = json_object();
    int count = 0;
    for (int i = 0; i < MODALITIES; i++) {
        const modality m = layouts[to].channels[i];
        char key[16];
        snprintf(key, sizeof key, "%d", count);
        if (use >> m & 1) {
            json_object_set_new(names, key, json_string(layouts[to].words[m]));
            count++;
        }
    }
    return names;
}

/* MSD's lists: {"image": "./imagesTr/X.nii.gz", "label": "./labelsTr/X.nii.gz"} and
 * "./imagesTs/X.nii.gz". */
static json_t *msd_list(const dataset *d, bool truth)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->count; i++) {
        const char *id = d->cases[i].id;
        if ((d->cases[i].truth != NULL) != truth)
            continue;
        json_array_append_new(
            list, truth ? json_pack("{s:o,s:o}", "image", json_sprintf("./imagesTr/%s.nii.gz", id),
                                    "label", json_sprintf("./labelsTr/%s.nii.gz", id))
                        : json_sprintf("./imagesTs/%s.nii.gz", id));
    }
    return list;
}

static json_t *describe(exchange_layout to, const dataset *d, modality_set use)
{
    json_int_t training = 0;
    for (size_t i = 0; i < d->count; i++)
        training += d->cases[i].truth != NULL;
    if (to == LAYOUT_NNUNET)
        return json_pack("{s:o,s:{s:i,s:[i,i,i],s:[i,i],s:[i]},s:[i,i,i],s:I,s:s}", "channel_names",
                         channel_names(to, use), "labels", "background", 0, "whole tumor", 1, 2, 3,
                         "tumor core", 2, 3, "enhancing tumor", 3, "regions_class_order", 1, 2, 3,
                         "numTraining", training, "file_ending", ".nii.gz");
    return json_pack(
        "{s:s,s:s,s:o,s:{s:s,s:s,s:s,s:s},s:I,s:I,s:o,s:o}", "name", "BRATS", "tensorImageSize",
        "4D", "modality", channel_names(to, use), "labels", "0", "background", "1", "edema", "2",
        "non-enhancing tumor", "3", "enhancing tumour", "numTraining", training, "numTest",
        (json_int_t)d->count - training, "training", msd_list(d, true), "test", msd_list(d, false));
}

ts_status layout_write_description(exchange_layout to, const char *out, const dataset *d,
                                   modality_set use, ts_error *error)
{
    json_t *root = describe(to, d, use);
    char *path = path_join(out, "dataset.json", NULL);
    char *content = root ? json_dumps(root, JSON_INDENT(4)) : NULL;
    const ts_status status = path && content
                                 ? file_put(path, content, strlen(content), error)
                                 : error_set(error, TS_MEMORY, "out of memory for dataset.json");
    json_decref(root);
    free(content);
    free(path);
    return status;
}
