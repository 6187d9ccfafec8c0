/* Finding a model: a path, a run folder, or a name among the models that come with the program. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char extension[] = ".safetensors";

/* From the folder of the running program: build/ or build/VARIANT/ of a source tree, or
 * PREFIX/bin. */
static const char *const folders[] = {"../models", "../../models", "../share/twinseg/models"};

/* The folder of the running program, without a '/' at its end. Where /proc is not mounted, as in a
 * bare chroot, the name that the program was started by has to do. */
static bool program_folder(char *buffer, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", buffer, size - 1);
    if (length <= 0) {
        const char *name = (const char *)getauxval(AT_EXECFN);
        length = name ? snprintf(buffer, size, "%s", name) : 0;
    }
    if (length <= 0 || (size_t)length >= size - 1)
        return false;
    buffer[length] = '\0';
    char *slash = strrchr(buffer, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

static void list_models(const char *folder, text *found)
{
    string_list names;
    if (!directory_exists(folder) || directory_list(folder, &names, NULL) != TS_OK)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (string_ends(names.items[i], extension))
            text_append(found, "%s%.*s", found->length ? ", " : "",
                        (int)(strlen(names.items[i]) - strlen(extension)), names.items[i]);
    string_list_free(&names);
}

static ts_status find_by_name(const char *name, char **path, ts_error *error)
{
    char program[4096];
    text found = {0};
    const bool known = program_folder(program, sizeof program);
    for (size_t i = 0; known && i < COUNT_OF(folders) && !strchr(name, '/'); i++) {
        char *folder = path_join(program, folders[i], NULL);
        *path = folder ? string_format("%s/%s%s", folder, name, extension) : NULL;
        if (folder)
            list_models(folder, &found);
        free(folder);
        if (*path && file_exists(*path)) {
            text_free(&found);
            return TS_OK;
        }
        free(*path);
        *path = NULL;
    }
    error_set(error, TS_IO,
              "there is no model '%s': neither a file or run folder nor a model that "
              "comes with twinseg (%s)",
              name, found.length ? found.data : "none is installed");
    text_free(&found);
    return TS_IO;
}

ts_status model_find(const char *name, char **path, ts_error *error)
{
    *path = NULL;
    if (!file_exists(name))
        return find_by_name(name, path, error);
    const bool run = directory_exists(name);
    *path = string_format(run ? "%s/model.safetensors" : "%s", name);
    if (!*path)
        return error_set(error, TS_MEMORY, "out of memory");
    if (!run || file_exists(*path))
        return TS_OK;
    free(*path);
    *path = NULL;
    return error_set(error, TS_BAD_INPUT,
                     "'%s' holds no model.safetensors: it is written when training ends "
                     "('twinseg train --resume' continues a run)",
                     name);
}

ts_status model_open(const char *name, model *out, ts_error *error)
{
    char *path = NULL;
    *out = (model){0};
    ts_status status = model_find(name, &path, error);
    if (status == TS_OK)
        status = model_read(path, out, error);
    free(path);
    return status;
}

ts_status models_open(const char *names, model **out, size_t *count, ts_error *error)
{
    const bool single = file_exists(names);
    size_t room = 1;
    for (const char *at = names; !single && *at; at++)
        room += *at == ',';
    model *models = memory_allocate(room, sizeof *models, "the models", error);
    ts_status status = models ? TS_OK : TS_MEMORY;
    *count = 0;
    for (const char *at = names; status == TS_OK && *count < room;) {
        const size_t length = single ? strlen(at) : strcspn(at, ",");
        char *name = string_format("%.*s", (int)length, at);
        status = name ? model_open(name, &models[*count], error)
                      : error_set(error, TS_MEMORY, "out of memory");
        free(name);
        *count += status == TS_OK;
        at += length + (at[length] == ',');
    }
    *out = models;
    return status;
}

void models_free(model *models, size_t count)
{
    for (size_t i = 0; models && i < count; i++)
        model_free(&models[i]);
    free(models);
}
