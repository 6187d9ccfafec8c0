/* The list of cases that the layouts fill, with its notes. */
#include "dataset/layout.h"

#include <stdlib.h>
#include <string.h>

char *path_within(const char *path)
{
    string_list names;
    char *inner = NULL;
    size_t stem, images = 0;
    if (!name_is_image(path, &stem) || !directory_exists(path) ||
        directory_list(path, &names, NULL) != TS_OK)
        return NULL;
    for (size_t i = 0; i < names.count; i++)
        if (!name_is_stray(names.items[i]) && name_is_image(names.items[i], &stem) && !images++)
            inner = path_join(path, names.items[i], NULL);
    string_list_free(&names);
    if (images == 1 && inner && !directory_exists(inner))
        return inner;
    free(inner);
    return NULL;
}

dataset_case *dataset_add(dataset *d, const char *id, ts_error *error)
{
    /* grown by doubling: the capacity is the power of two at or above the count */
    if ((d->count & (d->count - 1)) == 0) {
        const size_t capacity = d->count ? 2 * d->count : 1;
        dataset_case *cases = realloc(d->cases, capacity * sizeof *cases);
        if (!cases) {
            error_set(error, TS_MEMORY, "out of memory while listing the cases of '%s'", d->path);
            return NULL;
        }
        d->cases = cases;
    }
    dataset_case *c = &d->cases[d->count];
    *c = (dataset_case){.id = strdup(id)};
    if (!c->id) {
        error_set(error, TS_MEMORY, "out of memory while listing the cases of '%s'", d->path);
        return NULL;
    }
    d->count++;
    return c;
}

ts_status dataset_note(dataset *d, ts_error *error, const char *format, ...)
{
    va_list list;
    char sentence[2048];
    va_start(list, format);
    vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    return string_list_add(&d->notes, sentence, error);
}

void dataset_close(dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->cases[i].id);
        free(d->cases[i].truth);
        for (int m = 0; m < MODALITIES; m++)
            free(d->cases[i].image[m]);
    }
    free(d->cases);
    for (size_t i = 0; i < d->folder_count; i++) {
        free(d->folders[i].path);
        free(d->folders[i].root);
    }
    free(d->folders);
    free(d->path);
    string_list_free(&d->notes);
    *d = (dataset){0};
}

const dataset_case *dataset_find_case(const dataset *d, const char *id)
{
    for (size_t i = 0; i < d->count; i++)
        if (!strcmp(d->cases[i].id, id))
            return &d->cases[i];
    return NULL;
}

modality_set dataset_case_modalities(const dataset_case *c)
{
    modality_set set = 0;
    for (int m = 0; m < MODALITIES; m++)
        set |= c->image[m] ? 1u << m : 0;
    return set;
}
