/* Pairing predictions with truths by case, and scoring a pair of files. */
#include "dataset/dataset.h"
#include "evaluate/scoring.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- finding files -------------------------------------------------------------------------- */

/* Files by case: ids and paths run in parallel. */
typedef struct {
    string_list ids, paths;
} file_list;

static void file_list_free(file_list *l)
{
    string_list_free(&l->ids);
    string_list_free(&l->paths);
}

static size_t extension_length(const char *name)
{
    return string_ends_nocase(name, ".nii.gz") ? 7 : string_ends_nocase(name, ".nii") ? 4 : 0;
}

/* Length of the name less extension and "-seg" or "_seg"; *marked: it had one of these. */
static size_t id_length(const char *name, bool *marked)
{
    size_t length = strlen(name) - extension_length(name);
    *marked = length > 4 && (name[length - 4] == '-' || name[length - 4] == '_') &&
              !strncasecmp(name + length - 3, "seg", 3);
    return *marked ? length - 4 : length;
}

static ts_status add_file(file_list *l, const char *folder, const char *name, ts_error *error)
{
    bool marked;
    char *id = string_format("%.*s", (int)id_length(name, &marked), name);
    char *path = path_join(folder, name, NULL);
    ts_status status = id && path ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK)
        status = string_list_add(&l->ids, id, error);
    if (status == TS_OK)
        status = string_list_add(&l->paths, path, error);
    free(id);
    free(path);
    return status;
}

/* The images of a folder; where any is marked as a segmentation, those alone. */
static ts_status add_images(file_list *l, const char *folder, bool only_marked, ts_error *error)
{
    string_list names;
    ts_status status = directory_list(folder, &names, error);
    if (status != TS_OK)
        return status;
    for (int pass = 0; pass < 2; pass++) {
        bool any = false, marked;
        for (size_t i = 0; status == TS_OK && i < names.count; i++) {
            const char *name = names.items[i];
            if (name[0] == '.' || !extension_length(name))
                continue;
            id_length(name, &marked);
            if (marked != (pass == 0))
                continue;
            any = true;
            status = add_file(l, folder, name, error);
        }
        if (any || only_marked)
            break;
    }
    string_list_free(&names);
    return status;
}

static ts_status list_files(const char *folder, file_list *l, ts_error *error)
{
    string_list names;
    *l = (file_list){0};
    ts_status status = add_images(l, folder, false, error);
    if (status != TS_OK || l->ids.count)
        return status;
    status = directory_list(folder, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++) {
        char *path = path_join(folder, names.items[i], NULL);
        if (!path)
            status = error_set(error, TS_MEMORY, "out of memory");
        else if (names.items[i][0] != '.' && directory_exists(path))
            status = add_images(l, path, true, error);
        free(path);
    }
    string_list_free(&names);
    return status;
}

static const char *find_path(const file_list *l, const char *id)
{
    for (size_t i = 0; i < l->ids.count; i++)
        if (!strcmp(l->ids.items[i], id))
            return l->paths.items[i];
    return NULL;
}

/* ---- pairing -------------------------------------------------------------------------------- */

static ts_status add_pair(evaluate_list *l, const char *id, const char *prediction,
                          const char *truth, ts_error *error)
{
    evaluate_pair *p = &l->pairs[l->count++];
    p->id = strdup(id);
    p->truth = strdup(truth);
    p->prediction = prediction ? strdup(prediction) : NULL;
    l->missing += !prediction;
    if (!p->id || !p->truth || (prediction && !p->prediction))
        return error_set(error, TS_MEMORY, "out of memory");
    return TS_OK;
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const evaluate_pair *)a)->id, ((const evaluate_pair *)b)->id);
}

