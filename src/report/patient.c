/* A folder of `segment`: what was given, what was found in it, warnings, measures, slices. All of it
 * stands in that folder. */
#include "labels/labels.h"
#include "report/parts.h"

#include <stdlib.h>
#include <string.h>

/* A file of the folder as JSON; null where it is not there. */
static ts_status add_json(const char *folder, const char *name, const char *key, json_t *page,
                          ts_error *error)
{
    json_t *content = NULL;
    char *path = path_join(folder, name, error);
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (path && file_exists(path))
        status = json_read(path, JSON_BYTES_MAX, &content, error);
    free(path);
    if (status == TS_OK)
        json_object_set_new(page, key, content ? content : json_null());
    return status;
}

static ts_status read_labels(const char *folder, volume_header *h, uint8_t **labels,
                             ts_error *error)
{
    char *path = path_join(folder, "seg.nii.gz", error);
    ts_status status = path ? volume_read_labels(path, h, labels, error) : TS_MEMORY;
    const int64_t *n = h->shape;
    if (status == TS_OK) /* values of another reading are shown as they are read */
        status = labels_map(*labels, (size_t)(n[0] * n[1] * n[2]), LABELS_AUTO, false, path, error);
    free(path);
    return status;
}

static ts_status read_images(const char *folder, const volume_header *grid,
                             volume volumes[MODALITIES], picture_source *s, ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        char *path = string_format("%s/images/%s.nii.gz", folder, modality_names[m]);
        if (!path)
            return error_set(error, TS_MEMORY, "out of memory");
        if (file_exists(path))
            status = volume_read(path, &volumes[m], error);
        if (status == TS_OK && volumes[m].data && volume_same_grid(&volumes[m].header, grid))
            s->images[m] = volumes[m].data;
        free(path);
    }
    return status;
}

static ts_status add_slices(const char *folder, size_t text_limit, json_t *page, ts_error *error)
{
    volume volumes[MODALITIES] = {{.data = NULL}};
    volume_header grid;
    uint8_t *labels = NULL;
    json_t *slices = NULL;
    picture_source s = {.header = &grid};
    ts_status status = read_labels(folder, &grid, &labels, error);
    if (status == TS_OK)
        status = read_images(folder, &grid, volumes, &s, error);
    s.prediction = labels;
    if (status == TS_OK)
        status = report_pack(&s, text_limit, NULL, &slices, error);
    if (status == TS_OK)
        json_object_set_new(page, "slices", slices);
    for (int m = 0; m < MODALITIES; m++)
        volume_free(&volumes[m]);
    free(labels);
    return status;
}

ts_status report_patient(const char *folder, size_t text_limit, json_t **out, ts_error *error)
{
    static const char *const files[][2] = {{"segment.json", "record"},
                                           {"registration.json", "registration"},
                                           {"measures.json", "measures"}};
    *out = json_object();
    ts_status status = *out ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(files); i++)
        status = add_json(folder, files[i][0], files[i][1], *out, error);
    if (status == TS_OK)
        status = add_slices(folder, text_limit, *out, error);
    return status;
}
