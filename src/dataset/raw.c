/* imagesTr and labelsTr: the Medical Segmentation Decathlon's Task01 (one 4-D file a case) and
 * nnU-Net's raw data (X_0000.nii.gz, X_0001.nii.gz, ...). dataset.json says which channel is which
 * modality, and what the labels mean. */
#include "dataset/layout.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static ts_status out_of_memory(const char *path, ts_error *error)
{
    return error_set(error, TS_MEMORY, "out of memory while listing '%s'", path);
}

/* "X_0002": channel 2; -1 for another name. */
static int channel_of(const char *name, size_t stem)
{
    if (stem < 6 || name[stem - 5] != '_')
        return -1;
    int channel = 0;
    for (size_t i = stem - 4; i < stem; i++) {
        if (!isdigit((unsigned char)name[i]))
            return -1;
        channel = 10 * channel + name[i] - '0';
    }
    return channel;
}

/* dataset.json, or MSD's order where a Task01 without one is recognised by its file names. */
static ts_status read_description(const char *root, const char *example, bool numbered,
                                  dataset_description *out, dataset *d, ts_error *error)
{
    static const char task01[] =
        "{\"modality\": [\"FLAIR\", \"T1\", \"T1ce\", \"T2\"], \"labels\": "
        "{\"1\": \"edema\", \"2\": \"necrosis\", \"3\": \"enhancing\"}}";
    uint8_t *bytes = NULL;
    size_t count = 0;
    char *file = path_join(root, "dataset.json", NULL);
    ts_status status = file ? TS_OK : out_of_memory(root, error);
    if (file && file_exists(file)) {
        status = file_get(file, DESCRIPTION_BYTES_MAX, &bytes, &count, error);
        if (status == TS_OK)
            status = dataset_describe((const char *)bytes, count, file, out, error);
    } else if (file && !numbered && !strncmp(example, "BRATS_", 6)) {
        status = dataset_describe(task01, sizeof task01 - 1, file, out, error);
        if (status == TS_OK)
            status = dataset_note(d, error,
                                  "'%s' has no dataset.json: the channels are taken to be "
                                  "FLAIR, T1, T1CE, T2, as in MSD Task01",
                                  root);
    } else if (file) {
        status =
            error_set(error, TS_BAD_INPUT,
                      "'%s' has no dataset.json: without it nothing says which channel of '%s' "
                      "is which modality",
                      root, example);
    }
    free(bytes);
    free(file);
    return status;
}

/* Gives a modality of c its file. Of two (.nii beside .nii.gz) the compressed one is kept: it
 * carries a checksum. */
static ts_status set_image(dataset *d, dataset_case *c, int m, int channel, const char *path,
                           ts_error *error)
{
    const char *left = path;
    if (c->image[m]) {
        const bool better = string_ends_nocase(path, ".gz");
        left = better ? c->image[m] : path;
        const ts_status status =
            dataset_note(d, error, "case %s: '%s' is left, '%s' is taken for the same", c->id, left,
                         better ? path : c->image[m]);
        if (status != TS_OK || !better)
            return status;
        free(c->image[m]);
    }
    c->image[m] = strdup(path);
    c->channel[m] = channel;
    return c->image[m] ? TS_OK : out_of_memory(path, error);
}

/* The file of that name in a folder, or the one within where the name is a folder's. */
static char *resolve(const char *folder, const char *name)
{
    char *path = path_join(folder, name, NULL);
    char *inner = path ? path_within(path) : NULL;
    if (!inner)
        return path;
    free(path);
    return inner;
}

static ts_status add_image(dataset *d, const dataset_description *about, const char *folder,
                           const char *name, bool numbered, ts_error *error)
{
    size_t stem;
    if (name_is_stray(name) || !name_is_image(name, &stem))
        return TS_OK;
    const int channel = channel_of(name, stem);
    if (numbered != (channel >= 0))
        return dataset_note(d, error, "'%s' in '%s' is ignored: the others are %s", name, folder,
                            numbered ? "numbered by channel (X_0000)" : "not numbered by channel");
    if (channel >= about->channels)
        return error_set(error, TS_BAD_INPUT,
                         "'%s/%s' is channel %d, but dataset.json names only %d channels", folder,
                         name, channel, about->channels);
    const size_t id_length = numbered ? stem - 5 : stem;
    dataset_case *c = d->count ? &d->cases[d->count - 1] : NULL;
    if (!c || strlen(c->id) != id_length || strncasecmp(c->id, name, id_length)) {
        char *id = strndup(name, id_length);
        c = id ? dataset_add(d, id, error) : NULL;
        free(id);
        if (!c)
            return error_set(error, TS_MEMORY, "out of memory while listing '%s'", folder);
    }
    char *path = resolve(folder, name);
    if (!path)
        return out_of_memory(folder, error);
    ts_status status = TS_OK;
    const int first = numbered ? channel : 0, end = numbered ? channel + 1 : about->channels;
    for (int k = first; status == TS_OK && k < end; k++)
        if (about->role[k] != ROLE_NONE)
            status = set_image(d, c, about->role[k], numbered ? 0 : k, path, error);
    free(path);
    return status;
}

