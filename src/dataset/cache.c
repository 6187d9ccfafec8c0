/* Preprocessed cases kept in files: a header that is checked, then the block of block.h, mapped.
 *
 * A cache file is found by case and settings, and used where its key (every input's path, size
 * and time; labels, spacing, format), its sizes and its checksums agree. Checking reads the block
 * once, at some 10 GB/s, which also brings it into memory before the first step. Files are written
 * by rename, so that two processes may share a directory. Numbers have this machine's byte
 * order: a cache is not for exchange. */
#include "dataset/block.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Raised whenever preprocessing or the format changes; older files are then rebuilt. */
enum { CACHE_VERSION = 2 };
enum { BLOCK_AT = 4096 }; /* the block begins on a page of its own */

static const char magic[8] = "TSCASE\r\n"; /* "\r\n": a transfer as text shows */

typedef struct {
    char magic[8];
    uint32_t version, header_bytes;
    uint64_t key, file_bytes;
    uint32_t present, labelled;
    int64_t class_voxels[4];
    preprocessed_geometry geometry;
    uint32_t block_crc, header_crc; /* the latter over all before it */
} cache_header;

_Static_assert(sizeof(cache_header) <= BLOCK_AT, "the header outgrew its page");

static uint32_t header_checksum(const cache_header *h)
{
    return libdeflate_crc32(0, h, offsetof(cache_header, header_crc));
}

/* ---- what a file depends on --------------------------------------------------------------- */

static uint64_t hash_file(uint64_t hash, const char *path)
{
    int64_t stamp[2] = {-1, -1};
    char *real = realpath(path, NULL);
    const char *name = real ? real : path;
    file_stamp(path, &stamp[0], &stamp[1]);
    hash = hash_bytes(hash, name, strlen(name) + 1);
    free(real);
    return hash_bytes(hash, stamp, sizeof stamp);
}

/* X.hdr is half an image: its X.img or X.img.gz counts too. */
static uint64_t hash_image(uint64_t hash, const char *path)
{
    hash = hash_file(hash, path);
    if (!string_ends_nocase(path, ".hdr"))
        return hash;
    static const char *const endings[] = {".img", ".img.gz"};
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char *data = string_format("%.*s%s", (int)(strlen(path) - 4), path, endings[i]);
        if (data)
            hash = hash_file(hash, data);
        free(data);
    }
    return hash;
}

static uint64_t input_key(const dataset_case *c, modality_set use, double spacing_mm)
{
    const int32_t settings[3] = {CACHE_VERSION, (int32_t)use, (int32_t)c->labels};
    uint64_t hash = hash_bytes(HASH_START, settings, sizeof settings);
    hash = hash_bytes(hash, &spacing_mm, sizeof spacing_mm);
    for (int m = 0; m < MODALITIES; m++)
        if (use >> m & 1 && c->image[m]) {
            const int32_t place[2] = {m, c->channel[m]};
            hash = hash_image(hash_bytes(hash, place, sizeof place), c->image[m]);
        }
    return c->truth ? hash_image(hash, c->truth) : hash;
}

/* DIRECTORY/ID-SETTINGS.case: other settings are other files, changed inputs are the same file. */
static char *cache_path(const char *directory, const char *id, modality_set use, double spacing_mm)
{
    uint64_t hash = hash_bytes(HASH_START, &use, sizeof use);
    hash = hash_bytes(hash, &spacing_mm, sizeof spacing_mm);
    char *path = string_format("%s/%s-%08" PRIx32 ".case", directory, id, (uint32_t)(hash >> 32));
    if (path)
        for (char *at = path + strlen(directory) + 1; *at; at++)
            if (*at == '/')
                *at = '_';
    return path;
}

/* ---- reading ------------------------------------------------------------------------------ */

typedef enum { CACHE_GOOD, CACHE_STALE, CACHE_DAMAGED } cache_state;

/* Checks a mapped file and points *out into it where it is good. */
static cache_state check_file(const file_map *map, uint64_t key, preprocessed *out)
{
    cache_header h;
    block_layout layout;
    if (map->count < BLOCK_AT)
        return CACHE_DAMAGED;
    memcpy(&h, map->bytes, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic))
        return CACHE_DAMAGED;
    if (h.version != CACHE_VERSION || h.header_bytes != sizeof h)
        return CACHE_STALE;
    if (header_checksum(&h) != h.header_crc)
        return CACHE_DAMAGED;
    if (h.key != key)
        return CACHE_STALE;
    if (h.file_bytes != map->count ||
        !block_place(h.geometry.shape, h.labelled, h.class_voxels, &layout) ||
        layout.bytes != map->count - BLOCK_AT ||
        libdeflate_crc32(0, map->bytes + BLOCK_AT, layout.bytes) != h.block_crc)
        return CACHE_DAMAGED;
    out->present = h.present;
    out->geometry = h.geometry;
    out->checksum = h.block_crc;
    block_bind(&layout, map->bytes + BLOCK_AT, out);
    return CACHE_GOOD;
}

