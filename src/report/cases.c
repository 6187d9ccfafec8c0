/* A folder of predictions: each case with its scores against the data set's truth, its slices, and
 * checksums of the files that both came from. The data set is the one that --data names, else those
 * that predict recorded. */
#include "predict/predict.h"
#include "report/parts.h"
#include "volume/volume.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A prediction and what the data set has for it. */
typedef struct {
    char *id, *path;
    const dataset_case *data; /* NULL: the data set has no such case, or there is none */
    double *figures;          /* [region][figure]; NULL: not scored */
    double order;             /* mean Dice over WT, TC and ET; NAN: not scored */
} predicted_case;

typedef struct {
    const report_options *o;
    evaluate_columns columns;
    label_map labels; /* of the predictions */
    dataset *data;    /* [data_count] */
    size_t data_count;
    text missing;          /* sentences: why there are no images; empty where there are */
    predicted_case *cases; /* worst first once scored */
    size_t count;
    pool *pool;
} prediction_list;

static void list_free(prediction_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->cases[i].id);
        free(l->cases[i].path);
        free(l->cases[i].figures);
    }
    free(l->cases);
    for (size_t i = 0; i < l->data_count; i++)
        dataset_close(&l->data[i]);
    free(l->data);
    text_free(&l->missing);
    pool_destroy(l->pool);
}

/* ---- finding -------------------------------------------------------------------------------- */

static const dataset_case *find_case(const prediction_list *l, const char *id)
{
    const dataset_case *found = NULL;
    for (size_t i = 0; !found && i < l->data_count; i++)
        found = dataset_find_case(&l->data[i], id);
    return found;
}

/* The record that predict keeps (models, settings, data sets; null where there is none), and what
 * the labels in the folder mean. */
static ts_status read_record(prediction_list *l, const char *folder, json_t **record,
                             ts_error *error)
{
    char *path = path_join(folder, "predict.json", error);
    if (!path)
        return TS_MEMORY;
    ts_status status = TS_OK;
    *record = json_null();
    if (file_exists(path))
        status = json_read(path, JSON_BYTES_MAX, record, error);
    free(path);
    if (status != TS_OK)
        return status;
    l->labels = l->o->labels[0];
    return predict_take_labels(folder, false, &l->labels, error);
}

/* Opens the data set that --data names, or else each that the record names: of those, one that is
 * not there any more is only said. */
static ts_status open_data(prediction_list *l, const char *folder, const json_t *record,
                           ts_error *error)
{
    const json_t *recorded = json_object_get(record, "data");
    const size_t count = l->o->data ? 1 : json_array_size(recorded);
    l->data = memory_allocate(count, sizeof *l->data, "the data sets", error);
    if (!l->data)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++) {
        ts_error cause;
        const char *path = l->o->data ? l->o->data : json_string_value(json_array_get(recorded, i));
        if (!path)
            continue;
        const ts_status status =
            dataset_open(path, l->o->labels[1], &l->data[l->data_count], &cause);
        if (status == TS_OK) {
            l->data_count++;
        } else if (l->o->data || status == TS_MEMORY) {
            *error = cause;
            return status;
        } else {
            text_append(&l->missing,
                        "The data set that these were predicted from cannot be read: "
                        "%s. ",
                        cause.text);
        }
    }
    if (!count)
        text_append(&l->missing, "It is not recorded which images these were predicted from. ");
    if (l->missing.length) {
        text_append(&l->missing, "Give the data set by --data for images and scores.");
        note("%s: %s", folder, l->missing.data ? l->missing.data : "");
    }
    return l->missing.failed ? error_set(error, TS_MEMORY, "out of memory") : TS_OK;
}

static ts_status find_predictions(prediction_list *l, const char *folder, ts_error *error)
{
    string_list names;
    ts_status status = directory_list(folder, &names, error);
    if (status != TS_OK)
        return status;
    l->cases = memory_allocate(names.count, sizeof *l->cases, "the cases", error);
    status = l->cases ? TS_OK : TS_MEMORY;
    for (size_t i = 0; i < names.count && status == TS_OK; i++) {
        const char *name = names.items[i];
        const size_t extension = volume_extension(name);
        if (name[0] == '.' || !extension)
            continue;
        predicted_case *c = &l->cases[l->count++];
        *c = (predicted_case){.order = NAN};
        c->id = string_format("%.*s", (int)(strlen(name) - extension), name);
        c->path = path_join(folder, name, error);
        if (!c->id || !c->path)
            status = error_set(error, TS_MEMORY, "out of memory");
        else
            c->data = find_case(l, c->id);
    }
    string_list_free(&names);
    return status;
}

