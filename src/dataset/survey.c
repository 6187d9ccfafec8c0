/* Which data sets lie below a folder, at any depth: trees of BraTS-like names, and folders of MSD
 * or nnU-Net (imagesTr and its like). One is read; several are an error that says what was found
 * where, because reading one of them would silently leave out the cases of the others. */
#include "dataset/layout.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    string_list roots; /* of MSD or nnU-Net */
    char *image;       /* the first one with a BraTS-like name; NULL: there is none */
} survey;

static bool is_label_folder(const char *name)
{
    static const char *const label_folders[] = {"labelsTr", "labelsTs", "labelsVal"};
    for (size_t i = 0; i < COUNT_OF(label_folders); i++)
        if (!strcmp(name, label_folders[i]))
            return true;
    return false;
}

/* Links may lead to one folder by two ways. */
static ts_status add_root(survey *s, const char *root, ts_error *error)
{
    for (size_t i = 0; i < s->roots.count; i++)
        if (file_same(s->roots.items[i], root))
            return TS_OK;
    return string_list_add(&s->roots, root, error);
}

/* Is a file an image of a BraTS-like tree? A truth alone makes no case. */
static bool is_tree_image(const char *name)
{
    size_t stem, id_length;
    if (!name_is_image(name, &stem))
        return false;
    const int role = name_role(name, stem, &id_length);
    return role >= 0 && role < MODALITIES;
}

static ts_status look(survey *s, const char *path, int depth, ts_error *error);

/* One entry of a folder. raw: the folder is imagesTr or the like, whose files its own layout
 * explains. */
static ts_status look_at(survey *s, const char *folder, const char *name, bool raw, int depth,
                         ts_error *error)
{
    size_t stem;
    const bool image = name_is_image(name, &stem);
    if (name_is_stray(name) || (image && (raw || (s->image && !is_tree_image(name)))))
        return TS_OK;
    char *path = path_join(folder, name, error);
    if (!path)
        return TS_MEMORY;
    ts_status status = TS_OK;
    if (!directory_exists(path)) {
        if (!s->image && is_tree_image(name)) {
            s->image = path;
            return TS_OK;
        }
    } else if (image) {
        char *inner = path_within(path);
        if (inner && !s->image && is_tree_image(string_file_name(inner))) {
            s->image = inner;
            inner = NULL;
        }
        free(inner);
    } else {
        if (name_is_image_folder(name))
            status = add_root(s, folder, error);
        if (status == TS_OK && depth < FOLDER_DEPTH)
            status = look(s, path, depth + 1, error);
    }
    free(path);
    return status;
}

static ts_status look(survey *s, const char *path, int depth, ts_error *error)
{
    string_list names;
    const char *own = string_file_name(path);
    const bool raw = name_is_image_folder(own) || is_label_folder(own);
    ts_status status = directory_list(path, &names, error);
    if (status == TS_IO && depth > 0) /* a folder that may not be read, such as lost+found */
        return TS_OK;
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        status = look_at(s, path, names.items[i], raw, depth, error);
    string_list_free(&names);
    return status;
}

/* ---- what was found ----------------------------------------------------------------------- */

/* The first folder of images within `root`, in memory of its own; NULL where there is none. */
static char *images_within(const char *root)
{
    static const char *const image_folders[] = {"imagesTr", "imagesTs", "imagesVal"};
    for (size_t i = 0; i < COUNT_OF(image_folders); i++) {
        char *images = path_join(root, image_folders[i], NULL);
        if (images && directory_exists(images))
            return images;
        free(images);
    }
    return NULL;
}

static const char *kind_of_root(const char *root)
{
    char *images = images_within(root);
    const char *kind = images ? raw_layout(images) : "nnU-Net raw";
    free(images);
    return kind;
}

static ts_status refuse_several(const survey *s, const char *path, ts_error *error)
{
    enum { SHOWN = 3 };
    text found = {0};
    if (s->image)
        text_append(&found, "BraTS-like images ('%s')", s->image);
    for (size_t i = 0; i < s->roots.count && i < SHOWN; i++)
        text_append(&found, "%s%s ('%s')", found.length ? ", " : "",
                    kind_of_root(s->roots.items[i]), s->roots.items[i]);
    if (s->roots.count > SHOWN)
        text_append(&found, " and %zu more", s->roots.count - SHOWN);
    const ts_status status =
        found.failed ? error_set(error, TS_MEMORY, "out of memory while listing '%s'", path)
                     : error_set(error, TS_BAD_INPUT,
                                 "'%s' holds several data sets: %s: give one of them, or move what "
                                 "does not belong to it out of the folder",
                                 path, found.data);
    text_free(&found);
    return status;
}

/* The folder above, where a folder of images itself was given. */
static char *parent_of(const char *path)
{
    const char *name = string_file_name(path);
    return strndup(path, name > path + 1 ? (size_t)(name - path - 1) : 1);
}

/* The folder of dataset.json and that of the images, in memory of their own. */
static ts_status name_folders(const survey *s, const char *given, char **root, char **images,
                              ts_error *error)
{
    const bool inside = name_is_image_folder(string_file_name(given));
    *root = strdup(s->roots.items[0]);
    *images = inside ? strdup(given) : images_within(s->roots.items[0]);
    if (*root && *images)
        return TS_OK;
    free(*root);
    free(*images);
    *root = *images = NULL;
    return error_set(error, TS_MEMORY, "out of memory while listing '%s'", given);
}

/* Everything below a real path; where it is itself a folder of images, its root too. */
static ts_status fill(survey *s, const char *real, ts_error *error)
{
    if (name_is_image_folder(string_file_name(real))) {
        char *root = parent_of(real);
        const ts_status status =
            root ? add_root(s, root, error)
                 : error_set(error, TS_MEMORY, "out of memory while listing '%s'", real);
        free(root);
        if (status != TS_OK)
            return status;
    }
    return look(s, real, 0, error);
}

ts_status survey_folder(const char *path, char **root, char **images, ts_error *error)
{
    survey s = {0};
    *root = *images = NULL;
    char *real = realpath(path, NULL);
    if (!real)
        return error_set(error, TS_MEMORY, "out of memory while listing '%s'", path);
    ts_status status = fill(&s, real, error);
    if (status == TS_OK && s.roots.count + (s.image != NULL) > 1)
        status = refuse_several(&s, path, error);
    else if (status == TS_OK && s.roots.count)
        status = name_folders(&s, real, root, images, error);
    free(s.image);
    free(real);
    string_list_free(&s.roots);
    return status;
}

/* ---- DICOM -------------------------------------------------------------------------------- */

static char *look_for_dicom(const char *path, int depth, int *files)
{
    string_list names;
    char *found = NULL;
    if (directory_list(path, &names, NULL) != TS_OK)
        return NULL;
    for (size_t i = 0; !found && *files > 0 && i < names.count; i++) {
        char *full = name_is_stray(names.items[i]) ? NULL : path_join(path, names.items[i], NULL);
        if (full && directory_exists(full) && depth < FOLDER_DEPTH) {
            found = look_for_dicom(full, depth + 1, files);
        } else if (full && --*files >= 0 && volume_is_dicom(full)) {
            found = full;
            full = NULL;
        }
        free(full);
    }
    string_list_free(&names);
    return found;
}

char *survey_dicom(const char *path)
{
    int files = 10000; /* a scan of one patient has some hundred */
    if (!directory_exists(path))
        return volume_is_dicom(path) ? strdup(path) : NULL;
    return look_for_dicom(path, 0, &files);
}
