/* What of a folder is compared: labels and images of one case. */
#include "compare/compare.h"
#include "dataset/dataset.h"

#include <stdlib.h>
#include <string.h>

static char *below(const char *folder, const char *name)
{
    char *path = path_join(folder, name, NULL);
    if (path && file_exists(path))
        return path;
    free(path);
    return NULL;
}

static ts_status take_case(const dataset *d, const char *folder, compare_date *out, ts_error *error)
{
    if (d->count != 1)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' holds %zu cases: give the folder of a single one", folder, d->count);
    for (int m = 0; m < MODALITIES; m++)
        if (d->cases[0].image[m] && d->cases[0].channel[m] == 0) {
            out->images[m] = strdup(d->cases[0].image[m]);
            if (!out->images[m])
                return error_set(error, TS_MEMORY, "out of memory");
        }
    if (!out->labels && d->cases[0].truth)
        out->labels = strdup(d->cases[0].truth);
    return TS_OK;
}

ts_status compare_date_open(const char *folder, compare_date *out, ts_error *error)
{
    dataset d;
    size_t length = strlen(folder);
    *out = (compare_date){0};
    if (!directory_exists(folder))
        return error_set(
            error, TS_BAD_INPUT,
            "'%s' is not a folder: give what 'twinseg segment' wrote, or a folder with "
            "the images and labels of one case",
            folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    char *plain = string_format("%.*s", (int)length, folder);
    out->id = plain ? strdup(string_file_name(plain)) : NULL;
    free(plain);
    if (!out->id)
        return error_set(error, TS_MEMORY, "out of memory");
    char *images = below(folder, "images");
    out->labels = below(folder, "seg.nii.gz");
    out->brain = below(folder, "brain.nii.gz");
    ts_status status = dataset_open(images ? images : folder, LABELS_AUTO, &d, error);
    if (status == TS_OK) {
        status = take_case(&d, folder, out, error);
        dataset_close(&d);
    }
    free(images);
    if (status == TS_OK && !out->labels)
        status =
            error_set(error, TS_BAD_INPUT, "'%s' holds no labels: there is no seg.nii.gz", folder);
    return status;
}

void compare_date_free(compare_date *d)
{
    for (int m = 0; m < MODALITIES; m++)
        free(d->images[m]);
    free(d->id);
    free(d->labels);
    free(d->brain);
    *d = (compare_date){0};
}
