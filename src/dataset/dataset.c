/* Opening a data set, whatever its layout; its folds. */
#include "dataset/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_cases(const void *a, const void *b)
{
    const dataset_case *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order ? order : (x->folder > y->folder) - (x->folder < y->folder);
}

static ts_status refuse_file(const char *path, ts_error *error)
{
    char *found = survey_dicom(path);
    const bool dicom = found != NULL;
    free(found);
    return error_set(error, TS_BAD_INPUT,
                     dicom ? "'%s' is a DICOM file: `twinseg prepare` makes a case of a patient's "
                             "scans first; then give the folder that holds the cases"
                           : "'%s' is a file: give the folder that holds the cases",
                     path);
}

static ts_status open_cases(const char *path, label_map labels, dataset *d, ts_error *error)
{
    char *images = NULL;
    dataset_folder *folder = d->folders;
    ts_status status = survey_folder(path, &folder->root, &images, error);
    if (status != TS_OK)
        return status;
    if (images)
        status = raw_open(folder->root, images, labels, d, error);
    else if ((folder->root = realpath(path, NULL)))
        status = folder_open(path, labels, d, error);
    else
        status = error_set(error, TS_MEMORY, "out of memory");
    free(images);
    return status;
}

ts_status dataset_open(const char *path, label_map labels, dataset *out, ts_error *error)
{
    *out = (dataset){0};
    if (!file_exists(path))
        return error_set(error, TS_IO, "the folder '%s' does not exist", path);
    if (!directory_exists(path))
        return refuse_file(path, error);
    out->path = strdup(path);
    out->folders = calloc(1, sizeof *out->folders);
    if (out->folders) {
        out->folder_count = 1;
        out->folders->path = strdup(path);
    }
    const bool room = out->path && out->folders && out->folders->path;
    const ts_status status =
        room ? open_cases(path, labels, out, error) : error_set(error, TS_MEMORY, "out of memory");
    if (status != TS_OK) {
        dataset_close(out);
        return status;
    }
    qsort(out->cases, out->count, sizeof *out->cases, compare_cases);
    return TS_OK;
}

/* ---- several folders ------------------------------------------------------------------------ */

/* Moves what the second holds into the first; the second is still to be closed. */
static ts_status take_over(dataset *d, dataset *more, ts_error *error)
{
    const size_t count = d->count + more->count, folders = d->folder_count + 1;
    char *path = d->path ? string_format("%s + %s", d->path, more->path) : strdup(more->path);
    dataset_case *cases = realloc(d->cases, count * sizeof *cases);
    d->cases = cases ? cases : d->cases;
    dataset_folder *grown = realloc(d->folders, folders * sizeof *grown);
    d->folders = grown ? grown : d->folders;
    if (!path || !cases || !grown) {
        free(path);
        return error_set(error, TS_MEMORY, "out of memory while listing the cases of '%s'",
                         more->path);
    }
    free(d->path);
    d->path = path;
    for (size_t i = 0; i < more->count; i++) {
        d->cases[d->count] = more->cases[i];
        d->cases[d->count++].folder = d->folder_count;
    }
    more->count = 0;
    d->folders[d->folder_count++] = more->folders[0];
    more->folder_count = 0;
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < more->notes.count; i++)
        status = string_list_add(&d->notes, more->notes.items[i], error);
    return status;
}

/* What lies where a case does: one of its files. */
static const char *place_of(const dataset_case *c)
{
    for (int m = 0; m < MODALITIES; m++)
        if (c->image[m])
            return c->image[m];
    return c->truth ? c->truth : "";
}

/* Two cases of one id are most likely one patient, who could be trained on and held out at once. */
static ts_status check_ids(const dataset *d, ts_error *error)
{
    for (size_t i = 1; i < d->count; i++)
        if (!strcmp(d->cases[i - 1].id, d->cases[i].id))
            return error_set(
                error, TS_BAD_INPUT,
                "case '%s' stands in '%s' and in '%s' ('%s', '%s'): a case counts "
                "once; leave one of the two out, or rename it if it is another patient",
                d->cases[i].id, d->folders[d->cases[i - 1].folder].path,
                d->folders[d->cases[i].folder].path, place_of(&d->cases[i - 1]),
                place_of(&d->cases[i]));
    return TS_OK;
}

static ts_status check_folders(const dataset *d, ts_error *error)
{
    for (size_t i = 0; i < d->folder_count; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(d->folders[i].root, d->folders[k].root))
                return error_set(error, TS_BAD_INPUT,
                                 "'%s' and '%s' are the same data set ('%s'): give it once",
                                 d->folders[k].path, d->folders[i].path, d->folders[i].root);
    return TS_OK;
}

