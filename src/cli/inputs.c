/* The images of one patient: files by option, or a folder of series. */
#include "cli/inputs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_inputs_check(const cli_arguments *a)
{
    bool any = false;
    for (int m = 0; m < MODALITIES; m++)
        any = any || cli_flag(a, modality_names[m]);
    if (!any && !a->positional_count)
        return cli_usage_error(a->command,
                               "give the patient's images: FOLDER, or --t1ce, --t1, --t2, --flair");
    if (!cli_flag(a, "output"))
        return cli_usage_error(a->command, "-o DIR is missing: the folder for the results");
    if (!a->positional_count && (cli_flag(a, "patient") || cli_flag(a, "study")))
        return cli_usage_error(a->command, "--patient and --study choose within FOLDER");
    if (!a->positional_count && cli_flag(a, "list"))
        return cli_usage_error(a->command, "--list lists the series of FOLDER");
    return 0;
}

const char *cli_folder(const cli_arguments *a, char folder[4096])
{
    snprintf(folder, 4096, "%s", cli_value(a, "output"));
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    return folder;
}

/* Would the results lie among the images? A second call would take them for images. */
static ts_status check_place(const char *folder, const char *out, ts_error *error)
{
    char *of_folder = realpath(folder, NULL), *of_out = realpath(out, NULL);
    const size_t n = of_folder ? strlen(of_folder) : 0;
    const bool within = of_folder && of_out && !strncmp(of_folder, of_out, n) &&
                        (of_out[n] == '/' || of_out[n] == '\0' || of_folder[n - 1] == '/');
    free(of_folder);
    free(of_out);
    return within ? error_set(error, TS_BAD_INPUT,
                              "'%s' lies within '%s', whose images are read: give another -o", out,
                              folder)
                  : TS_OK;
}

static ts_status open_folder(const cli_arguments *a, const char *out, cli_inputs *in,
                             ts_error *error)
{
    const char *folder = a->positional[0];
    const char *given[MODALITIES];
    const series_pick pick = {cli_value(a, "patient"), cli_value(a, "study")};
    if (!directory_exists(folder))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is not a folder: give files by --t1ce, --t1, --t2, --flair", folder);
    ts_status status = check_place(folder, out, error);
    if (status == TS_OK)
        status = scratch_open(out, &in->scratch, error);
    if (status != TS_OK)
        return status;
    progress_show("reading the series of %s", folder);
    status = series_read(folder, &pick, in->scratch.path, &in->list, error);
    progress_clear();
    if (status != TS_OK)
        return status;
    for (int m = 0; m < MODALITIES; m++)
        given[m] = cli_value(a, modality_names[m]);
    status = series_choose(&in->list, given, in->chosen, error);
    series_print(stdout, &in->list, in->chosen);
    fflush(stdout);
    for (int m = 0; status == TS_OK && m < MODALITIES; m++)
        in->path[m] = in->chosen[m] >= 0 ? in->list.items[in->chosen[m]].path : NULL;
    return status;
}

ts_status cli_inputs_open(const cli_arguments *a, const char *out, cli_inputs *in, ts_error *error)
{
    *in = (cli_inputs){.scratch = {.lock = -1}};
    for (int m = 0; m < MODALITIES; m++) {
        in->chosen[m] = -1;
        in->path[m] = a->positional_count ? NULL : cli_value(a, modality_names[m]);
    }
    if (!a->positional_count)
        return TS_OK;
    const bool was_there = directory_exists(out);
    ts_status status = directory_create(out, error);
    if (status == TS_OK)
        status = open_folder(a, out, in, error);
    if (status != TS_OK) {
        scratch_close(&in->scratch);
        if (!was_there)
            rmdir(out); /* as it was */
    }
    return status;
}

/* The only series with an image. */
static ts_status take_single(series_list *l, const char *folder, const char **path, ts_error *error)
{
    size_t found = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].path && !found++) {
            const series_item first = l->items[i];
            l->items[i] = l->items[0];
            l->items[0] = first;
        }
    if (found != 1)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' holds %zu series of images; a single one is needed: give the folder "
                         "of one series, or FOLDER without an option to have them told apart",
                         folder, found);
    *path = l->items[0].path;
    return TS_OK;
}

ts_status cli_inputs_convert(const cli_arguments *a, const char *out, cli_inputs *in,
                             ts_error *error)
{
    const series_pick pick = {NULL, NULL};
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && !a->positional_count && m < MODALITIES; m++) {
        const char *folder = in->path[m];
        char *scratch = NULL;
        if (!folder || !directory_exists(folder))
            continue;
        if (!in->scratch.path && (status = directory_create(out, error)) == TS_OK)
            status = scratch_open(out, &in->scratch, error);
        if (status == TS_OK && !(scratch = path_join(in->scratch.path, modality_names[m], error)))
            status = TS_MEMORY;
        if (status == TS_OK)
            status = directory_create(scratch, error);
        if (status == TS_OK)
            status = series_read(folder, &pick, scratch, &in->single[m], error);
        if (status == TS_OK)
            status = take_single(&in->single[m], folder, &in->path[m], error);
        free(scratch);
    }
    return status;
}

const series_item *cli_inputs_series(const cli_inputs *in, modality m)
{
    if (in->chosen[m] >= 0)
        return &in->list.items[in->chosen[m]];
    return in->single[m].count ? &in->single[m].items[0] : NULL;
}

void cli_inputs_close(cli_inputs *in)
{
    for (int m = 0; m < MODALITIES; m++)
        series_list_free(&in->single[m]);
    series_list_free(&in->list);
    scratch_close(&in->scratch);
}
