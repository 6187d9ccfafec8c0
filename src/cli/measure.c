/* twinseg measure: volumes and diameters of label files. */
#include "cli/cli.h"
#include "dataset/dataset.h"
#include "measure/measure.h"
#include "predict/predict.h"
#include "voxels/voxels.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"output", 'o', "FILE", "the measures as a table (.csv) or an object (.json)"},
    {"brain", 0, "FILE", "of one SEG: an image or mask that is 0 outside the brain, for the sides"},
    {"labels", 0, "MAP", LABEL_NAMES " [auto]"},
    {"json", 0, NULL, "print JSON instead of tables"},
    {NULL, 0, NULL, NULL},
};

/* ---- reading --------------------------------------------------------------------------------- */

static ts_status read_labels(const char *path, label_map map, volume_header *h, uint8_t **labels,
                             ts_error *error)
{
    volume_doubts doubts = {0};
    ts_status status = predict_take_labels(path, false, &map, error);
    if (status != TS_OK)
        return status;
    if (map == LABELS_AUTO)
        map = dataset_labels_by_name(path);
    status = volume_read_labels(path, h, labels, error);
    if (status != TS_OK)
        return status;
    volume_warn_doubts(h, path, &doubts);
    status = voxel_sizes_check(h->zooms, path, error);
    if (status != TS_OK)
        return status;
    return labels_map(*labels, (size_t)voxel_count(h->shape), map, true, path, error);
}

/* Not 0 where the image is not 0; on the labels' grid, along whatever axes. *mask: free(). */
static ts_status read_brain(const char *path, const volume_header *h, uint8_t **mask,
                            ts_error *error)
{
    volume v;
    ts_status status = volume_read(path, &v, error);
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)voxel_count(v.header.shape);
    if (v.channels != 1)
        status = error_set(error, TS_BAD_INPUT, "'%s' holds %lld volumes; a single one is needed",
                           path, (long long)v.channels);
    *mask = status == TS_OK ? memory_take(voxels, 1, "a brain mask", error) : NULL;
    status = status == TS_OK && !*mask ? TS_MEMORY : status;
    for (size_t i = 0; status == TS_OK && i < voxels; i++)
        (*mask)[i] = v.data[i] != 0;
    if (status == TS_OK)
        status = volume_turn_labels(&v.header, mask, h, NULL, error);
    if (status == TS_OK && !volume_same_grid(&v.header, h))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' lies on another grid than the labels: give the brain on the "
                           "labels' grid, or leave --brain out",
                           path);
    volume_free(&v);
    return status;
}

static ts_status measure_file(const cli_arguments *a, const char *path, label_map map,
                              measures *out, ts_error *error)
{
    const char *brain_path = cli_value(a, "brain");
    volume_header h;
    uint8_t *labels = NULL, *brain = NULL;
    ts_status status = read_labels(path, map, &h, &labels, error);
    if (status == TS_OK && brain_path)
        status = read_brain(brain_path, &h, &brain, error);
    if (status == TS_OK)
        status = measure_labels(&h, labels, brain, out, error);
    free(out->numbers); /* of many files they would fill the memory */
    out->numbers = NULL;
    free(labels);
    free(brain);
    return status;
}

/* ---- words ----------------------------------------------------------------------------------- */

enum { COLUMNS = 9 };

static ts_status print_lesions(const measures *m, ts_error *error)
{
    static const char *const names[COLUMNS] = {"lesion", "ET, ml", "axial, mm",  "mm2", "3-D, mm",
                                               "slice",  "centre", "measurable", "side"};
    char(*words)[48] = memory_allocate((m->count + 1) * COLUMNS, sizeof *words, "a table", error);
    const char **cells =
        words ? memory_allocate((m->count + 1) * COLUMNS, sizeof *cells, "a table", error) : NULL;
    if (!cells) {
        free(words);
        return TS_MEMORY;
    }
    for (size_t i = 0; i < (m->count + 1) * COLUMNS; i++)
        cells[i] = i < COLUMNS ? names[i] : words[i];
    for (size_t i = 0; i < m->count; i++) {
        const measure_lesion *l = &m->lesions[i];
        char(*w)[48] = words + (i + 1) * COLUMNS;
        snprintf(w[0], sizeof *w, "%zu", i + 1);
        snprintf(w[1], sizeof *w, "%.2f", l->et_ml);
        snprintf(w[2], sizeof *w, "%.1f x %.1f", l->axial.mm, l->perpendicular.mm);
        snprintf(w[3], sizeof *w, "%.0f", l->product_mm2);
        snprintf(w[4], sizeof *w, "%.1f", l->longest.mm);
        snprintf(w[5], sizeof *w, "%lld", (long long)l->slice);
        snprintf(w[6], sizeof *w, "%.0f %.0f %.0f", l->centre_mm[0], l->centre_mm[1],
                 l->centre_mm[2]);
        snprintf(w[7], sizeof *w, "%s", l->measurable ? "yes" : "no");
        snprintf(w[8], sizeof *w, "%s", measure_side(l));
    }
    table_print(stdout, cells, m->count + 1, COLUMNS);
    free(words);
    free(cells);
    return TS_OK;
}