static ts_status pair_folders(const char *prediction, const char *truth, evaluate_list *out,
                              ts_error *error)
{
    file_list predictions = {0}, truths = {0};
    ts_status status = list_files(truth, &truths, error);
    if (status == TS_OK)
        status = list_files(prediction, &predictions, error);
    if (status == TS_OK && truths.ids.count == 0)
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' holds no truth: no .nii or .nii.gz in it, and no "
                           "X-seg or X_seg in a folder of it",
                           truth);
    if (status == TS_OK &&
        !(out->pairs = memory_allocate(truths.ids.count, sizeof *out->pairs, "the cases", error)))
        status = TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < truths.ids.count; i++)
        status = add_pair(out, truths.ids.items[i], find_path(&predictions, truths.ids.items[i]),
                          truths.paths.items[i], error);
    for (size_t i = 0; status == TS_OK && i < predictions.ids.count; i++)
        if (!find_path(&truths, predictions.ids.items[i]))
            status = string_list_add(&out->unpaired, predictions.ids.items[i], error);
    file_list_free(&predictions);
    file_list_free(&truths);
    if (status != TS_OK || !out->count)
        return status;
    qsort(out->pairs, out->count, sizeof *out->pairs, compare_pairs);
    for (size_t i = 1; i < out->count; i++)
        if (!strcmp(out->pairs[i].id, out->pairs[i - 1].id))
            return error_set(error, TS_BAD_INPUT, "'%s' holds two truths of case '%s'", truth,
                             out->pairs[i].id);
    return TS_OK;
}

/* A folder that holds one image and has an image's name is that image (public copies have such). */
static bool is_folder(const char *path)
{
    return directory_exists(path) && !extension_length(path);
}

ts_status evaluate_list_open(const char *prediction, const char *truth, evaluate_list *out,
                             ts_error *error)
{
    *out = (evaluate_list){0};
    ts_status status = TS_OK;
    if (!file_exists(prediction) || !file_exists(truth))
        return error_set(error, TS_IO, "'%s' is not there",
                         file_exists(prediction) ? truth : prediction);
    if (is_folder(prediction) != is_folder(truth))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' and '%s' are a file and a folder: give two files or "
                         "two folders",
                         prediction, truth);
    if (is_folder(truth))
        status = pair_folders(prediction, truth, out, error);
    else {
        bool marked;
        const char *name = string_file_name(truth);
        char *id = string_format("%.*s", (int)id_length(name, &marked), name);
        out->pairs = memory_allocate(1, sizeof *out->pairs, "the case", error);
        status = id && out->pairs ? add_pair(out, id, prediction, truth, error) : TS_MEMORY;
        free(id);
    }
    if (status != TS_OK)
        evaluate_list_free(out);
    return status;
}

void evaluate_list_free(evaluate_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->pairs[i].id);
        free(l->pairs[i].prediction);
        free(l->pairs[i].truth);
    }
    free(l->pairs);
    string_list_free(&l->unpaired);
    *l = (evaluate_list){0};
}

/* ---- a pair --------------------------------------------------------------------------------- */

/* The two volumes of a pair: 0 the prediction, 1 the truth. */
typedef struct {
    const char *paths[2];
    label_map maps[2];
    volume_header headers[2];
    uint8_t *labels[2];
    ts_status status[2];
    ts_error error[2];
} pair_reading;

static void read_task(void *context, int64_t i, int thread)
{
    pair_reading *r = context;
    volume_header *h = &r->headers[i];
    (void)thread;
    if (!r->paths[i])
        return;
    r->status[i] = volume_read_labels(r->paths[i], h, &r->labels[i], &r->error[i]);
    if (r->status[i] == TS_OK)
        r->status[i] = labels_map(r->labels[i], (size_t)voxel_count(h->shape), r->maps[i], false,
                                  r->paths[i], &r->error[i]);
}

/* What the case's name tells of label values that no setting speaks of. A prediction is taken to hold
 * the program's own classes, so a 4 in it is asked about where 4 is not ET in the truth. */
static void read_names(const evaluate_pair *pair, label_map maps[2])
{
    const label_map by_name = dataset_labels_by_name(pair->id);
    if (by_name == LABELS_AUTO)
        return;
    maps[0] = maps[0] == LABELS_AUTO ? LABELS_OWN : maps[0];
    maps[1] = maps[1] == LABELS_AUTO ? by_name : maps[1];
}

/* Both volumes, on one grid with sizes in mm, an absent prediction as an empty one; labels are to
 * be freed also after an error. */
