/* The safetensors format: 8 bytes of header length (little endian), a JSON header, then the data
 * of all tensors without a gap. github.com/huggingface/safetensors, "Format"; the limits and checks
 * are those of its reader, so that what passes here passes there. */
#include "model/model.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000u /* bytes; the public reader's own */

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    {"F64", 8},  {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4},  {"F16", 2},
    {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"U8", 1},  {"I8", 1},  {"BOOL", 1},
};

/* 0 where the type is unknown. */
static size_t dtype_bytes(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(dtypes); i++)
        if (!strcmp(name, dtypes[i].name))
            return dtypes[i].bytes;
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* What a reader knows while it walks through the header. */
typedef struct {
    const char *name;    /* of the file, for messages */
    const uint8_t *data; /* behind the header */
    size_t data_bytes;
    safetensors *out;
    ts_error *error;
} reading;

#define REFUSE(r, ...) error_set((r)->error, TS_BAD_INPUT, __VA_ARGS__)

/* A whole number of at least 0 and at most SIZE_MAX/2, which keeps sums of two from wrapping. */
static bool read_size(const json_t *value, size_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (size_t)json_integer_value(value);
    return *size <= SIZE_MAX / 2;
}

static ts_status read_metadata(reading *r, json_t *object)
{
    const size_t count = json_object_size(object);
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return REFUSE(r, "'%s': __metadata__ of the header is not an object", r->name);
    r->out->keys = memory_allocate(count, sizeof(char *), "the metadata", r->error);
    r->out->values = memory_allocate(count, sizeof(char *), "the metadata", r->error);
    if (!r->out->keys || !r->out->values)
        return TS_MEMORY;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return REFUSE(r, "'%s': the metadata '%.64s' is not a string", r->name, key);
        const size_t i = r->out->metadata_count++;
        r->out->keys[i] = strdup(key);
        r->out->values[i] = strdup(json_string_value(value));
        if (!r->out->keys[i] || !r->out->values[i])
            return error_set(r->error, TS_MEMORY, "out of memory while reading '%s'", r->name);
    }
    return TS_OK;
}

static ts_status read_shape(reading *r, const json_t *shape, safetensor *t, size_t *elements)
{
    if (!json_is_array(shape) || json_array_size(shape) > COUNT_OF(t->shape))
        return REFUSE(r, "'%s': the shape of tensor '%s' is not a list of at most %zu numbers",
                      r->name, t->name, COUNT_OF(t->shape));
    t->dimensions = (int)json_array_size(shape);
    *elements = 1;
    for (int i = 0; i < t->dimensions; i++) {
        size_t extent;
        if (!read_size(json_array_get(shape, (size_t)i), &extent) ||
            !size_multiply(*elements, extent, elements))
            return REFUSE(r, "'%s': the shape of tensor '%s' is impossible", r->name, t->name);
        t->shape[i] = (int64_t)extent;
    }
    return TS_OK;
}

static ts_status read_tensor(reading *r, const char *name, const json_t *entry)
{
    safetensor *t = &r->out->tensors[r->out->count];
    size_t elements, begin, end, needed;
    if (strlen(name) >= sizeof t->name || !*name)
        return REFUSE(r, "'%s': the tensor name '%.80s' is empty or longer than %zu characters",
                      r->name, name, sizeof t->name - 1);
    strcpy(t->name, name);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype || !dtype_bytes(dtype))
        return REFUSE(r, "'%s': tensor '%s' has the type '%.16s', which safetensors does not have",
                      r->name, name, dtype ? dtype : "(none)");
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    const ts_status status = read_shape(r, json_object_get(entry, "shape"), t, &elements);
    if (status != TS_OK)
        return status;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end) || begin > end)
        return REFUSE(r, "'%s': data_offsets of tensor '%s' are not two numbers in order", r->name,
                      name);
    if (end > r->data_bytes)
        return REFUSE(
            r,
            "'%s' is cut short or has a wrong size in its header: tensor '%s' ends at byte %zu of "
            "the data, which has %zu",
            r->name, name, end, r->data_bytes);
    if (!size_multiply(elements, dtype_bytes(dtype), &needed) || needed != end - begin)
        return REFUSE(r, "'%s': tensor '%s' needs another number of bytes than the %zu it has",
                      r->name, name, end - begin);
    t->data = r->data + begin;
    t->bytes = end - begin;
    r->out->count++;
    return TS_OK;
}

static int compare_place(const void *a, const void *b)
{
    const safetensor *s = a, *t = b;
    const uint8_t *p = s->data, *q = t->data;
    return p != q ? (p > q) - (p < q) : (s->bytes > t->bytes) - (s->bytes < t->bytes);
}

/* Sorted by place, the tensors must cover the data from end to end. */
static ts_status check_cover(reading *r)
{
    const uint8_t *at = r->data;
    qsort(r->out->tensors, r->out->count, sizeof(safetensor), compare_place);
    for (size_t i = 0; i < r->out->count; i++) {
        const safetensor *t = &r->out->tensors[i];
        if ((const uint8_t *)t->data != at)
            return REFUSE(r, "'%s': the data of tensor '%s' %s", r->name, t->name,
                          (const uint8_t *)t->data < at ? "overlap those before"
                                                        : "leave a gap to those before");
        at += t->bytes;
    }
    if (at != r->data + r->data_bytes)
        return REFUSE(r, "'%s': %zu bytes behind the last tensor belong to none", r->name,
                      r->data_bytes - (size_t)(at - r->data));
    return TS_OK;
}

