/* The bytes of a NIfTI file: plain, gzip (libdeflate), a pair of .hdr and .img, or a folder that
 * holds the one image and has its name. */
#include "volume/nifti.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

/* ---- gzip --------------------------------------------------------------------------------- */

/* Deflate cannot pack more than 1032 to 1: what claims more is refused before it is allocated. */
static size_t most_unpacked(size_t packed)
{
    size_t most;
    return size_multiply(packed, 1032, &most) ? most : SIZE_MAX;
}

/* Bytes to begin with: the length that the end of the file claims, of most files that of all its
 * data. Where other bytes lie behind the gzip data the claim is any number: above 258 to 1, which
 * few label files reach, it is not believed. */
static size_t first_room(const uint8_t *bytes, size_t count)
{
    const uint8_t *end = bytes + count - 4;
    const size_t claim =
        (size_t)end[0] | (size_t)end[1] << 8 | (size_t)end[2] << 16 | (size_t)end[3] << 24;
    return claim < most_unpacked(count) / 4 ? claim + 1 : 16 * count;
}

static ts_status gzip_error(enum libdeflate_result result, size_t left, const char *path,
                            ts_error *error)
{
    if (result == LIBDEFLATE_SHORT_OUTPUT || left < 18)
        return error_set(error, TS_BAD_INPUT, "'%s': its gzip data end early", path);
    return error_set(error, TS_BAD_INPUT,
                     "'%s': its gzip data are damaged or cut short; copy the file anew", path);
}

/* Grows *buffer to at least twice its size, no further than `most`. */
static ts_status grow(uint8_t **buffer, size_t *room, size_t used, size_t most, const char *path,
                      ts_error *error)
{
    const size_t wanted = *room < most / 2 ? 2 * *room : most;
    if (wanted <= *room)
        return error_set(error, TS_BAD_INPUT, "'%s': its gzip data are damaged", path);
    uint8_t *larger = memory_take(wanted, 1, path, error);
    if (!larger)
        return TS_MEMORY;
    memcpy(larger, *buffer, used);
    free(*buffer);
    *buffer = larger;
    *room = wanted;
    return TS_OK;
}

static bool is_gzip(const uint8_t *bytes, size_t count)
{
    return count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* All members one behind the other. Zeros behind the last are padding; other bytes there that do
 * not begin a member are ignored, as gzip does, and counted. */
static ts_status unpack_members(struct libdeflate_decompressor *d, const file_map *map,
                                const char *path, nifti_bytes *out, ts_error *error)
{
    const size_t most = most_unpacked(map->count);
    size_t room = first_room(map->bytes, map->count), at = 0, used = 0;
    out->unpacked = memory_take(room, 1, path, error);
    if (!out->unpacked)
        return TS_MEMORY;
    while (is_gzip(map->bytes + at, map->count - at)) {
        size_t taken, made;
        const enum libdeflate_result result = libdeflate_gzip_decompress_ex(
            d, map->bytes + at, map->count - at, out->unpacked + used, room - used, &taken, &made);
        if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
            const ts_status status = grow(&out->unpacked, &room, used, most, path, error);
            if (status != TS_OK)
                return status;
            continue;
        }
        if (result != LIBDEFLATE_SUCCESS)
            return gzip_error(result, map->count - at, path, error);
        at += taken;
        used += made;
    }
    if (!bytes_are_zero(map->bytes + at, map->count - at))
        out->ignored = map->count - at;
    out->bytes = out->unpacked;
    out->count = used;
    return TS_OK;
}

ts_status nifti_bytes_read(const char *path, nifti_bytes *out, ts_error *error)
{
    *out = (nifti_bytes){0};
    ts_status status = file_map_open(path, &out->map, error);
    if (status != TS_OK)
        return status;
    out->bytes = out->map.bytes;
    out->count = out->map.count;
    if (!is_gzip(out->bytes, out->count))
        return TS_OK;
    if (out->count < 18)
        status = error_set(error, TS_BAD_INPUT, "'%s': its gzip data end early", path);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!d)
        status = error_set(error, TS_MEMORY, "out of memory while reading '%s'", path);
    if (status == TS_OK)
        status = unpack_members(d, &out->map, path, out, error);
    if (d)
        libdeflate_free_decompressor(d);
    file_map_close(&out->map);
    if (status != TS_OK)
        nifti_bytes_free(out);
    return status;
}

void nifti_bytes_free(nifti_bytes *b)
{
    free(b->unpacked);
    file_map_close(&b->map);
    *b = (nifti_bytes){0};
}

/* ---- pairs and folders ---------------------------------------------------------------------- */

/* PATH with its ending exchanged; NULL where it has another one or memory is out. */
static char *exchange_ending(const char *path, const char *from, const char *to)
{
    if (!string_ends_nocase(path, from))
        return NULL;
    return string_format("%.*s%s", (int)(strlen(path) - strlen(from)), path, to);
}