static cache_state open_file(const char *path, uint64_t key, preprocessed *out)
{
    *out = (preprocessed){0};
    if (!file_exists(path) || file_map_open(path, &out->map, NULL) != TS_OK)
        return CACHE_STALE;
    const cache_state state = check_file(&out->map, key, out);
    if (state != CACHE_GOOD)
        preprocessed_free(out);
    return state;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The block, less the images of absent modalities, which become holes in the file (they read as
 * zeros). The last part is always written, so that the file has its size. */
static ts_status write_block(file_writer *w, const preprocessed *c, const block_layout *l,
                             ts_error *error)
{
    const size_t image_bytes = (size_t)l->voxels * sizeof(float);
    const char *block = c->heap;
    ts_status status = TS_OK;
    size_t done = 0;
    for (int m = 0; status == TS_OK && m + 1 < MODALITIES; m++) {
        if (c->present >> m & 1)
            status = file_write(w, block + done, image_bytes, error);
        else if (fseeko(w->stream, (off_t)image_bytes, SEEK_CUR) != 0)
            status = error_set(error, TS_IO, "cannot write '%s'", w->path);
        done += image_bytes;
    }
    return status == TS_OK ? file_write(w, block + done, l->bytes - done, error) : status;
}

static ts_status write_file(const char *path, uint64_t key, const preprocessed *c, ts_error *error)
{
    char page[BLOCK_AT] = {0};
    block_layout layout;
    ts_status status = block_plan(c->geometry.shape, c->labels, &layout, error);
    if (status != TS_OK)
        return status;
    cache_header h;
    memset(&h, 0, sizeof h); /* padding too: it is part of the checksum */
    memcpy(h.magic, magic, sizeof magic);
    h.version = CACHE_VERSION;
    h.header_bytes = sizeof h;
    h.key = key;
    h.file_bytes = BLOCK_AT + layout.bytes;
    h.present = c->present;
    h.labelled = layout.labelled;
    memcpy(h.class_voxels, layout.class_voxels, sizeof h.class_voxels);
    h.geometry = c->geometry;
    h.block_crc = libdeflate_crc32(0, c->heap, layout.bytes);
    h.header_crc = header_checksum(&h);
    memcpy(page, &h, sizeof h);
    file_writer w;
    status = file_begin(&w, path, error);
    if (status != TS_OK)
        return status;
    if ((status = file_write(&w, page, sizeof page, error)) == TS_OK &&
        (status = write_block(&w, c, &layout, error)) == TS_OK)
        return file_commit(&w, error);
    file_abort(&w);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Makes the file at path and opens it. */
static ts_status rebuild(const dataset_case *c, modality_set use, double spacing_mm,
                         const char *directory, const char *path, pool *p, preprocessed *out,
                         ts_error *error)
{
    ts_error cause;
    const uint64_t key = input_key(c, use, spacing_mm);
    ts_status status = preprocess_case(c, use, spacing_mm, BRAIN_OWN, true, p, out, error);
    if (status != TS_OK)
        return status;
    status = directory_create(directory, &cause);
    if (status == TS_OK)
        status = write_file(path, key, out, &cause);
    preprocessed_free(out);
    if (status != TS_OK)
        return error_set(error, status,
                         "%.900s; the cache of preprocessed cases can be put elsewhere with "
                         "--cache",
                         cause.text);
    if (open_file(path, key, out) != CACHE_GOOD)
        return error_set(error, TS_IO,
                         "the cache file '%s' does not read back as written: is the "
                         "disk failing?",
                         path);
    return TS_OK;
}

ts_status preprocess_cached(const dataset_case *c, modality_set use, double spacing_mm,
                            const char *directory, pool *p, preprocessed *out, ts_error *error)
{
    *out = (preprocessed){0};
    const uint64_t key = input_key(c, use, spacing_mm);
    char *path = cache_path(directory, c->id, use, spacing_mm);
    if (!path)
        return error_set(error, TS_MEMORY, "out of memory preprocessing case %s", c->id);
    ts_status status = TS_OK;
    const cache_state state = open_file(path, key, out);
    if (state == CACHE_DAMAGED)
        note("the cache file '%s' is damaged or cut short; it is made again", path);
    if (state != CACHE_GOOD)
        status = rebuild(c, use, spacing_mm, directory, path, p, out, error);
    if (status == TS_OK && !(out->id = strdup(c->id))) {
        preprocessed_free(out);
        status = error_set(error, TS_MEMORY, "out of memory preprocessing case %s", c->id);
    }
    free(path);
    return status;
}