static ts_status read_header(reading *r, json_t *header)
{
    const char *key;
    json_t *value;
    ts_status status = TS_OK;
    r->out->tensors =
        memory_allocate(json_object_size(header), sizeof(safetensor), "the tensors", r->error);
    if (!r->out->tensors)
        return TS_MEMORY;
    json_object_foreach(header, key, value)
    {
        status = strcmp(key, "__metadata__") ? read_tensor(r, key, value) : read_metadata(r, value);
        if (status != TS_OK)
            return status;
    }
    return check_cover(r);
}

ts_status safetensors_parse(const uint8_t *bytes, size_t count, const char *name, safetensors *out,
                            ts_error *error)
{
    uint64_t length = 0;
    json_error_t cause;
    *out = (safetensors){0};
    if (count < 8)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is not a safetensors file: it has %zu bytes, not even a header's",
                         name, count);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | bytes[i];
    if (length > HEADER_LIMIT || length > count - 8)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is not a safetensors file, or cut short: its header should have "
                         "%" PRIu64 " bytes, and %zu follow",
                         name, length, count - 8);
    if (length == 0 || bytes[8] != '{')
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is not a safetensors file: its header does not begin with '{'",
                         name);
    json_t *header =
        json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &cause);
    if (!header)
        return error_set(error, TS_BAD_INPUT, "'%s': the header is not valid JSON: %s (byte %d)",
                         name, cause.text, cause.position);
    reading r = {name, bytes + 8 + length, count - 8 - (size_t)length, out, error};
    const ts_status status = read_header(&r, header);
    json_decref(header);
    if (status != TS_OK)
        safetensors_free(out);
    return status;
}

ts_status safetensors_read(const char *path, safetensors *out, ts_error *error)
{
    file_map map;
    *out = (safetensors){0};
    ts_status status = file_map_open(path, &map, error);
    if (status != TS_OK)
        return status;
    status = safetensors_parse(map.bytes, map.count, path, out, error);
    if (status != TS_OK)
        file_map_close(&map);
    else
        out->map = map;
    return status;
}

void safetensors_free(safetensors *s)
{
    for (size_t i = 0; i < s->metadata_count; i++) {
        free(s->keys[i]);
        free(s->values[i]);
    }
    free(s->keys);
    free(s->values);
    free(s->tensors);
    file_map_close(&s->map);
    *s = (safetensors){0};
}

const char *safetensors_metadata(const safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->metadata_count; i++)
        if (!strcmp(s->keys[i], key))
            return s->values[i];
    return NULL;
}

const safetensor *safetensors_find(const safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->tensors[i].name, name))
            return &s->tensors[i];
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The JSON header as a string padded with spaces to a multiple of 8, so that the data behind it are
 * aligned; free(). NULL when memory is out. Keys keep their order, so the bytes are
 * reproducible. */
static char *make_header(const safetensor *const *order, size_t count, const char *const *keys,
                         const char *const *values, size_t metadata_count)
{
    json_t *header = json_object(), *metadata = json_object();
    size_t at = 0;
    bool good = header && metadata;
    for (size_t i = 0; good && i < metadata_count; i++)
        good = json_object_set_new(metadata, keys[i], json_string(values[i])) == 0;
    good = good && json_object_set(header, "__metadata__", metadata) == 0;
    for (size_t i = 0; good && i < count; i++) {
        const safetensor *t = order[i];
        json_t *shape = json_array();
        for (int d = 0; good && d < t->dimensions; d++)
            good = json_array_append_new(shape, json_integer(t->shape[d])) == 0;
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype, "shape", shape,
                                  "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes));
        good = good && json_object_set_new(header, t->name, entry) == 0;
        at += t->bytes;
    }
    char *compact = good ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    json_decref(metadata);
    if (!compact)
        return NULL;
    const size_t length = strlen(compact), padded = (length + 7) / 8 * 8;
    char *out = string_format("%-*s", (int)padded, compact);
    free(compact);
    return out;
}

ts_status safetensors_write(const char *path, const safetensor *tensors, size_t count,
                            const char *const *keys, const char *const *values,
                            size_t metadata_count, ts_error *error)
{
    file_writer w;
    const safetensor **order = memory_allocate(count, sizeof *order, "a file's header", error);
    if (!order)
        return TS_MEMORY;
    size_t placed = 0;
    for (size_t bytes = 8; bytes; bytes /= 2)
        for (size_t i = 0; i < count; i++)
            if (dtype_bytes(tensors[i].dtype) == bytes)
                order[placed++] = &tensors[i];
    char *header = make_header(order, placed, keys, values, metadata_count);
    ts_status status = TS_OK;
    if (!header)
        status = error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    if (status == TS_OK)
        status = file_begin(&w, path, error);
    if (status == TS_OK) {
        uint8_t length[8];
        for (int i = 0; i < 8; i++)
            length[i] = (uint8_t)((uint64_t)strlen(header) >> 8 * i);
        status = file_write(&w, length, sizeof length, error);
        if (status == TS_OK)
            status = file_write(&w, header, strlen(header), error);
        for (size_t i = 0; status == TS_OK && i < placed; i++)
            status = file_write(&w, order[i]->data, order[i]->bytes, error);
        if (status == TS_OK)
            status = file_commit(&w, error);
        else
            file_abort(&w);
    }
    free(header);
    free(order);
    return status;
}
