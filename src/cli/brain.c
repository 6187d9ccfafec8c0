/* twinseg brain: the brain's mask in the raw images of a patient. */
#include "cli/cli.h"
#include "brain/brain.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"output", 'o', "MASK", "the mask, 0 and 1, on the images' grid (.nii.gz or .nii)"},
    {"stripped", 0, "FILE", "the first image too, with 0 outside of the brain"},
    {"probabilities", 0, "FILE", "of brain, before the largest component is taken"},
    {"model", 0, "NAME", "a model of method any-image [brain]"},
    {"threads", 0, "N", "0: all processors [0]"},
    {NULL, 0, NULL, NULL},
};

typedef struct {
    volume *images;
    size_t count;
    uint8_t *mask;
    float *probability;
} work;

static ts_status read_images(const cli_arguments *a, work *w, ts_error *error)
{
    volume_doubts known = {0};
    w->images = memory_allocate((size_t)a->positional_count, sizeof *w->images, "images", error);
    if (!w->images)
        return TS_MEMORY;
    for (int k = 0; k < a->positional_count; k++) {
        const char *path = a->positional[k];
        volume *v = &w->images[k];
        const ts_status status = volume_read(path, v, error);
        if (status != TS_OK)
            return status;
        w->count++;
        if (v->channels != 1)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' holds %lld volumes: give one image with one volume", path,
                             (long long)v->channels);
        if (k && !volume_same_grid(&v->header, &w->images[0].header))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' and '%s' are on different grids: 'twinseg prepare' registers "
                             "the images of a patient; or call brain for each",
                             a->positional[0], path);
        volume_warn_doubts(&v->header, path, &known);
    }
    return TS_OK;
}

static ts_status find(const cli_arguments *a, work *w, brain_finder *f, brain_found *found,
                      ts_error *error)
{
    const volume_header *grid = &w->images[0].header;
    const size_t voxels = (size_t)voxel_count(grid->shape);
    const float **data = memory_allocate(w->count, sizeof *data, "images", error);
    w->mask = data ? memory_allocate(voxels, 1, "the mask", error) : NULL;
    ts_status status = w->mask ? TS_OK : TS_MEMORY;
    for (size_t k = 0; k < w->count && status == TS_OK; k++)
        data[k] = w->images[k].data;
    if (status == TS_OK && cli_value(a, "probabilities")) {
        w->probability = memory_allocate(voxels, sizeof(float), "the probabilities", error);
        status = w->probability ? TS_OK : TS_MEMORY;
    }
    if (status == TS_OK)
        status = brain_find(f, grid, data, a->positional, w->count, w->mask, w->probability, found,
                            error);
    free(data);
    return status;
}

/* The mask last: where it is there, all is. */
static ts_status write_results(const cli_arguments *a, const work *w, ts_error *error)
{
    const volume_header *grid = &w->images[0].header;
    const char *stripped = cli_value(a, "stripped"), *probabilities = cli_value(a, "probabilities");
    ts_status status = TS_OK;
    if (probabilities)
        status = volume_write_float(probabilities, grid, 1, w->probability, error);
    if (status == TS_OK && stripped) {
        for (int64_t i = 0; i < voxel_count(grid->shape); i++)
            w->images[0].data[i] *= w->mask[i];
        status = volume_write_float(stripped, grid, 1, w->images[0].data, error);
    }
    return status == TS_OK ? volume_write_labels(cli_value(a, "output"), grid, w->mask, error)
                           : status;
}

static int check_outputs(const cli_arguments *a)
{
    static const char *const names[] = {"output", "stripped", "probabilities"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *path = cli_value(a, names[i]);
        if (path && !volume_extension(path))
            return cli_usage_error(a->command, "--%s '%s' must end in .nii or .nii.gz", names[i],
                                   path);
        for (int k = 0; path && k < a->positional_count; k++)
            if (file_same(path, a->positional[k]))
                return cli_usage_error(a->command, "--%s would overwrite the input '%s'", names[i],
                                       path);
        for (size_t j = 0; path && j < i; j++)
            if (cli_value(a, names[j]) && !strcmp(path, cli_value(a, names[j])))
                return cli_usage_error(a->command, "--%s and --%s are the same file, '%s'",
                                       names[j], names[i], path);
    }
    return 0;
}

static int run(const cli_arguments *a)
{
    const double start = clock_seconds();
    int64_t threads = 0;
    brain_finder *f = NULL;
    brain_found found;
    work w = {0};
    ts_error e;
    if (!cli_value(a, "output"))
        return cli_usage_error(a->command, "-o MASK.nii.gz is missing");
    const int code = check_outputs(a);
    if (code)
        return code;
    if (!cli_integer(a, "threads", 0, 1024, &threads))
        return 2;
    interrupt_install();
    ts_status status = read_images(a, &w, &e);
    if (status == TS_OK)
        status = brain_open(cli_value(a, "model"), (int)threads, &f, &e);
    if (status == TS_OK)
        status = find(a, &w, f, &found, &e);
    if (status == TS_OK)
        status = write_results(a, &w, &e);
    brain_close(f);
    for (size_t k = 0; k < w.count; k++)
        volume_free(&w.images[k]);
    free(w.images);
    free(w.mask);
    free(w.probability);
    if (status != TS_OK)
        return cli_fail(&e);
    char *doubt = brain_volume_doubt(found.millilitres);
    if (doubt)
        warn("'%s': %s", a->positional[0], doubt);
    free(doubt);
    if (found.stripped)
        note("'%s' is skull-stripped already: the mask is what is not 0",
             a->positional[found.which]);
    print_line(stdout, "%s: brain of %.0f ml (%.1f s)", cli_value(a, "output"), found.millilitres,
               clock_seconds() - start);
    return 0;
}

const cli_command brain_command = {
    .name = "brain",
    .summary = "find the brain in raw images of any contrast",
    .usage = "IMAGE... -o MASK.nii.gz [--stripped FILE]",
    .details =
        "IMAGE is a raw image of a head: T1, T1 with contrast, T2, FLAIR or another, of any voxel\n"
        "size. Several images of a patient on one grid are averaged. What is skull-stripped "
        "already\n"
        "is not stripped again. docs/models.md says how well it works.",
    .options = options,
    .positional_min = 1,
    .positional_max = 16,
    .run = run,
};
