/* The record of a folder of results: what lets a second call go on where the first stopped. */
#include "segment/state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char state_name[] = "segment.json";

static ts_status out_of_memory(ts_error *error)
{
    return error_set(error, TS_MEMORY, "out of memory for the record");
}

ts_status state_fingerprint(const char *path, char hex[20], ts_error *error)
{
    file_map map;
    const ts_status status = file_map_open(path, &map, error);
    if (status != TS_OK)
        return status;
    snprintf(hex, 20, "%016llx", (unsigned long long)hash_bytes(HASH_START, map.bytes, map.count));
    file_map_close(&map);
    return TS_OK;
}

static ts_status write_state(const segment_state *r, ts_error *error)
{
    char *content = json_dumps(r->root, JSON_INDENT(1));
    const ts_status status =
        content ? file_put(r->path, content, strlen(content), error) : out_of_memory(error);
    free(content);
    return status;
}

/* A folder that is not empty and has no record belongs to somebody else. Hidden files do not count:
 * a killed process may have left some. */
static ts_status check_empty(const char *folder, ts_error *error)
{
    string_list names;
    ts_status status = directory_list(folder, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        if (names.items[i][0] != '.')
            status = error_set(error, TS_BAD_INPUT,
                               "'%s' holds files that 'segment' did not make, such as '%s': give a "
                               "new folder by -o",
                               folder, names.items[i]);
    string_list_free(&names);
    return status;
}

static ts_status begin_state(segment_state *r, ts_error *error)
{
    const ts_status status = check_empty(r->folder, error);
    if (status != TS_OK)
        return status;
    r->root = json_pack("{s:s, s:[]}", "twinseg", ts_version(), "steps");
    return r->root ? write_state(r, error) : out_of_memory(error);
}

ts_status state_open(const char *folder, segment_state *r, ts_error *error)
{
    *r = (segment_state){.folder = strdup(folder), .path = path_join(folder, state_name, error)};
    if (!r->folder || !r->path)
        return out_of_memory(error);
    if (!file_exists(r->path))
        return begin_state(r, error);
    ts_status status = json_read(r->path, JSON_BYTES_MAX, &r->root, error);
    if (status == TS_OK && !json_is_array(json_object_get(r->root, "steps")))
        status = error_set(error, TS_BAD_INPUT, "'%s' is not a record of 'segment'", r->path);
    if (status != TS_OK || !strcmp(json_string_value(json_object_get(r->root, "twinseg"))
                                       ? json_string_value(json_object_get(r->root, "twinseg"))
                                       : "",
                                   ts_version()))
        return status;
    note("'%s' was made by another version of the program: all is made anew", folder);
    json_array_clear(json_object_get(r->root, "steps"));
    json_object_set_new(r->root, "twinseg", json_string(ts_version()));
    return write_state(r, error);
}

bool state_is_empty(const segment_state *r)
{
    return json_array_size(json_object_get(r->root, "steps")) == 0;
}

void state_close(segment_state *r)
{
    json_decref(r->root);
    free(r->folder);
    free(r->path);
    *r = (segment_state){0};
}

static json_t *find_step(const segment_state *r, const char *step, size_t *index)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(r->root, "steps"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "step"));
        if (name && !strcmp(name, step)) {
            *index = i;
            return one;
        }
    }
    return NULL;
}

json_t *state_found(const segment_state *r, const char *step)
{
    size_t ignored;
    return json_object_get(find_step(r, step, &ignored), "found");
}

static bool files_are_as_made(const segment_state *r, const json_t *files)
{
    const char *name;
    json_t *recorded;
    json_object_foreach((json_t *)(uintptr_t)files, name, recorded)
    {
        char hex[20] = "";
        char *path = path_join(r->folder, name, NULL);
        const bool same = path && file_exists(path) &&
                          state_fingerprint(path, hex, NULL) == TS_OK && json_is_string(recorded) &&
                          !strcmp(json_string_value(recorded), hex);
        free(path);
        if (!same) {
            note("'%s/%s' is not as it was made: it is made anew", r->folder, name);
            return false;
        }
    }
    return true;
}

/* The first key whose value differs; NULL: none does. */
static const char *first_difference(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)a, key,
                        value) if (!json_equal(value, json_object_get(b, key))) return key;
    json_object_foreach((json_t *)(uintptr_t)b, key,
                        value) if (!json_object_get(a, key)) return key;
    return NULL;
}

bool state_keeps(const segment_state *r, const char *step, const json_t *of)
{
    size_t ignored;
    const json_t *done = find_step(r, step, &ignored);
    if (!done)
        return false;
    const char *different = first_difference(of, json_object_get(done, "of"));
    if (different)
        note("'%s' was made with another %s: it is made anew from the %s on", r->folder, different,
             step);
    return !different && files_are_as_made(r, json_object_get(done, "files"));
}

/* What was made from something else does not stay beside what is made now. */
static void remove_files(const segment_state *r, const json_t *step)
{
    const char *name;
    json_t *hex;
    json_object_foreach(json_object_get(step, "files"), name, hex)
    {
        char *path = strstr(name, "..") ? NULL : path_join(r->folder, name, NULL);
        if (path)
            unlink(path);
        free(path);
    }
}

ts_status state_forget(segment_state *r, const char *step, ts_error *error)
{
    size_t index;
    json_t *one = find_step(r, step, &index);
    if (!one)
        return TS_OK;
    json_incref(one);
    json_array_remove(json_object_get(r->root, "steps"), index);
    const ts_status status = write_state(r, error);
    if (status == TS_OK)
        remove_files(r, one);
    json_decref(one);
    return status;
}

ts_status state_end(segment_state *r, const char *step, const json_t *of, json_t *found,
                    const string_list *files, ts_error *error)
{
    json_t *made = json_object(), *one = NULL;
    ts_status status = made ? TS_OK : out_of_memory(error);
    for (size_t i = 0; status == TS_OK && i < files->count; i++) {
        char hex[20];
        char *path = path_join(r->folder, files->items[i], error);
        status = path ? state_fingerprint(path, hex, error) : TS_MEMORY;
        if (status == TS_OK)
            json_object_set_new(made, files->items[i], json_string(hex));
        free(path);
    }
    if (status == TS_OK)
        one = json_pack("{s:s, s:O, s:O, s:O}", "step", step, "of", of, "found",
                        found ? found : json_null(), "files", made);
    json_decref(made);
    if (status != TS_OK)
        return status;
    if (!one || json_array_append_new(json_object_get(r->root, "steps"), one) != 0)
        return out_of_memory(error);
    return write_state(r, error);
}
