/* Volumes out: single NIfTI files on the grid of another, packed where the name ends in .gz. */
#include "volume/nifti.h"

#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GZIP_LEVEL = 6 };

/* Fields in this machine's order, which is little-endian on every target we build for. */
static void put(uint8_t *header, size_t at, const void *value, size_t bytes)
{
    memcpy(header + at, value, bytes);
}

static void put_real(uint8_t *header, size_t at, double value, bool wide)
{
    const float narrow = (float)value;
    if (wide)
        put(header, at, &value, sizeof value);
    else
        put(header, at, &narrow, sizeof narrow);
}

static void put_code(uint8_t *header, size_t at, int value, bool wide)
{
    const int32_t long_code = value;
    const int16_t short_code = (int16_t)value;
    if (wide)
        put(header, at, &long_code, sizeof long_code);
    else
        put(header, at, &short_code, sizeof short_code);
}

static void put_extents(uint8_t *header, size_t at, const int64_t extents[8], bool wide)
{
    for (size_t i = 0; i < 8; i++) {
        const int16_t narrow = (int16_t)extents[i];
        if (wide)
            put(header, at + 8 * i, &extents[i], 8);
        else
            put(header, at + 2 * i, &narrow, 2);
    }
}

/* Header and the four bytes that say "no extensions"; returns their length. */
static size_t make_header(const volume_header *like, int64_t channels, int datatype, bool wide,
                          uint8_t header[NIFTI_2_HEADER + 4])
{
    const size_t length = wide ? NIFTI_2_HEADER : NIFTI_1_HEADER;
    const int32_t first = (int32_t)length;
    const int64_t offset = (int64_t)length + 4;
    const int16_t type = (int16_t)datatype, bits = (int16_t)(8 * volume_datatype_bytes(datatype));
    const int64_t extents[8] = {
        channels > 1 ? 4 : 3, like->shape[0], like->shape[1], like->shape[2], channels, 1, 1, 1};
    memset(header, 0, NIFTI_2_HEADER + 4);
    put(header, 0, &first, 4);
    memcpy(header + (wide ? 4 : 344), wide ? "n+2\0\r\n\032\n" : "n+1\0", wide ? 8 : 4);
    put(header, wide ? 12 : 70, &type, 2);
    put(header, wide ? 14 : 72, &bits, 2);
    put_extents(header, wide ? 16 : 40, extents, wide);
    const size_t real = wide ? 8 : 4, pixdim = wide ? 104 : 76;
    put_real(header, pixdim, like->qfac < 0 ? -1 : 1, wide);
    for (size_t i = 0; i < 3; i++)
        put_real(header, pixdim + (i + 1) * real, like->zooms[i], wide);
    for (size_t i = 3; i < 7; i++)
        put_real(header, pixdim + (i + 1) * real, 1, wide);
    if (wide)
        put(header, 168, &offset, 8);
    else
        put_real(header, 108, (double)offset, false);
    put_real(header, wide ? 176 : 112, 1, wide);
    put_code(header, wide ? 344 : 252, like->qform_code, wide);
    put_code(header, wide ? 348 : 254, like->sform_code, wide);
    for (size_t i = 0; i < 3; i++) {
        put_real(header, (wide ? 352 : 256) + i * real, like->quaternion[i], wide);
        put_real(header, (wide ? 376 : 268) + i * real, like->offset_mm[i], wide);
    }
    for (size_t i = 0; i < 12 && like->sform_code > 0; i++)
        put_real(header, (wide ? 400 : 280) + i * real, like->affine[i / 4][i % 4], wide);
    header[wide ? 500 : 123] = 2; /* xyzt_units: mm; of NIfTI-2 the low byte of an int32 */
    return (size_t)offset;
}

static ts_status write_packed(file_writer *w, const uint8_t *bytes, size_t count, ts_error *error)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (!c)
        return error_set(error, TS_MEMORY, "out of memory while packing '%s'", w->path);
    ts_status status = TS_OK;
    const size_t room = libdeflate_gzip_compress_bound(c, count);
    uint8_t *packed = memory_allocate(room, 1, w->path, error);
    if (!packed)
        status = TS_MEMORY;
    else
        status =
            file_write(w, packed, libdeflate_gzip_compress(c, bytes, count, packed, room), error);
    free(packed);
    libdeflate_free_compressor(c);
    return status;
}

static ts_status write_volume(const char *path, const volume_header *like, int64_t channels,
                              int datatype, const void *data, ts_error *error)
{
    uint8_t header[NIFTI_2_HEADER + 4];
    file_writer w;
    bool wide = like->version == NIFTI_2;
    size_t voxels = (size_t)channels, bytes;
    for (int i = 0; i < 3; i++) {
        wide = wide || like->shape[i] > INT16_MAX;
        if (!size_multiply(voxels, (size_t)like->shape[i], &voxels))
            return error_set(error, TS_BAD_INPUT, "the size of '%s' overflows", path);
    }
    const size_t offset = make_header(like, channels, datatype, wide, header);
    if (!size_multiply(voxels, volume_datatype_bytes(datatype), &bytes) ||
        bytes > SIZE_MAX - offset)
        return error_set(error, TS_BAD_INPUT, "the size of '%s' overflows", path);
    ts_status status = file_begin(&w, path, error);
    if (status != TS_OK)
        return status;
    if (string_ends_nocase(path, ".gz")) {
        uint8_t *whole = memory_allocate(offset + bytes, 1, path, error);
        if (!whole)
            status = TS_MEMORY;
        else {
            memcpy(whole, header, offset);
            memcpy(whole + offset, data, bytes);
            status = write_packed(&w, whole, offset + bytes, error);
        }
        free(whole);
    } else {
        status = file_write(&w, header, offset, error);
        if (status == TS_OK)
            status = file_write(&w, data, bytes, error);
    }
    if (status == TS_OK)
        return file_commit(&w, error);
    file_abort(&w);
    return status;
}

ts_status volume_write_labels(const char *path, const volume_header *like, const uint8_t *labels,
                              ts_error *error)
{
    return write_volume(path, like, 1, 2, labels, error);
}

ts_status volume_write_float(const char *path, const volume_header *like, int64_t channels,
                             const float *data, ts_error *error)
{
    return write_volume(path, like, channels, 16, data, error);
}

ts_status volume_write_int16(const char *path, const volume_header *like, int64_t channels,
                             const int16_t *data, ts_error *error)
{
    return write_volume(path, like, channels, 4, data, error);
}

bool volume_is_whole(const float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (data[i] != rintf(data[i]) || fabsf(data[i]) >= 20000)
            return false;
    return true;
}

ts_status volume_write_values(const char *path, const volume_header *like, int64_t channels,
                              const float *data, bool whole, ts_error *error)
{
    if (!whole)
        return volume_write_float(path, like, channels, data, error);
    const size_t count = (size_t)(like->shape[0] * like->shape[1] * like->shape[2] * channels);
    int16_t *rounded = memory_allocate(count, sizeof *rounded, path, error);
    if (!rounded)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++)
        rounded[i] = (int16_t)rintf(data[i]);
    const ts_status status = volume_write_int16(path, like, channels, rounded, error);
    free(rounded);
    return status;
}