static ts_status print_case(const char *id, const measures *m, ts_error *error)
{
    print_line(stdout, "%s", id);
    printf("ml: NCR %.2f, ED %.2f, ET %.2f; tumour core %.2f, whole tumour %.2f\n",
           m->label_ml[LABEL_NCR], m->label_ml[LABEL_ED], m->label_ml[LABEL_ET],
           m->region_ml[REGION_TC], m->region_ml[REGION_WT]);
    if (m->count == 0) {
        printf("no enhancing lesion\n");
        return TS_OK;
    }
    const ts_status status = print_lesions(m, error);
    printf("sum of products of measurable lesions: %.0f mm2; sides by the middle of the %s\n",
           m->sum_of_products_mm2, m->midline_of_brain ? "brain" : "grid");
    return status;
}

static ts_status print_all(const cli_arguments *a, const char *const *ids, const measures *all,
                           size_t count, ts_error *error)
{
    ts_status status = TS_OK;
    json_t *root;
    if (!cli_flag(a, "json")) {
        for (size_t i = 0; status == TS_OK && i < count; i++)
            status = print_case(ids[i], &all[i], error);
        return status;
    }
    status = measure_json(ids, all, count, &root, error);
    if (status != TS_OK)
        return status;
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(root);
    return TS_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* A case is a file's name without its extension. */
static char *case_of(const char *path)
{
    const char *name = string_file_name(path);
    return string_format("%.*s", (int)(strlen(name) - volume_extension(name)), name);
}

static ts_status measure_all(const cli_arguments *a, label_map map, char **ids, measures *all,
                             ts_error *error)
{
    const char *out = cli_value(a, "output");
    const size_t count = (size_t)a->positional_count;
    ts_status status = out ? file_try(out, error) : TS_OK;
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        ids[i] = case_of(a->positional[i]);
        if (!ids[i])
            return error_set(error, TS_MEMORY, "out of memory");
        if (count > 1)
            progress_show("measuring %zu of %zu: %s", i + 1, count, ids[i]);
        status = measure_file(a, a->positional[i], map, &all[i], error);
        if (interrupt_requested())
            status = error_set(error, TS_STOPPED, "stopped; nothing was written");
    }
    progress_clear();
    if (status == TS_OK && out)
        status = measure_write(out, (const char *const *)ids, all, count, error);
    return status == TS_OK ? print_all(a, (const char *const *)ids, all, count, error) : status;
}

static int run(const cli_arguments *a)
{
    const char *out = cli_value(a, "output"), *labels = cli_value(a, "labels");
    const size_t count = (size_t)a->positional_count;
    plan settings;
    ts_error e;
    if (out && !measure_can_write(out))
        return cli_usage_error(a->command, "'%s' must end in .csv or .json", out);
    if (cli_value(a, "brain") && count > 1)
        return cli_usage_error(a->command, "--brain goes with a single SEG");
    for (size_t i = 0; out && i < count; i++)
        if (file_same(out, a->positional[i]))
            return cli_usage_error(a->command, "-o would overwrite the input '%s'", out);
    plan_defaults(&settings);
    if (labels && plan_set(&settings, "labels", labels, "--labels", &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    interrupt_install();
    char **ids = memory_allocate(count, sizeof *ids, "the cases", &e);
    measures *all = ids ? memory_allocate(count, sizeof *all, "the cases", &e) : NULL;
    const ts_status status =
        all ? measure_all(a, (label_map)settings.labels, ids, all, &e) : TS_MEMORY;
    for (size_t i = 0; all && i < count; i++) {
        measures_free(&all[i]);
        free(ids[i]);
    }
    free(ids);
    free(all);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command measure_command = {
    .name = "measure",
    .summary = "volumes of label files, and diameters of enhancing lesions",
    .usage = "SEG ... [-o measures.csv|measures.json] [--brain FILE] [--labels MAP]",
    .details =
        "Of each file: volumes in ml of the labels and regions; of each enhancing lesion the "
        "longest\ndiameter in an axial plane and the longest perpendicular to it, their product, "
        "the longest\ndiameter in space, centre, side, and whether it is measurable by size. "
        "docs/measures.md\ndefines each. Research use only.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1 << 20,
    .run = run,
};
