/* twinseg picture: slices with outlines, or a run's curves, as PNG. */
#include "cli/cli.h"
#include "dataset/dataset.h"
#include "evaluate/evaluate.h"
#include "picture/picture.h"
#include "predict/predict.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"t1", 0, "FILE", "an image of the case; at least one, all on the same grid"},
    {"t1ce", 0, "FILE", ""},
    {"t2", 0, "FILE", ""},
    {"flair", 0, "FILE", ""},
    {"prediction", 0, "FILE", "labels drawn as solid outlines"},
    {"truth", 0, "FILE", "labels drawn as dashed outlines"},
    {"labels", 0, "MAP", LABEL_NAMES " [auto]"},
    {"title", 0, "TEXT", "the title [the name of the file]"},
    {"run", 0, "RUN", "instead of a case: the loss and Dice curves of a training run"},
    {NULL, 0, NULL, NULL},
};

/* Everything that is read of one case. */
typedef struct {
    volume images[MODALITIES];
    uint8_t *labels[2];
    const volume_header *grid; /* of the first image */
    const char *grid_path;
} picture_case;

static ts_status read_image(picture_case *c, int m, const char *path, ts_error *e)
{
    ts_status status = volume_read(path, &c->images[m], e);
    if (status != TS_OK)
        return status;
    if (c->images[m].channels != 1)
        return error_set(e, TS_BAD_INPUT, "'%s' holds %lld volumes: give a file with a single one",
                         path, (long long)c->images[m].channels);
    if (c->grid && !volume_same_grid(c->grid, &c->images[m].header))
        return error_set(
            e, TS_BAD_INPUT,
            "'%s' and '%s' differ in grid: resample one of them to the grid of the other", path,
            c->grid_path);
    if (!c->grid) {
        c->grid = &c->images[m].header;
        c->grid_path = path;
    }
    return TS_OK;
}

static ts_status read_labels(picture_case *c, int which, const char *path, label_map map,
                             ts_error *e)
{
    volume_header header;
    ts_status status = predict_take_labels(path, which == 1, &map, e);
    if (status != TS_OK)
        return status;
    status = volume_read_labels(path, &header, &c->labels[which], e);
    if (status != TS_OK)
        return status;
    status = volume_turn_labels(&header, &c->labels[which], c->grid, NULL, e);
    if (status != TS_OK)
        return status;
    if (memcmp(header.shape, c->grid->shape, 3 * sizeof *header.shape) != 0)
        return error_set(e, TS_BAD_INPUT, "'%s' has another shape than '%s'", path, c->grid_path);
    return labels_map(c->labels[which], (size_t)voxel_count(header.shape), map, true, path, e);
}

static ts_status read_case(const cli_arguments *a, label_map map, picture_case *c, ts_error *e)
{
    static const char *const names[2] = {"prediction", "truth"};
    for (int m = 0; m < MODALITIES; m++) {
        const char *path = cli_value(a, modality_names[m]);
        const ts_status status = path ? read_image(c, m, path, e) : TS_OK;
        if (status != TS_OK)
            return status;
    }
    for (int i = 0; i < 2; i++) {
        const char *path = cli_value(a, names[i]);
        const ts_status status = path ? read_labels(c, i, path, map, e) : TS_OK;
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

static ts_status draw_case(const cli_arguments *a, label_map map, ts_error *e)
{
    picture_case c = {0};
    const char *title = cli_value(a, "title");
    ts_status status = read_case(a, map, &c, e);
    const float *const images[MODALITIES] = {c.images[T1].data, c.images[T1CE].data,
                                             c.images[T2].data, c.images[FLAIR].data};
    if (status == TS_OK)
        status = picture_slices(a->positional[0], title ? title : string_file_name(c.grid_path),
                                c.grid, images, c.labels[0], c.labels[1], e);
    for (int m = 0; m < MODALITIES; m++)
        volume_free(&c.images[m]);
    free(c.labels[0]);
    free(c.labels[1]);
    return status;
}

static ts_status draw_run(const cli_arguments *a, const char *folder, ts_error *e)
{
    const char *title = cli_value(a, "title");
    char *path = path_join(folder, "metrics.csv", e);
    if (!path)
        return TS_MEMORY;
    const ts_status status = picture_curves(a->positional[0], title ? title : folder, path, e);
    free(path);
    return status;
}

static int run(const cli_arguments *a)
{
    const char *folder = cli_value(a, "run"), *labels = cli_value(a, "labels");
    plan settings;
    bool images = false;
    ts_error e;
    for (int m = 0; m < MODALITIES; m++)
        images = images || cli_value(a, modality_names[m]);
    if (images == (folder != NULL))
        return cli_usage_error(a->command,
                               "name at least one image (--flair FILE ...) or --run RUN");
    plan_defaults(&settings);
    if (labels && plan_set(&settings, "labels", labels, "--labels", &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    const ts_status status =
        folder ? draw_run(a, folder, &e) : draw_case(a, (label_map)settings.labels, &e);
    if (status != TS_OK)
        return cli_fail(&e);
    print_line(stdout, "%s", a->positional[0]);
    return 0;
}

const cli_command picture_command = {
    .name = "picture",
    .summary = "draw a case's slices with outlines, or a run's curves, as PNG",
    .usage = "OUT.png --flair FILE --t1ce FILE ... [--prediction FILE] [--truth FILE]\n"
             "OUT.png --run RUN",
    .details =
        "The slices are those with the largest cross-section of the tumour, in the radiological\n"
        "view: the patient's right is on the left.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
