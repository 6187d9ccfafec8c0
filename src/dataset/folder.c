/* BraTS-like trees: every image below a folder, named by case and modality, becomes cases.
 *
 * The year does not matter: HGG/LGG folders, one folder per case, a flat folder of files, one
 * single case, and several years side by side are read in the same way. Files are grouped by case
 * id, which is a file's name without its modality word (or, where the name is that word alone, the
 * folder's). */
#include "dataset/layout.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    char *path, *id;
    const char *folder; /* within walk.folders */
    int role;
    bool bare;  /* the name is the modality alone; the id is the folder's name */
    bool empty; /* 0 bytes: taken only where there is no other */
} found_file;

typedef struct {
    found_file *files;
    size_t count;
    string_list folders; /* every folder walked */
    string_list unknown; /* images of no known role */
    size_t strays;
    dataset *out;
} walk;

static ts_status out_of_memory(const char *path, ts_error *error)
{
    return error_set(error, TS_MEMORY, "out of memory while listing '%s'", path);
}

static ts_status add_file(walk *w, const char *folder, const char *name, char *path,
                          ts_error *error)
{
    size_t stem = 0, id_length;
    name_is_image(name, &stem);
    int role = name_role(name, stem, &id_length);
    if (role == ROLE_NONE && name_labels(name) == LABELS_GTV && stem > 4 &&
        !strncasecmp(name + stem - 4, "_gtv", 4)) {
        role = ROLE_TRUTH;
        id_length = stem - 4;
    }
    if (role == ROLE_NONE) {
        const ts_status status = string_list_add(&w->unknown, path, error);
        free(path);
        return status;
    }
    if ((w->count & (w->count - 1)) == 0) {
        const size_t capacity = w->count ? 2 * w->count : 1;
        found_file *files = realloc(w->files, capacity * sizeof *files);
        if (!files) {
            free(path);
            return out_of_memory(folder, error);
        }
        w->files = files;
    }
    int64_t bytes = 0, modified;
    file_stamp(path, &bytes, &modified);
    const bool bare = id_length == 0;
    const char *known = role == ROLE_TRUTH ? name_known_case(name, id_length) : NULL;
    const char *id = known ? known : bare ? string_file_name(folder) : name;
    w->files[w->count] = (found_file){
        .path = path,
        .id = strndup(id, known || bare ? strlen(id) : id_length),
        .folder = folder,
        .role = role,
        .bare = bare,
        .empty = bytes == 0,
    };
    if (!w->files[w->count].id) {
        free(path);
        return out_of_memory(folder, error);
    }
    w->count++;
    return known ? dataset_note(w->out, error, "case %s: its truth is called '%s'", known, name)
                 : TS_OK;
}

/* A truth that does not carry its case's name. Where a folder holds the images of one case, not its
 * truth, and one truth of another name, that truth is the case's. */
static ts_status adopt_truth(walk *w, size_t first, ts_error *error)
{
    const found_file *image = NULL;
    found_file *truth = NULL;
    for (size_t i = first; i < w->count; i++) {
        found_file *f = &w->files[i];
        if (f->role == ROLE_TRUTH) {
            if (truth)
                return TS_OK;
            truth = f;
        } else {
            if (image && strcasecmp(image->id, f->id))
                return TS_OK;
            image = f;
        }
    }
    if (!image || !truth || !strcasecmp(image->id, truth->id))
        return TS_OK;
    char *id = strdup(image->id);
    if (!id)
        return out_of_memory(truth->folder, error);
    free(truth->id);
    truth->id = id;
    return dataset_note(w->out, error,
                        "case %s: '%s' is taken as its truth (the only one beside its "
                        "images)",
                        id, truth->path);
}

/* One image by its name, which may be a folder that is called like an image. */
static ts_status walk_image(walk *w, const char *folder, const char *name, ts_error *error)
{
    char *path = path_join(folder, name, error);
    if (!path)
        return TS_MEMORY;
    if (!directory_exists(path))
        return add_file(w, folder, name, path, error);
    char *inner = path_within(path);
    const ts_status status =
        inner ? dataset_note(w->out, error,
                             "'%s' is a folder called like an image; '%s' within is read", path,
                             string_file_name(inner))
              : TS_OK;
    free(path);
    if (inner && status == TS_OK)
        return add_file(w, folder, name, inner, error);
    free(inner);
    return status;
}