/* confidence.csv as predict wrote it; null where there is none. */
static ts_status read_confidence(const char *folder, json_t **content, ts_error *error)
{
    uint8_t *bytes = NULL;
    size_t count = 0;
    char *path = path_join(folder, "confidence.csv", error);
    ts_status status = path ? TS_OK : TS_MEMORY;
    if (status == TS_OK && file_exists(path))
        status = file_get(path, 1 << 26, &bytes, &count, error);
    *content = report_string((const char *)bytes);
    free(bytes);
    free(path);
    return status;
}

/* ---- scores --------------------------------------------------------------------------------- */

static ts_status score_case(prediction_list *l, predicted_case *c, ts_error *error)
{
    const evaluate_columns *columns = &l->columns;
    if (!c->data || !c->data->truth)
        return TS_OK;
    const label_map truth_labels =
        l->o->labels[1] != LABELS_AUTO ? l->o->labels[1] : c->data->labels;
    c->figures = memory_allocate((size_t)(columns->regions * columns->figures), sizeof(double),
                                 "the scores", error);
    if (!c->figures)
        return TS_MEMORY;
    const evaluate_pair pair = {c->id, c->path, c->data->truth};
    const ts_status status = evaluate_pair_figures(&pair, l->o->convention, l->labels, truth_labels,
                                                   l->pool, c->figures, error);
    if (status == TS_OK) {
        c->order = 0;
        for (int r = 0; r < REGIONS; r++) /* the first figure is Dice, the first regions WT TC ET */
            c->order += isnan(c->figures[r * columns->figures])
                            ? 1.0 / REGIONS
                            : c->figures[r * columns->figures] / REGIONS;
    }
    return status;
}

/* Worst first, those without a score last. */
static int compare_cases(const void *a, const void *b)
{
    const predicted_case *x = a, *y = b;
    if (isnan(x->order) || isnan(y->order))
        return isnan(x->order) && isnan(y->order) ? strcmp(x->id, y->id) : isnan(x->order) ? 1 : -1;
    return x->order < y->order ? -1 : x->order > y->order ? 1 : strcmp(x->id, y->id);
}

static json_t *list_figures(const prediction_list *l, const predicted_case *c)
{
    json_t *regions = json_array();
    for (int r = 0; c->figures && r < l->columns.regions; r++) {
        json_t *row = json_array();
        for (int f = 0; f < l->columns.figures; f++)
            json_array_append_new(row, report_number(c->figures[r * l->columns.figures + f]));
        json_array_append_new(regions, row);
    }
    return regions;
}

/* ---- slices --------------------------------------------------------------------------------- */

static modality_set modalities_to_show(const prediction_list *l, const dataset_case *d)
{
    const modality_set there = d ? dataset_case_modalities(d) : 0;
    if (l->o->shown & there)
        return l->o->shown & there;
    const modality_set usual = (1u << FLAIR | 1u << T1CE) & there;
    return usual ? usual : there;
}

/* labels_map's reading; *out NULL where the grid is not the case's. */
static ts_status read_labels(const char *path, label_map map, volume_header *grid, bool first,
                             uint8_t **out, ts_error *error)
{
    volume_header header;
    ts_status status = volume_read_labels(path, &header, out, error);
    if (status != TS_OK)
        return status;
    if (first)
        *grid = header;
    status = volume_turn_labels(&header, out, grid, NULL, error);
    if (status != TS_OK)
        return status;
    if (memcmp(header.shape, grid->shape, 3 * sizeof *grid->shape)) {
        free(*out);
        *out = NULL;
        return TS_OK;
    }
    const size_t voxels = (size_t)voxel_count(header.shape);
    return labels_map(*out, voxels, map, false, path, error);
}

