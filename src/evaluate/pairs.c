/* Finding the label files of two folders, and pairing them by case. */
#include "dataset/dataset.h"
#include "evaluate/scoring.h"
#include "volume/volume.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- finding files -------------------------------------------------------------------------- */

typedef struct {
    char *id, *path;
    bool marked; /* its name ends in -seg or _seg */
} found_file;

typedef struct {
    found_file *files;
    size_t count;
} file_list;

static void file_list_free(file_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->files[i].id);
        free(l->files[i].path);
    }
    free(l->files);
}

/* Length of the name less extension and "-seg" or "_seg"; *marked: it had one of these. */
static size_t id_length(const char *name, bool *marked)
{
    size_t length = strlen(name) - volume_extension(name);
    *marked = length > 4 && (name[length - 4] == '-' || name[length - 4] == '_') &&
              !strncasecmp(name + length - 3, "seg", 3);
    return *marked ? length - 4 : length;
}

static ts_status add_file(file_list *l, const char *folder, const char *name, ts_error *error)
{
    found_file *files = realloc(l->files, (l->count + 1) * sizeof *files);
    if (!files)
        return error_set(error, TS_MEMORY, "out of memory");
    l->files = files;
    found_file *f = &files[l->count++];
    *f = (found_file){0};
    f->id = string_format("%.*s", (int)id_length(name, &f->marked), name);
    f->path = path_join(folder, name, error);
    return f->id && f->path ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
}

static ts_status add_images(file_list *l, const char *folder, bool only_marked, ts_error *error)
{
    string_list names;
    ts_status status = directory_list(folder, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++) {
        const char *name = names.items[i];
        bool marked;
        id_length(name, &marked);
        if (name[0] != '.' && volume_extension(name) && (marked || !only_marked))
            status = add_file(l, folder, name, error);
    }
    string_list_free(&names);
    return status;
}

static int compare_files(const void *a, const void *b)
{
    const found_file *f = a, *g = b;
    const int order = strcmp(f->id, g->id);
    return order ? order : strcmp(f->path, g->path);
}

/* A folder called like an image (public copies have such) is an image. */
static bool is_folder(const char *path)
{
    return directory_exists(path) && !volume_extension(path);
}

/* The images of a folder, and the marked ones of the folders in it; sorted by case. */
static ts_status list_files(const char *folder, file_list *l, ts_error *error)
{
    string_list names;
    *l = (file_list){0};
    ts_status status = add_images(l, folder, false, error);
    if (status != TS_OK)
        return status;
    status = directory_list(folder, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++) {
        char *path = path_join(folder, names.items[i], error);
        if (!path)
            status = TS_MEMORY;
        else if (names.items[i][0] != '.' && is_folder(path))
            status = add_images(l, path, true, error);
        free(path);
    }
    string_list_free(&names);
    if (l->count)
        qsort(l->files, l->count, sizeof *l->files, compare_files);
    return status;
}