static ts_status walk_folder(walk *w, const char *path, int depth, ts_error *error);

/* An entry of a folder that may be a folder too. */
static ts_status walk_below(walk *w, const char *folder, const char *name, int depth,
                            ts_error *error)
{
    char *path = path_join(folder, name, error);
    if (!path)
        return TS_MEMORY;
    char *inner = path_within(path);
    const ts_status status =
        !inner && directory_exists(path) ? walk_folder(w, path, depth + 1, error) : TS_OK;
    free(inner);
    free(path);
    return status;
}

/* The files of one folder, then the folders below it. */
static ts_status walk_folder(walk *w, const char *path, int depth, ts_error *error)
{
    string_list names;
    size_t stem;
    ts_status status = directory_list(path, &names, error);
    if (status != TS_OK)
        return status;
    const size_t first = w->count;
    status = string_list_add(&w->folders, path, error);
    if (status != TS_OK)
        goto done;
    const char *folder = w->folders.items[w->folders.count - 1];
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        if (name_is_stray(names.items[i]))
            w->strays++;
        else if (name_is_image(names.items[i], &stem))
            status = walk_image(w, folder, names.items[i], error);
    if (status == TS_OK)
        status = adopt_truth(w, first, error);
    for (size_t i = 0; status == TS_OK && depth < FOLDER_DEPTH && i < names.count; i++)
        if (!name_is_stray(names.items[i]))
            status = walk_below(w, path, names.items[i], depth, error);
done:
    string_list_free(&names);
    return status;
}

/* By case, then by folder, role, and which of two equals is taken: one with content before an
 * empty one, a compressed one (it carries a checksum) before a plain one. */
static int compare_files(const void *a, const void *b)
{
    const found_file *f = a, *g = b;
    int order = strcasecmp(f->id, g->id);
    if (order == 0)
        order = strcmp(f->folder, g->folder);
    if (order == 0)
        order = f->role - g->role;
    if (order == 0)
        order = f->empty - g->empty;
    if (order == 0)
        order = string_ends_nocase(g->path, ".gz") - string_ends_nocase(f->path, ".gz");
    return order ? order : strcmp(f->path, g->path);
}

/* siteA/001/flair.nii and siteB/001/flair.nii are two cases: where folders that name their case
 * share a name, the folder above joins the id. Files are sorted; they are sorted again after. */
static ts_status qualify_bare(walk *w, ts_error *error)
{
    bool renamed = false;
    for (size_t i = 0, end; i < w->count; i = end) {
        bool several = false;
        for (end = i; end < w->count && !strcasecmp(w->files[end].id, w->files[i].id); end++)
            several |= strcmp(w->files[end].folder, w->files[i].folder) != 0 &&
                       w->files[end].bare && w->files[i].bare;
        for (size_t k = i; several && k < end; k++) {
            found_file *f = &w->files[k];
            const char *last = string_file_name(f->folder),
                       *above = last > f->folder ? last - 1 : last;
            while (above > f->folder && above[-1] != '/')
                above--;
            char *id = string_format("%.*s_%s", (int)(last - above > 0 ? last - above - 1 : 0),
                                     above, last);
            if (!id)
                return out_of_memory(f->folder, error);
            free(f->id);
            f->id = id;
            renamed = true;
        }
    }
    if (renamed)
        qsort(w->files, w->count, sizeof *w->files, compare_files);
    return TS_OK;
}

/* The slot of a case that a role fills. */
static char **case_slot(dataset_case *c, int role)
{
    return role == ROLE_TRUTH ? &c->truth : &c->image[role];
}