ts_status dataset_open_loosely(const char *const *paths, size_t count, label_map labels,
                               dataset *out, ts_error *error)
{
    ts_status status = TS_OK;
    *out = (dataset){0};
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        dataset one;
        status = dataset_open(paths[i], labels, &one, error);
        if (status != TS_OK)
            break;
        status = take_over(out, &one, error);
        dataset_close(&one);
    }
    if (status == TS_OK)
        status = check_folders(out, error);
    if (status == TS_OK)
        qsort(out->cases, out->count, sizeof *out->cases, compare_cases);
    else
        dataset_close(out);
    return status;
}

ts_status dataset_open_all(const char *const *paths, size_t count, label_map labels, dataset *out,
                           ts_error *error)
{
    ts_status status = dataset_open_loosely(paths, count, labels, out, error);
    if (status != TS_OK)
        return status;
    status = check_ids(out, error);
    if (status != TS_OK)
        dataset_close(out);
    return status;
}

const char *dataset_layout(const dataset *d)
{
    for (size_t i = 1; i < d->folder_count; i++)
        if (strcmp(d->folders[i].layout, d->folders[0].layout) != 0)
            return "folders of several layouts";
    return d->folders[0].layout;
}

bool dataset_is_folder(const dataset *d, const char *path)
{
    for (size_t i = 0; i < d->folder_count; i++)
        if (file_same(path, d->folders[i].root) || file_same(path, d->folders[i].path))
            return true;
    return false;
}

/* Would `out`, which need not be there yet, lie within the folder `root` (a real path)? Its nearest
 * parent that is there decides, by its real path. */
static ts_status is_within(const char *out, const char *root, bool *within, ts_error *error)
{
    char *at = path_join(".", out, NULL), *real = NULL;
    if (at && out[0] == '/')
        memmove(at, out, strlen(out) + 1);
    while (at && !(real = realpath(at, NULL)))
        at[strrchr(at, '/') == at ? 1 : strrchr(at, '/') - at] = '\0';
    const size_t n = strlen(root);
    *within = real && !strncmp(real, root, n) && (!real[n] || real[n] == '/' || n == 1);
    const ts_status status = real ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    free(real);
    free(at);
    return status;
}

/* Neither in the folder that was given nor in the data set's own, of which one may hold the
 * other. */
static ts_status check_folder_place(const dataset_folder *f, const char *out, ts_error *error)
{
    bool in_given = false, in_root = false;
    char *given = realpath(f->path, NULL);
    ts_status status =
        given ? is_within(out, given, &in_given, error)
              : error_set(error, TS_IO, "cannot find '%s': %s", f->path, strerror(errno));
    if (status == TS_OK)
        status = is_within(out, f->root, &in_root, error);
    if (status == TS_OK && (in_given || in_root))
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' lies within the data set '%s', where its files would be taken for "
                           "cases: give a folder elsewhere",
                           out, in_root ? f->root : given);
    free(given);
    return status;
}

ts_status dataset_check_place(const dataset *d, const char *out, ts_error *error)
{
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < d->folder_count; i++)
        status = check_folder_place(&d->folders[i], out, error);
    return status;
}

bool dataset_same_patient(const char *a, const char *b)
{
    const size_t n = name_patient(a);
    return n == name_patient(b) && !memcmp(a, b, n);
}

/* Where element k ends in a seeded shuffle of n: one element of the inside-out Fisher-Yates is
 * followed through all draws. No memory, n draws: 20 ms for a whole BraTS. */
static int64_t place_in_shuffle(uint64_t seed, int64_t k, int64_t n)
{
    random_stream r = random_open(seed, RANDOM_SPLIT, 0, 0);
    int64_t place = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = random_below(&r, i + 1);
        if (i == k)
            place = j;
        else if (i > k && j == place)
            place = i;
    }
    return place;
}

void dataset_split(const dataset *d, uint64_t seed, int index, int folds, bool *held_out)
{
    int64_t patients = 0, patient = -1;
    for (size_t i = 0; i < d->count; i++)
        patients += i == 0 || !dataset_same_patient(d->cases[i].id, d->cases[i - 1].id);
    bool held = false;
    for (size_t i = 0; i < d->count; i++) {
        /* places are dealt to the folds in turn: their sizes differ by one patient at most */
        if (folds > 1 && (i == 0 || !dataset_same_patient(d->cases[i].id, d->cases[i - 1].id)))
            held = place_in_shuffle(seed, ++patient, patients) % folds == index;
        held_out[i] = held;
    }
}
