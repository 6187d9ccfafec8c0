/* Looks through a folder: which files are DICOM, which NIfTI. */
#include "series/found.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 10, FILES_MAX = 500000 };

void found_free(found_files *f)
{
    string_list_free(&f->dicom);
    string_list_free(&f->nifti);
    free(f->headers);
}

static ts_status add_header(found_files *f, const dicom_header *h, ts_error *error)
{
    if (f->dicom.count >= f->capacity) {
        const size_t capacity = f->capacity ? 2 * f->capacity : 256;
        dicom_header *bigger = realloc(f->headers, capacity * sizeof *bigger);
        if (!bigger)
            return error_set(error, TS_MEMORY, "out of memory while listing files");
        f->headers = bigger;
        f->capacity = capacity;
    }
    f->headers[f->dicom.count] = *h;
    return TS_OK;
}

static ts_status look_at_file(found_files *f, const char *path, ts_error *error)
{
    file_map map;
    dicom_header h;
    struct stat state;
    if (volume_extension(path))
        return string_list_add(&f->nifti, path, error);
    if (stat(path, &state) != 0 || !S_ISREG(state.st_mode) ||
        file_map_open(path, &map, NULL) != TS_OK)
        return TS_OK;
    const bool is = dicom_parse(map.bytes, map.count, &h);
    file_map_close(&map);
    f->other_objects += is && !h.has_pixels;
    f->cut += h.damaged || (is && !h.has_pixels && !strcmp(h.modality, "MR"));
    if (!is || !h.has_pixels)
        return TS_OK;
    const ts_status status = add_header(f, &h, error);
    return status == TS_OK ? string_list_add(&f->dicom, path, error) : status;
}

static ts_status look_through(found_files *f, const char *folder, int depth, ts_error *error)
{
    string_list names = {0};
    ts_status status = directory_list(folder, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++) {
        if (names.items[i][0] == '.')
            continue;
        char *path = path_join(folder, names.items[i], error);
        if (!path)
            status = TS_MEMORY;
        else if (directory_exists(path))
            status = depth < DEPTH_MAX ? look_through(f, path, depth + 1, error) : TS_OK;
        else
            status = look_at_file(f, path, error);
        free(path);
        if (status == TS_OK && interrupt_requested())
            status = error_set(error, TS_STOPPED, "stopped; nothing was written");
        if (status == TS_OK && f->dicom.count + f->nifti.count > FILES_MAX)
            status = error_set(error, TS_BAD_INPUT,
                               "'%s' holds more than %d images: give the folder of one patient",
                               folder, FILES_MAX);
    }
    string_list_free(&names);
    return status;
}

ts_status found_read(const char *folder, found_files *f, ts_error *error)
{
    *f = (found_files){0};
    return look_through(f, folder, 0, error);
}

ts_status series_files(const char *folder, const char *uid, string_list *files, ts_error *error)
{
    found_files f;
    ts_status status = found_read(folder, &f, error);
    for (size_t i = 0; status == TS_OK && i < f.dicom.count; i++)
        if (!strcmp(f.headers[i].series_uid, uid))
            status = string_list_add(files, f.dicom.items[i], error);
    found_free(&f);
    return status;
}