/* Sorted files of one id become one case; a second file for the same role is left, and noted. */
static ts_status assemble(walk *w, label_map labels, ts_error *error)
{
    ts_status status = TS_OK;
    for (size_t i = 0, end; status == TS_OK && i < w->count; i = end) {
        bool image = false;
        for (end = i; end < w->count && !strcasecmp(w->files[end].id, w->files[i].id); end++)
            image |= w->files[end].role != ROLE_TRUTH;
        if (!image) {
            status = dataset_note(w->out, error, "'%s' is left: a truth without images",
                                  w->files[i].path);
            continue;
        }
        dataset_case *c = dataset_add(w->out, w->files[i].id, error);
        if (!c)
            return TS_MEMORY;
        c->labels = labels == LABELS_AUTO ? name_labels(c->id) : labels;
        for (size_t k = i; status == TS_OK && k < end; k++) {
            char **slot = case_slot(c, w->files[k].role);
            if (!*slot) {
                *slot = w->files[k].path;
                w->files[k].path = NULL;
                continue;
            }
            status =
                dataset_note(w->out, error, "case %s: '%s' is left, '%s' is taken for the same",
                             c->id, w->files[k].path, *slot);
        }
    }
    return status;
}

/* The name for messages: the year of all cases, or that they are mixed. */
static const char *layout_name(const dataset *d)
{
    const char *layout = d->count ? name_year(d->cases[0].id) : NULL;
    for (size_t i = 1; i < d->count; i++) {
        const char *year = name_year(d->cases[i].id);
        if (year != layout)
            return "BraTS-like folders, several years";
    }
    return layout ? layout : "BraTS-like folders";
}

/* No image by its name: what is there instead? */
static ts_status refuse_empty(const walk *w, const char *path, ts_error *error)
{
    char *dicom = survey_dicom(path);
    if (dicom) {
        error_set(error, TS_BAD_INPUT,
                  "'%s' holds DICOM files, such as '%s': `twinseg prepare` makes a case of each "
                  "patient's scans first",
                  path, dicom);
        free(dicom);
        return TS_BAD_INPUT;
    }
    return error_set(
        error, TS_BAD_INPUT,
        "'%s' holds no case: looked for images named by their modality, such as X_flair.nii.gz, "
        "X_t1ce.nii.gz or X-t1c.nii.gz, and for imagesTr with dataset.json; found %zu folders and "
        "%zu images of other names%s%s%s",
        path, w->folders.count, w->unknown.count, w->unknown.count ? ", such as '" : "",
        w->unknown.count ? string_file_name(w->unknown.items[0]) : "", w->unknown.count ? "'" : "");
}

static ts_status sum_up(walk *w, const char *path, ts_error *error)
{
    if (w->out->count == 0)
        return refuse_empty(w, path, error);
    w->out->folders->layout = layout_name(w->out);
    ts_status status = TS_OK;
    if (w->strays)
        status = dataset_note(w->out, error,
                              "%zu hidden or macOS files (such as ._* and .DS_Store) "
                              "are ignored",
                              w->strays);
    if (status == TS_OK && w->unknown.count)
        status = dataset_note(w->out, error,
                              "%zu images whose names end in no known modality are "
                              "ignored, such as '%s'",
                              w->unknown.count, w->unknown.items[0]);
    return status;
}

static ts_status fill(walk *w, const char *real, const char *path, label_map labels,
                      ts_error *error)
{
    ts_status status = walk_folder(w, real, 0, error);
    if (status != TS_OK)
        return status;
    if (w->count) {
        qsort(w->files, w->count, sizeof *w->files, compare_files);
        if ((status = qualify_bare(w, error)) != TS_OK)
            return status;
    }
    status = assemble(w, labels, error);
    return status == TS_OK ? sum_up(w, path, error) : status;
}

ts_status folder_open(const char *path, label_map labels, dataset *d, ts_error *error)
{
    walk w = {.out = d};
    /* the real path, because "." or "x/.." has no name that could serve as a case id */
    const ts_status status = fill(&w, d->folders->root, path, labels, error);
    for (size_t i = 0; i < w.count; i++) {
        free(w.files[i].path);
        free(w.files[i].id);
    }
    free(w.files);
    string_list_free(&w.folders);
    string_list_free(&w.unknown);
    return status;
}