static ts_status read_images(const prediction_list *l, const dataset_case *d,
                             const volume_header *grid, volume volumes[MODALITIES],
                             const float *images[MODALITIES], ts_error *error)
{
    const modality_set shown = modalities_to_show(l, d);
    for (int m = 0; m < MODALITIES; m++) {
        if (!(shown >> m & 1))
            continue;
        const ts_status status = volume_read(d->image[m], &volumes[m], error);
        if (status != TS_OK)
            return status;
        const int64_t *s = volumes[m].header.shape;
        if (!memcmp(s, grid->shape, 3 * sizeof *s) && d->channel[m] < volumes[m].channels)
            images[m] = volumes[m].data + d->channel[m] * s[0] * s[1] * s[2];
    }
    return TS_OK;
}

static ts_status read_case(const prediction_list *l, const predicted_case *c, volume_header *grid,
                           uint8_t *labels[2], volume volumes[MODALITIES],
                           const float *images[MODALITIES], ts_error *error)
{
    ts_status status = read_labels(c->path, l->labels, grid, true, &labels[0], error);
    if (status != TS_OK || !c->data)
        return status;
    if (c->data->truth) {
        const label_map map = l->o->labels[1] != LABELS_AUTO ? l->o->labels[1] : c->data->labels;
        status = read_labels(c->data->truth, map, grid, false, &labels[1], error);
        if (status != TS_OK)
            return status;
    }
    return read_images(l, c->data, grid, volumes, images, error);
}

static ts_status picture_case(const prediction_list *l, const predicted_case *c, size_t text_limit,
                              json_t **out, ts_error *error)
{
    volume volumes[MODALITIES] = {{.data = NULL}};
    volume_header grid;
    uint8_t *labels[2] = {NULL, NULL};
    picture_source s = {.header = &grid};
    ts_status status = read_case(l, c, &grid, labels, volumes, s.images, error);
    s.prediction = labels[0];
    s.truth = labels[1];
    if (status == TS_OK)
        status = report_pack(&s, text_limit, l->pool, out, error);
    for (int m = 0; m < MODALITIES; m++)
        volume_free(&volumes[m]);
    free(labels[0]);
    free(labels[1]);
    return status;
}

/* ---- files ---------------------------------------------------------------------------------- */

static ts_status add_file(json_t *files, const char *what, const char *path, ts_error *error)
{
    file_map map;
    char hex[20];
    const ts_status status = file_map_open(path, &map, error);
    if (status != TS_OK)
        return status;
    snprintf(hex, sizeof hex, "%016llx",
             (unsigned long long)hash_bytes(HASH_START, map.bytes, map.count));
    json_array_append_new(files, json_pack("{s:s, s:o, s:I, s:s}", "what", what, "name",
                                           report_string(string_file_name(path)), "bytes",
                                           (json_int_t)map.count, "fnv1a64", hex));
    file_map_close(&map);
    return TS_OK;
}

