/* Other programs: started, waited for, and what they wrote read back. */
#include "align/tools.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- DICOM ----------------------------------------------------------------------------------- */

static ts_status run_dcm2niix(const char *folder, const char *into, ts_error *error)
{
    const char *const words[] = {
        "dcm2niix", "-z", "n", "-b", "n", "-f", "%s_%d", "-o", into, folder, (const char *)NULL};
    bool found, good;
    const ts_status status = program_run(words, NULL, &found, &good, error);
    if (status != TS_OK)
        return status;
    if (!found)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is a folder, and dcm2niix, which reads DICOM, is not installed: "
                         "'apt-get install dcm2niix', or give a NIfTI file",
                         folder);
    if (!good)
        return error_set(error, TS_BAD_INPUT,
                         "dcm2niix could not read '%s': is it a folder of DICOM files?", folder);
    return TS_OK;
}

/* The only .nii file of the scratch folder. */
static ts_status read_series(const char *folder, const char *scratch, const string_list *names,
                             volume *out, ts_error *error)
{
    size_t found = 0;
    const char *name = NULL;
    for (size_t i = 0; i < names->count; i++)
        if (string_ends(names->items[i], ".nii") && !found++)
            name = names->items[i];
    if (found != 1)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' holds %zu series of images; a single one is needed: give the folder "
                         "of one series alone",
                         folder, found);
    char *path = path_join(scratch, name, error);
    const ts_status status = path ? volume_read(path, out, error) : TS_MEMORY;
    free(path);
    return status;
}

ts_status dicom_read(const char *folder, const char *scratch, volume *out, ts_error *error)
{
    string_list names = {0};
    ts_status status = run_dcm2niix(folder, scratch, error);
    if (status == TS_OK)
        status = directory_list(scratch, &names, error);
    if (status == TS_OK)
        status = read_series(folder, scratch, &names, out, error);
    for (size_t i = 0; i < names.count; i++) { /* the next modality's series comes here too */
        char *path = path_join(scratch, names.items[i], NULL);
        if (path)
            unlink(path);
        free(path);
    }
    string_list_free(&names);
    return status;
}

/* ---- skull stripping ------------------------------------------------------------------------- */

/* 'path' for a shell. */
static void append_quoted(text *t, const char *path)
{
    text_append(t, "'");
    for (; *path; path++)
        text_append(t, *path == '\'' ? "'\\''" : "%c", *path);
    text_append(t, "'");
}

static ts_status fill_template(const char *command, const char *in, const char *out, text *t,
                               ts_error *error)
{
    bool named[2] = {false, false};
    while (*command) {
        const bool is_in = !strncmp(command, "{in}", 4), is_out = !strncmp(command, "{out}", 5);
        if (is_in || is_out)
            append_quoted(t, is_in ? in : out);
        else
            text_append_bytes(t, command, 1);
        named[0] = named[0] || is_in;
        named[1] = named[1] || is_out;
        command += is_in ? 4 : is_out ? 5 : 1;
    }
    if (t->failed)
        return error_set(error, TS_MEMORY, "out of memory");
    if (!named[0] || !named[1])
        return error_set(
            error, TS_BAD_INPUT,
            "the command for skull stripping must name {in} and {out}, such as 'hd-bet "
            "-i {in} -o {out}'");
    return TS_OK;
}

static ts_status read_mask(const char *path, const char *command, const volume_header *grid,
                           uint8_t **mask, ts_error *error)
{
    volume v;
    if (!file_exists(path))
        return error_set(error, TS_BAD_INPUT, "the command '%s' succeeded but did not write %s",
                         command, path);
    ts_status status = volume_read(path, &v, error);
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)voxel_count(grid->shape);
    size_t kept = 0;
    if (v.channels != 1 || !volume_same_grid(&v.header, grid))
        status = error_set(error, TS_BAD_INPUT,
                           "the command '%s' wrote an image on a grid other than that of its input",
                           command);
    *mask = status == TS_OK ? memory_allocate(voxels, 1, "a brain mask", error) : NULL;
    status = status == TS_OK && !*mask ? TS_MEMORY : status;
    for (size_t i = 0; status == TS_OK && i < voxels; i++)
        kept += (*mask)[i] = v.data[i] != 0;
    volume_free(&v);
    if (status == TS_OK && (kept == 0 || kept == voxels)) {
        free(*mask);
        *mask = NULL;
        status = error_set(error, TS_BAD_INPUT, "the command '%s' kept %s voxel of the head",
                           command, kept ? "every" : "no");
    }
    return status;
}

static ts_status run_command(const char *command, ts_error *error)
{
    const char *const words[] = {"/bin/sh", "-c", command, NULL};
    bool found, good;
    const ts_status status = program_run(words, NULL, &found, &good, error);
    if (status == TS_OK && !good)
        return error_set(error, TS_BAD_INPUT, "the command for skull stripping failed: %s",
                         command);
    return status;
}

ts_status skull_strip(const char *command, const char *scratch, const volume_header *grid,
                      const float *image, uint8_t **mask, ts_error *error)
{
    text t = {0};
    ts_status status = TS_MEMORY;
    char *in = path_join(scratch, "head.nii.gz", error);
    char *out = in ? path_join(scratch, "brain.nii.gz", error) : NULL;
    *mask = NULL;
    if (!out)
        goto end;
    status = volume_write_float(in, grid, 1, image, error);
    if (status != TS_OK)
        goto end;
    status = fill_template(command, in, out, &t, error);
    if (status != TS_OK)
        goto end;
    status = run_command(t.data, error);
    if (status != TS_OK)
        goto end;
    status = read_mask(out, t.data, grid, mask, error);
end:
    free(in);
    free(out);
    text_free(&t);
    return status;
}
