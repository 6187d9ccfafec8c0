/* Pairing predictions with truths by case, and scoring a pair of files. */
#include "evaluate/evaluate.h"
#include "volume/volume.h"

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
    char *path = string_format("%s/%s", folder, name);
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
        char *path = string_format("%s/%s", folder, names.items[i]);
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

static ts_status read_mapped(const char *path, label_map map, volume_header *h, uint8_t **labels,
                             ts_error *error)
{
    const ts_status status = volume_read_labels(path, h, labels, error);
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)(h->shape[0] * h->shape[1] * h->shape[2]);
    return labels_map(*labels, voxels, map, false, path, error);
}

ts_status evaluate_pair_score(const evaluate_pair *pair, convention c, label_map prediction_labels,
                              label_map truth_labels, pool *p, region_scores scores[REGIONS],
                              ts_error *error)
{
    volume_header truth_header, header;
    uint8_t *truth = NULL, *prediction = NULL;
    ts_status status = read_mapped(pair->truth, truth_labels, &truth_header, &truth, error);
    if (status == TS_OK && pair->prediction)
        status = read_mapped(pair->prediction, prediction_labels, &header, &prediction, error);
    if (status == TS_OK && !pair->prediction) {
        const int64_t *s = truth_header.shape;
        header = truth_header;
        prediction = memory_allocate((size_t)(s[0] * s[1] * s[2]), 1, "an empty prediction", error);
        status = prediction ? TS_OK : TS_MEMORY;
    }
    for (int k = 0; status == TS_OK && k < 3; k++)
        if (header.shape[k] != truth_header.shape[k])
            status =
                error_set(error, TS_BAD_INPUT,
                          "'%s' has %lldx%lldx%lld voxels and its truth '%s' %lldx%lldx%lld: "
                          "they must be on one grid",
                          pair->prediction, (long long)header.shape[0], (long long)header.shape[1],
                          (long long)header.shape[2], pair->truth, (long long)truth_header.shape[0],
                          (long long)truth_header.shape[1], (long long)truth_header.shape[2]);
    for (int k = 0; status == TS_OK && k < 3; k++)
        if (!(header.zooms[k] > 0 && header.zooms[k] < 1e6))
            status = error_set(error, TS_BAD_INPUT,
                               "'%s' says that its voxels measure %g mm along axis %d: distances "
                               "cannot be told, mend its header",
                               pair->prediction ? pair->prediction : pair->truth, header.zooms[k],
                               k + 1);
    if (status == TS_OK)
        status = evaluate_case(prediction, truth, header.shape, header.zooms, c, p, scores, error);
    free(truth);
    free(prediction);
    return status;
}

/* ---- figures -------------------------------------------------------------------------------- */

const char *const evaluate_figure_names[EVALUATE_FIGURES] = {
    "dice", "hd95", "sensitivity", "specificity", "lesion_dice", "lesion_hd95", "tp", "fp", "fn"};

double evaluate_figure(const region_scores *s, int figure)
{
    const double figures[EVALUATE_FIGURES] = {s->dice,        s->hd95,        s->sensitivity,
                                              s->specificity, s->lesion_dice, s->lesion_hd95,
                                              (double)s->tp,  (double)s->fp,  (double)s->fn};
    return figures[figure];
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void evaluate_summary(const region_scores *all, size_t cases, region r, int figure, double *mean,
                      double *median)
{
    double *values = malloc((cases + 1) * sizeof *values);
    *mean = *median = 0;
    for (size_t i = 0; i < cases; i++) {
        const double v = evaluate_figure(&all[i * REGIONS + r], figure);
        *mean += v / (double)cases;
        if (values)
            values[i] = v;
    }
    if (values && cases) {
        qsort(values, cases, sizeof *values, compare_doubles);
        *median = (values[(cases - 1) / 2] + values[cases / 2]) / 2;
    }
    free(values);
}