static ts_status list_files(const predicted_case *c, json_t *files, ts_error *error)
{
    ts_status status = add_file(files, "prediction", c->path, error);
    if (status != TS_OK || !c->data)
        return status;
    if (c->data->truth) {
        status = add_file(files, "truth", c->data->truth, error);
        if (status != TS_OK)
            return status;
    }
    for (int m = 0; m < MODALITIES; m++) {
        if (!c->data->image[m] || c->data->channel[m] != 0)
            continue;
        status = add_file(files, modality_names[m], c->data->image[m], error);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

/* ---- the folder ----------------------------------------------------------------------------- */

/* A damaged case is named, and the others go on. */
static ts_status add_case(prediction_list *l, size_t index, bool picture, size_t text_limit,
                          report_counts *counts, json_t *cases, ts_error *error)
{
    const predicted_case *c = &l->cases[index];
    ts_error cause;
    json_t *slices = NULL, *files = json_array();
    ts_status status = list_files(c, files, &cause);
    if (status == TS_OK && picture)
        status = picture_case(l, c, text_limit, &slices, &cause);
    if (status == TS_MEMORY)
        *error = cause;
    else if (status != TS_OK)
        warn("%s", cause.text);
    counts->cases++;
    counts->pictures += slices != NULL;
    json_array_append_new(cases,
                          json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", report_string(c->id),
                                    "order", report_number(c->order), "figures", list_figures(l, c),
                                    "files", files, "slices", slices ? slices : json_null()));
    return status == TS_MEMORY ? status : TS_OK;
}

static json_t *describe_columns(const evaluate_columns *c)
{
    json_t *regions = json_array(), *figures = json_array(), *shown = json_array();
    for (int r = 0; r < c->regions; r++)
        json_array_append_new(regions, json_string(c->region_names[r]));
    for (int f = 0; f < c->figures; f++)
        json_array_append_new(figures, json_string(c->figure_names[f]));
    for (int f = 0; f < c->shown_count; f++)
        json_array_append_new(shown, json_integer(c->shown[f]));
    return json_pack("{s:s, s:o, s:o, s:o}", "name", c->name, "regions", regions, "figures",
                     figures, "shown", shown);
}

/* A case that cannot be scored is warned of, and the others go on. */
static ts_status score_all(prediction_list *l, ts_error *error)
{
    for (size_t i = 0; i < l->count; i++) {
        ts_error cause;
        progress_show("scoring case %zu of %zu: %s", i + 1, l->count, l->cases[i].id);
        const ts_status status = score_case(l, &l->cases[i], &cause);
        if (status == TS_OK)
            continue;
        free(l->cases[i].figures);
        l->cases[i].figures = NULL;
        if (status == TS_MEMORY) {
            *error = cause;
            return status;
        }
        warn("%s", cause.text);
    }
    qsort(l->cases, l->count, sizeof *l->cases, compare_cases);
    return TS_OK;
}

static ts_status add_cases(prediction_list *l, size_t text_limit, report_counts *counts,
                           json_t *cases, ts_error *error)
{
    const size_t most = (size_t)l->o->pictures, pictures = l->count < most ? l->count : most;
    for (size_t i = 0; i < l->count; i++) {
        /* the worst and the best, as many of each */
        const bool picture = i < (pictures + 1) / 2 || i + pictures / 2 >= l->count;
        progress_show("drawing case %zu of %zu: %s", i + 1, l->count, l->cases[i].id);
        const ts_status status =
            add_case(l, i, picture, pictures ? text_limit / pictures : 0, counts, cases, error);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

/* What the page shows of the folder; takes record, confidence and cases. */
static json_t *describe(const prediction_list *l, const char *folder, json_t *record,
                        json_t *confidence, json_t *cases)
{
    size_t of = 0;
    json_t *data = json_array();
    for (size_t i = 0; i < l->data_count; i++) {
        json_array_append_new(data, report_string(l->data[i].path));
        of += l->data[i].count;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "path", report_string(folder),
                     "data", data, "missing", report_string(l->missing.data), "record", record,
                     "confidence", confidence, "columns", describe_columns(&l->columns), "cases",
                     cases, "of", (json_int_t)of);
}

ts_status report_predictions(const char *folder, const report_options *o, size_t text_limit,
                             report_counts *counts, json_t **out, ts_error *error)
{
    prediction_list l = {.o = o};
    json_t *record = NULL, *confidence = NULL, *cases = json_array();
    l.columns = evaluate_columns_of(o->convention, o->labels[0] == LABELS_BRATS2024 ||
                                                       o->labels[1] == LABELS_BRATS2024);
    ts_status status = read_record(&l, folder, &record, error);
    if (status != TS_OK)
        goto done;
    status = open_data(&l, folder, record, error);
    if (status != TS_OK)
        goto done;
    status = pool_create(o->threads, &l.pool, error);
    if (status != TS_OK)
        goto done;
    status = find_predictions(&l, folder, error);
    if (status != TS_OK)
        goto done;
    status = read_confidence(folder, &confidence, error);
    if (status != TS_OK)
        goto done;
    status = score_all(&l, error);
    if (status == TS_OK)
        status = add_cases(&l, text_limit, counts, cases, error);
    progress_clear();
    if (status != TS_OK)
        goto done;
    *out = describe(&l, folder, json_incref(record), json_incref(confidence), json_incref(cases));
done:
    json_decref(record);
    json_decref(confidence);
    json_decref(cases);
    list_free(&l);
    return status;
}