/* Truths by name: labelsTr/X.nii.gz belongs to case X. */
static ts_status add_truth(dataset *d, const char *folder, const char *name, ts_error *error)
{
    size_t stem, k = 0;
    if (name_is_stray(name) || !name_is_image(name, &stem))
        return TS_OK;
    while (k < d->count &&
           (strlen(d->cases[k].id) != stem || strncasecmp(d->cases[k].id, name, stem) != 0))
        k++;
    if (k == d->count)
        return dataset_note(d, error, "'%s/%s' is left: a truth without images", folder, name);
    free(d->cases[k].truth); /* .nii.gz sorts behind .nii and is the one kept */
    d->cases[k].truth = resolve(folder, name);
    return d->cases[k].truth ? TS_OK : out_of_memory(folder, error);
}

static ts_status add_truths(dataset *d, const char *root, const char *images, ts_error *error)
{
    string_list names = {0};
    char *folder = string_format("%s/labels%s", root, string_file_name(images) + strlen("images"));
    if (!folder)
        return out_of_memory(root, error);
    ts_status status = directory_exists(folder) ? directory_list(folder, &names, error) : TS_OK;
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        status = add_truth(d, folder, names.items[i], error);
    string_list_free(&names);
    free(folder);
    return status;
}

/* Whether the images are numbered by channel, by the first that is not a stray; its name. */
static const char *first_image(const string_list *names, bool *numbered)
{
    size_t stem;
    for (size_t i = 0; i < names->count; i++)
        if (!name_is_stray(names->items[i]) && name_is_image(names->items[i], &stem)) {
            *numbered = channel_of(names->items[i], stem) >= 0;
            return names->items[i];
        }
    return NULL;
}

/* Channels of other names are left; one that is known there must be, and labels that can be
 * read. */
static ts_status check_description(const char *root, const dataset_description *about,
                                   label_map labels, dataset *d, ts_error *error)
{
    bool any = false, truth = false;
    char choices[LABEL_SETTINGS];
    for (int k = 0; k < about->channels; k++) {
        any |= about->role[k] != ROLE_NONE;
        if (about->role[k] != ROLE_NONE)
            continue;
        const ts_status status =
            dataset_note(d, error,
                         "channel %d ('%s') of '%s/dataset.json' is not one of t1, t1ce, t2, flair "
                         "and is not read",
                         k, about->name[k], root);
        if (status != TS_OK)
            return status;
    }
    for (size_t i = 0; i < d->count; i++)
        truth |= d->cases[i].truth != NULL;
    if (!any)
        return error_set(error, TS_BAD_INPUT,
                         "'%s/dataset.json' names no channel t1, t1ce, t2 or flair (the first is "
                         "'%s'): name them there",
                         root, about->name[0]);
    if (!truth || labels != LABELS_AUTO)
        return TS_OK;
    if (!about->label_names[0])
        return error_set(error, TS_BAD_INPUT,
                         "'%s/dataset.json' does not say what its labels mean: name them there, "
                         "or say it by %s",
                         root, labels_settings(choices));
    if (about->labels_unknown)
        return error_set(error, TS_BAD_INPUT,
                         "'%s/dataset.json' names the labels '%s', which are not an order of "
                         "necrosis, edema and enhancing tumour known here: say which values they "
                         "are by %s",
                         root, about->label_names, labels_settings(choices));
    return TS_OK;
}

const char *raw_layout(const char *images)
{
    string_list names;
    bool numbered = true;
    if (directory_list(images, &names, NULL) == TS_OK)
        first_image(&names, &numbered);
    string_list_free(&names);
    return numbered ? "nnU-Net raw" : "MSD Task01";
}

/* Notes the folders of images that are not read. */
static ts_status note_others(const char *root, const char *images, dataset *d, ts_error *error)
{
    string_list names;
    ts_status status = directory_list(root, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        if (name_is_image_folder(names.items[i]) &&
            strcmp(names.items[i], string_file_name(images)) != 0)
            status = dataset_note(d, error,
                                  "the images in '%s/%s' are not read: give that folder to predict "
                                  "them",
                                  root, names.items[i]);
    string_list_free(&names);
    return status;
}

ts_status raw_open(const char *root, const char *images, label_map labels, dataset *d,
                   ts_error *error)
{
    string_list names;
    dataset_description about;
    bool numbered = false;
    ts_status status = directory_list(images, &names, error);
    if (status != TS_OK)
        return status;
    const char *example = first_image(&names, &numbered);
    status = example
                 ? read_description(root, example, numbered, &about, d, error)
                 : error_set(error, TS_BAD_INPUT, "'%s' holds no image (.nii, .nii.gz)", images);
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        status = add_image(d, &about, images, names.items[i], numbered, error);
    if (status != TS_OK)
        goto done;
    if ((status = add_truths(d, root, images, error)) != TS_OK ||
        (status = check_description(root, &about, labels, d, error)) != TS_OK)
        goto done;
    for (size_t i = 0; i < d->count; i++)
        d->cases[i].labels = labels == LABELS_AUTO ? about.labels : labels;
    d->folders->layout = raw_layout(images);
    if (strcmp(string_file_name(images), "imagesTr") != 0)
        status = dataset_note(d, error, "the cases are those of '%s'", images);
    if (status == TS_OK)
        status = note_others(root, images, d, error);
done:
    string_list_free(&names);
    return status;
}