static const found_file *find_file(const file_list *l, const char *id)
{
    const found_file key = {.id = (char *)(uintptr_t)id, .path = (char *)(uintptr_t) ""};
    size_t low = 0, high = l->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_files(&l->files[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && !strcmp(l->files[low].id, id) ? &l->files[low] : NULL;
}

/* ---- what is a case's label file, and what is beside it ------------------------------------- */

/* Is a file one of the images beside a case's marked segmentation: X_flair or X_anything beside
 * X_seg? Without a modality's name it may be a case of its own, and is where the other folder has
 * that case. */
static bool is_beside(const file_list *l, const found_file *f, const file_list *other)
{
    const size_t length = strlen(f->id);
    for (size_t i = 1; !f->marked && i < length; i++) {
        if (f->id[i] != '_' && f->id[i] != '-')
            continue;
        char *id = string_format("%.*s", (int)i, f->id);
        const found_file *owner = id ? find_file(l, id) : NULL;
        bool marked = false;
        for (; owner && owner < l->files + l->count && !strcmp(owner->id, id); owner++)
            marked |= owner->marked;
        free(id);
        if (marked && (dataset_name_is_modality(f->id) || !find_file(other, f->id)))
            return true;
    }
    return false;
}

static bool same_content(const char *a, const char *b)
{
    file_map x, y;
    ts_error ignored;
    if (file_map_open(a, &x, &ignored) != TS_OK)
        return false;
    bool same = false;
    if (file_map_open(b, &y, &ignored) == TS_OK) {
        same = x.count == y.count && (!x.count || !memcmp(x.bytes, y.bytes, x.count));
        file_map_close(&y);
    }
    file_map_close(&x);
    return same;
}

/* Takes out the files beside segmentations, and of copies of one file all but the first. Two files
 * of one case that differ are an error. */
static ts_status keep_cases(file_list *l, const file_list *other, ts_error *error)
{
    bool *beside = memory_allocate(l->count, sizeof *beside, "the files", error);
    size_t kept = 0;
    ts_status status = beside ? TS_OK : TS_MEMORY;
    for (size_t i = 0; beside && i < l->count; i++)
        beside[i] = is_beside(l, &l->files[i], other);
    for (size_t i = 0; beside && i < l->count; i++) {
        found_file *f = &l->files[i], *last = kept ? &l->files[kept - 1] : NULL;
        const bool again = last && !beside[i] && !strcmp(last->id, f->id);
        if (status == TS_OK && again && !same_content(last->path, f->path))
            status = error_set(error, TS_BAD_INPUT,
                               "'%s' and '%s' are both of case '%s' and differ: keep one of them",
                               last->path, f->path, f->id);
        if (!again && !beside[i]) {
            const found_file swapped = l->files[kept];
            l->files[kept++] = *f;
            *f = swapped;
        }
    }
    for (size_t i = kept; beside && i < l->count; i++) {
        free(l->files[i].id);
        free(l->files[i].path);
    }
    if (beside)
        l->count = kept;
    free(beside);
    return status;
}

/* ---- pairing -------------------------------------------------------------------------------- */

static ts_status add_pair(evaluate_list *l, const char *id, const char *prediction,
                          const char *truth, ts_error *error)
{
    evaluate_pair *p = &l->pairs[l->count++];
    p->id = strdup(id);
    p->truth = strdup(truth);
    p->prediction = prediction ? strdup(prediction) : NULL;
    l->missing += !prediction;
    if (!p->id || !p->truth || (prediction && !p->prediction))
        return error_set(error, TS_MEMORY, "out of memory");
    return TS_OK;
}

static ts_status list_both(const char *prediction, const char *truth, file_list *predictions,
                           file_list *truths, ts_error *error)
{
    ts_status status = list_files(truth, truths, error);
    if (status != TS_OK)
        return status;
    status = list_files(prediction, predictions, error);
    if (status != TS_OK)
        return status;
    status = keep_cases(truths, predictions, error);
    if (status != TS_OK)
        return status;
    if (truths->count == 0)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has no truth: no .nii or .nii.gz in it, and no X-seg or X_seg in a "
                         "folder of it",
                         truth);
    return keep_cases(predictions, truths, error);
}

static ts_status pair_folders(const char *prediction, const char *truth, evaluate_list *out,
                              ts_error *error)
{
    file_list predictions = {0}, truths = {0};
    ts_status status = list_both(prediction, truth, &predictions, &truths, error);
    if (status != TS_OK)
        goto end;
    out->pairs = memory_allocate(truths.count, sizeof *out->pairs, "the cases", error);
    status = out->pairs ? TS_OK : TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < truths.count; i++) {
        const found_file *t = &truths.files[i], *p = find_file(&predictions, t->id);
        status = add_pair(out, t->id, p ? p->path : NULL, t->path, error);
    }
    for (size_t i = 0; status == TS_OK && i < predictions.count; i++)
        if (!find_file(&truths, predictions.files[i].id))
            status = string_list_add(&out->unpaired, predictions.files[i].id, error);
end:
    file_list_free(&predictions);
    file_list_free(&truths);
    return status;
}

ts_status evaluate_list_open(const char *prediction, const char *truth, evaluate_list *out,
                             ts_error *error)
{
    *out = (evaluate_list){0};
    ts_status status = TS_OK;
    if (!file_exists(prediction) || !file_exists(truth))
        return error_set(error, TS_IO, "'%s' is not there",
                         file_exists(prediction) ? truth : prediction);
    if (is_folder(prediction) != is_folder(truth))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' and '%s' are a file and a folder: give two files or "
                         "two folders",
                         prediction, truth);
    if (is_folder(truth))
        status = pair_folders(prediction, truth, out, error);
    else {
        bool marked;
        const char *name = string_file_name(truth);
        char *id = string_format("%.*s", (int)id_length(name, &marked), name);
        out->pairs = memory_allocate(1, sizeof *out->pairs, "the case", error);
        status = id && out->pairs ? add_pair(out, id, prediction, truth, error) : TS_MEMORY;
        free(id);
    }
    if (status != TS_OK)
        evaluate_list_free(out);
    return status;
}

void evaluate_list_free(evaluate_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->pairs[i].id);
        free(l->pairs[i].prediction);
        free(l->pairs[i].truth);
    }
    free(l->pairs);
    string_list_free(&l->unpaired);
    *l = (evaluate_list){0};
}