/* The .img beside a .hdr, packed or not; free(). */
static char *voxel_path(const char *path)
{
    static const char *const pairs[][2] = {{".hdr", ".img"},
                                           {".hdr", ".img.gz"},
                                           {".hdr.gz", ".img.gz"},
                                           {".hdr.gz", ".img"},
                                           {".hdr", ".IMG"}};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char *other = exchange_ending(path, pairs[i][0], pairs[i][1]);
        if (other && file_exists(other))
            return other;
        free(other);
    }
    return NULL;
}

size_t volume_extension(const char *name)
{
    return string_ends_nocase(name, ".nii.gz") ? 7 : string_ends_nocase(name, ".nii") ? 4 : 0;
}

bool volume_is_dicom(const char *path)
{
    file_map map;
    if (file_map_open(path, &map, NULL) != TS_OK)
        return false;
    const bool is = nifti_is_dicom(map.bytes, map.count);
    file_map_close(&map);
    return is;
}

static bool holds_dicom(const char *folder, const string_list *names)
{
    bool found = false;
    for (size_t i = 0; i < names->count && !found; i++) {
        char *path = path_join(folder, names->items[i], NULL);
        found = path && volume_is_dicom(path);
        free(path);
    }
    return found;
}

/* The file to read for `path`: the .hdr of an .img, the one image in a folder of that name;
 * free(). */
static ts_status resolve(const char *path, char **file, ts_error *error)
{
    string_list names;
    *file = exchange_ending(path, ".img", ".hdr");
    if (!*file)
        *file = exchange_ending(path, ".img.gz", ".hdr.gz");
    if (!*file && !directory_exists(path))
        *file = strdup(path);
    if (*file || !directory_exists(path))
        return *file ? TS_OK
                     : error_set(error, TS_MEMORY, "out of memory while opening '%s'", path);
    const ts_status status = directory_list(path, &names, error);
    if (status != TS_OK)
        return status;
    size_t images = 0, place = 0;
    for (size_t i = 0; i < names.count; i++)
        if (names.items[i][0] != '.' && volume_extension(names.items[i])) {
            images++;
            place = i;
        }
    const bool dicom = images == 0 && holds_dicom(path, &names);
    if (images == 1)
        *file = path_join(path, names.items[place], NULL);
    string_list_free(&names);
    if (*file)
        return TS_OK;
    if (dicom)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is a folder of DICOM files: 'twinseg prepare' makes a case of a "
                         "patient's DICOM folders",
                         path);
    return error_set(error, TS_BAD_INPUT, "'%s' is a folder that holds %zu images, not one", path,
                     images);
}

static ts_status find_voxels(nifti_file *f, const char *path, ts_error *error)
{
    const nifti_bytes *from = &f->header_file;
    if (!f->d.single) {
        char *other = voxel_path(path);
        if (!other)
            return error_set(
                error, TS_IO,
                "'%s' is one half of a pair: the .img that holds its voxels is missing", path);
        const ts_status status = nifti_bytes_read(other, &f->voxel_file, error);
        free(other);
        if (status != TS_OK)
            return status;
        from = &f->voxel_file;
    }
    const uint64_t bytes = (uint64_t)f->d.voxels * f->d.value_bytes; /* fits: parsed so */
    if (f->d.data_offset > from->count || bytes > from->count - f->d.data_offset)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is cut short: its header promises %lld voxels of %zu bytes, and %zu "
                         "bytes are there",
                         path, (long long)f->d.voxels, f->d.value_bytes,
                         from->count > f->d.data_offset ? from->count - (size_t)f->d.data_offset
                                                        : 0);
    f->voxels = (volume_voxels){.bytes = from->bytes + f->d.data_offset,
                                .datatype = f->d.header.datatype,
                                .swap = f->d.swap,
                                .slope = f->d.header.slope,
                                .intercept = f->d.header.intercept};
    return TS_OK;
}

ts_status nifti_open(const char *path, bool with_voxels, nifti_file *out, ts_error *error)
{
    char *file;
    *out = (nifti_file){0};
    ts_status status = resolve(path, &file, error);
    if (status != TS_OK)
        return status;
    status = nifti_bytes_read(file, &out->header_file, error);
    if (status == TS_OK)
        status = nifti_parse(out->header_file.bytes, out->header_file.count, file, &out->d, error);
    if (status == TS_OK && with_voxels)
        status = find_voxels(out, file, error);
    out->d.header.ignored_bytes = (int64_t)(out->header_file.ignored + out->voxel_file.ignored);
    free(file);
    if (status != TS_OK)
        nifti_close(out);
    return status;
}

void nifti_close(nifti_file *f)
{
    nifti_bytes_free(&f->header_file);
    nifti_bytes_free(&f->voxel_file);
    *f = (nifti_file){0};
}
