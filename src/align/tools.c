/* Other programs: started, waited for, and what they wrote read back. */
#include "align/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- DICOM ----------------------------------------------------------------------------------- */

/* Its output goes to stderr: what it says of a damaged series is worth reading. */
static ts_status run_dcm2niix(const char *folder, const char *into, ts_error *error)
{
    const char *const words[] = {
        "dcm2niix", "-z", "n", "-b", "n", "-f", "%s_%d", "-o", into, folder, (const char *)NULL};
    char *argv[COUNT_OF(words)];
    posix_spawn_file_actions_t actions;
    pid_t child;
    int result;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        argv[i] = (char *)(uintptr_t)words[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    const int failure = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure == ENOENT)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is a folder, and dcm2niix, which reads DICOM, is not installed: "
                         "'apt-get install dcm2niix', or give a NIfTI file",
                         folder);
    if (failure)
        return error_set(error, TS_IO, "cannot start dcm2niix: %s", strerror(failure));
    while (waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            return error_set(error, TS_IO, "cannot wait for dcm2niix: %s", strerror(errno));
    if (!WIFEXITED(result) || WEXITSTATUS(result) != 0)
        return error_set(error, TS_BAD_INPUT,
                         "dcm2niix could not read '%s': is it a folder of DICOM files?", folder);
    return TS_OK;
}

ts_status dicom_read(const char *folder, const char *scratch, volume *out, ts_error *error)
{
    string_list names = {0};
    ts_status status = run_dcm2niix(folder, scratch, error);
    if (status == TS_OK)
        status = directory_list(scratch, &names, error);
    size_t found = 0;
    char *path = NULL;
    for (size_t i = 0; i < names.count; i++)
        if (string_ends(names.items[i], ".nii") && !found++)
            path = path_join(scratch, names.items[i], NULL);
    if (status == TS_OK && found != 1)
        status =
            error_set(error, TS_BAD_INPUT,
                      "'%s' holds %zu series of images where one is wanted: give the folder of "
                      "that series alone",
                      folder, found);
    else if (status == TS_OK)
        status =
            path ? volume_read(path, out, error) : error_set(error, TS_MEMORY, "out of memory");
    free(path);
    for (size_t i = 0; i < names.count; i++) {
        path = path_join(scratch, names.items[i], NULL);
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
        return error_set(error, TS_BAD_INPUT, "the command '%s' ended well but wrote no %s",
                         command, path);
    ts_status status = volume_read(path, &v, error);
    if (status != TS_OK)
        return status;
    const size_t voxels = (size_t)(grid->shape[0] * grid->shape[1] * grid->shape[2]);
    size_t kept = 0;
    if (v.channels != 1 || !volume_same_grid(&v.header, grid))
        status =
            error_set(error, TS_BAD_INPUT,
                      "the command '%s' wrote an image on another grid than it was given", command);
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

ts_status skull_strip(const char *command, const char *scratch, const volume_header *grid,
                      const float *image, uint8_t **mask, ts_error *error)
{
    text t = {0};
    char *in = path_join(scratch, "head.nii.gz", NULL),
         *out = path_join(scratch, "brain.nii.gz", NULL);
    *mask = NULL;
    ts_status status = in && out ? volume_write_float(in, grid, 1, image, error)
                                 : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK)
        status = fill_template(command, in, out, &t, error);
    if (status == TS_OK) {
        const int result = system(t.data);
        if (result == -1 || !WIFEXITED(result) || WEXITSTATUS(result) != 0)
            status = error_set(error, TS_BAD_INPUT, "the command for skull stripping failed: %s",
                               t.data);
    }
    if (status == TS_OK)
        status = read_mask(out, t.data, grid, mask, error);
    if (in)
        unlink(in);
    if (out)
        unlink(out);
    free(in);
    free(out);
    text_free(&t);
    return status;
}