static ts_status read_pair(const evaluate_pair *pair, pair_reading *r, pool *p, ts_error *error)
{
    r->paths[0] = pair->prediction;
    r->paths[1] = pair->truth;
    read_names(pair, r->maps);
    pool_run(p, read_task, r, 2);
    for (int i = 1; i >= 0; i--)
        if (r->status[i] != TS_OK) {
            if (error)
                *error = r->error[i];
            return r->status[i];
        }
    if (!pair->prediction) {
        r->headers[0] = r->headers[1];
        r->labels[0] = memory_allocate((size_t)voxel_count(r->headers[0].shape), 1,
                                       "an empty prediction", error);
        if (!r->labels[0])
            return TS_MEMORY;
    }
    bool turned;
    const ts_status status =
        volume_turn_labels(&r->headers[0], &r->labels[0], &r->headers[1], &turned, error);
    if (status != TS_OK)
        return status;
    if (turned)
        note("'%s' runs along other axes than its truth, on the same grid: turned",
             pair->prediction);
    const int64_t *a = r->headers[0].shape, *b = r->headers[1].shape;
    if (memcmp(a, b, 3 * sizeof *a))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has %lldx%lldx%lld voxels and its truth '%s' %lldx%lldx%lld: "
                         "they must be on one grid",
                         pair->prediction, (long long)a[0], (long long)a[1], (long long)a[2],
                         pair->truth, (long long)b[0], (long long)b[1], (long long)b[2]);
    return voxel_sizes_check(r->headers[0].zooms, pair->prediction ? pair->prediction : pair->truth,
                             error);
}

ts_status evaluate_pair_score(const evaluate_pair *pair, convention c, label_map prediction_labels,
                              label_map truth_labels, pool *p, region_scores scores[REGIONS],
                              ts_error *error)
{
    pair_reading r = {.maps = {prediction_labels, truth_labels}};
    ts_status status = read_pair(pair, &r, p, error);
    if (status == TS_OK)
        status = evaluate_case(r.labels[0], r.labels[1], r.headers[0].shape, r.headers[0].zooms, c,
                               p, scores, error);
    free(r.labels[0]);
    free(r.labels[1]);
    return status;
}

static ts_status score_panoptic(const evaluate_pair *pair, label_map prediction_labels,
                                label_map truth_labels, pool *p,
                                panoptic_scores scores[REGIONS_ALL], ts_error *error)
{
    pair_reading r = {.maps = {prediction_labels, truth_labels}};
    for (int i = 0; i < 2; i++)
        r.maps[i] = r.maps[i] == LABELS_BRATS2024 ? LABELS_CAVITY : r.maps[i];
    ts_status status = read_pair(pair, &r, p, error);
    if (status == TS_OK)
        status = evaluate_case_panoptic(r.labels[0], r.labels[1], r.headers[0].shape,
                                        r.headers[0].zooms, p, scores, error);
    free(r.labels[0]);
    free(r.labels[1]);
    return status;
}

ts_status evaluate_pair_figures(const evaluate_pair *pair, convention c,
                                label_map prediction_labels, label_map truth_labels, pool *p,
                                double *figures, ts_error *error)
{
    const bool cavity = prediction_labels == LABELS_BRATS2024 || truth_labels == LABELS_BRATS2024;
    const evaluate_columns columns = evaluate_columns_of(c, cavity);
    region_scores scores[REGIONS];
    panoptic_scores panoptic[REGIONS_ALL];
    const ts_status status =
        c == CONVENTION_PANOPTIC
            ? score_panoptic(pair, prediction_labels, truth_labels, p, panoptic, error)
            : evaluate_pair_score(pair, c, prediction_labels, truth_labels, p, scores, error);
    for (int g = 0; status == TS_OK && g < columns.regions; g++, figures += columns.figures) {
        if (c == CONVENTION_PANOPTIC)
            list_panoptic(&panoptic[g], figures);
        for (int f = 0; c != CONVENTION_PANOPTIC && f < columns.figures; f++)
            figures[f] = evaluate_figure(&scores[g], f);
    }
    return status;
}
