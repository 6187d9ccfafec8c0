/* A cohort on disk: cases made one by one, written in the names and labels of a public data set.
 * A case is written into a hidden folder, which is then renamed. */
#include "phantom/headscan.h"

#include "volume/volume.h"
#include "voxels/voxels.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How a layout calls the case (its index counted from `first`), the modalities and the labels. */
typedef struct {
    const char *case_format, *separator;
    int64_t first;
    const char *files[MODALITIES], *truth;
    uint8_t values[4]; /* of background, NCR, ED, ET */
} naming;

enum { PHANTOM_HEADS = PHANTOM_MSD + 1 };

static const naming namings[] = {
    [PHANTOM_BRATS2021] =
        {"BraTS2021_%05lld", "_", 0, {"t1", "t1ce", "t2", "flair"}, "seg", {0, 1, 2, 4}},
    [PHANTOM_BRATS2023] =
        {"BraTS-GLI-%05lld-000", "-", 0, {"t1n", "t1c", "t2w", "t2f"}, "seg", {0, 1, 2, 3}},
    [PHANTOM_HEADS] = {"Head_%05lld", "_", 0, {"t1", "t1ce", "t2", "flair"}, "seg", {0, 1, 2, 4}},
    [PHANTOM_MSD] = {"BRATS_%03lld", NULL, 1, {0}, NULL, {0, 2, 1, 3}},
};

/* MSD's order of channels in its 4-D files. */
static const modality msd_channels[MODALITIES] = {FLAIR, T1, T1CE, T2};
static const char *const msd_channel_names[MODALITIES] = {"FLAIR", "T1w", "t1gd", "T2w"};

#define FILES_MAX (MODALITIES + 1)

/* Files of a case, compressed and written side by side. channels 0: the labels. */
typedef struct {
    char *path;
    int channels;
    const int16_t *data;
} output;

typedef struct {
    const phantom_case *made;
    volume_header header;
    output files[FILES_MAX];
    int count;
} case_writer;

static ts_status write_file(void *context, int64_t index, int thread, ts_error *error)
{
    const case_writer *w = context;
    const output *f = &w->files[index];
    (void)thread;
    return f->channels ? volume_write_int16(f->path, &w->header, f->channels, f->data, error)
                       : volume_write_labels(f->path, &w->header, w->made->labels, error);
}

static ts_status write_files(case_writer *w, pool *p, ts_error *error)
{
    for (int i = 0; i < w->count; i++)
        if (!w->files[i].path)
            return error_set(error, TS_MEMORY, "out of memory while naming a phantom's files");
    return pool_run_status(p, write_file, w, w->count, error);
}

/* One folder with five files, built under a hidden name. */
static ts_status write_brats(const char *out, const char *name, const naming *n, case_writer *w,
                             pool *p, ts_error *error)
{
    char *place = path_join(out, name, NULL), *hidden = string_format("%s/.%s", out, name);
    ts_status status = TS_OK;
    if (!place || !hidden)
        status = error_set(error, TS_MEMORY, "out of memory while naming case '%s'", name);
    else
        status = directory_create(hidden, error);
    if (status != TS_OK)
        goto done;
    for (int i = 0; i < FILES_MAX; i++) {
        const bool image = i < MODALITIES;
        w->files[i].path = string_format("%s/%s%s%s.nii.gz", hidden, name, n->separator,
                                         image ? n->files[i] : n->truth);
        w->files[i].channels = image ? 1 : 0;
        w->files[i].data = image ? w->made->images[i] : NULL;
    }
    w->count = FILES_MAX;
    status = write_files(w, p, error);
    if (status == TS_OK && rename(hidden, place) != 0)
        status = error_set(error, TS_IO, "cannot rename '%s' to '%s': %s", hidden, place,
                           strerror(errno));
    if (status != TS_OK) {
        for (int i = 0; i < w->count; i++)
            if (w->files[i].path)
                unlink(w->files[i].path);
        rmdir(hidden);
    }
done:
    for (int i = 0; i < FILES_MAX; i++)
        free(w->files[i].path);
    free(place);
    free(hidden);
    return status;
}

/* One 4-D image below imagesTr, one truth below labelsTr. */
static ts_status write_msd(const char *out, const char *name, case_writer *w, pool *p,
                           ts_error *error)
{
    const int64_t *shape = w->made->shape;
    const size_t voxels = (size_t)voxel_count(shape);
    int16_t *channels = memory_allocate(voxels, MODALITIES * sizeof(int16_t),
                                        "the four channels of a phantom", error);
    if (!channels)
        return TS_MEMORY;
    for (int c = 0; c < MODALITIES; c++)
        memcpy(channels + (size_t)c * voxels, w->made->images[msd_channels[c]],
               voxels * sizeof(int16_t));
    w->files[0] = (output){string_format("%s/imagesTr/%s.nii.gz", out, name), MODALITIES, channels};
    w->files[1] = (output){string_format("%s/labelsTr/%s.nii.gz", out, name), 0, NULL};
    w->count = 2;
    const ts_status status = write_files(w, p, error);
    for (int i = 0; i < w->count; i++) {
        if (status != TS_OK && w->files[i].path)
            unlink(w->files[i].path);
        free(w->files[i].path);
    }
    free(channels);
    return status;
}

static ts_status write_case(const char *out, int64_t index, const naming *n, phantom_case *made,
                            pool *p, ts_error *error)
{
    const double h = made->spacing_mm, spacing[3] = {h, h, h};
    const size_t voxels = (size_t)voxel_count(made->shape);
    case_writer w = {
        .made = made,
        .header = volume_header_make(made->shape, spacing, (const double(*)[4])made->affine)};
    char name[64];
    snprintf(name, sizeof name, n->case_format, (long long)(n->first + index));
    for (size_t i = 0; i < voxels; i++)
        made->labels[i] = n->values[made->labels[i]];
    return n->truth ? write_brats(out, name, n, &w, p, error) : write_msd(out, name, &w, p, error);
}

/* dataset.json as the Medical Segmentation Decathlon writes it. */
static ts_status write_description(const char *out, int64_t cases, ts_error *error)
{
    json_t *training = json_array(), *channels = json_object();
    for (int64_t i = 0; i < cases; i++)
        json_array_append_new(
            training,
            json_pack("{s:o, s:o}", "image",
                      json_sprintf("./imagesTr/BRATS_%03lld.nii.gz", (long long)(i + 1)), "label",
                      json_sprintf("./labelsTr/BRATS_%03lld.nii.gz", (long long)(i + 1))));
    for (int c = 0; c < MODALITIES; c++)
        json_object_set_new(channels, (const char[]){(char)('0' + c), 0},
                            json_string(msd_channel_names[c]));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:s, s:s, s:s}, s:I, s:i, s:o, s:[]}", "name",
                  "BRATS", "description", "Phantom cohort: synthetic brains, no patients",
                  "tensorImageSize", "4D", "modality", channels, "labels", "0", "background", "1",
                  "edema", "2", "non-enhancing tumor", "3", "enhancing tumour", "numTraining",
                  (json_int_t)cases, "numTest", 0, "training", training, "test");
    char *content = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    char *path = path_join(out, "dataset.json", NULL);
    ts_status status = TS_OK;
    if (!content || !path)
        status = error_set(error, TS_MEMORY, "out of memory while writing '%s/dataset.json'", out);
    else
        status = file_put(path, content, strlen(content), error);
    free(path);
    free(content);
    json_decref(root);
    return status;
}

/* A folder that holds anything is refused: cases of two cohorts must not mix. */
static ts_status make_folder(const char *out, phantom_layout layout, ts_error *error)
{
    string_list names = {0};
    if (file_exists(out) && !directory_exists(out))
        return error_set(error, TS_IO, "'%s' is a file: name a folder for the cohort", out);
    ts_status status = directory_create(out, error);
    if (status == TS_OK)
        status = directory_list(out, &names, error);
    if (status == TS_OK && names.count > 0)
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' is not empty (it holds '%s'): name a new folder for the cohort",
                           out, names.items[0]);
    string_list_free(&names);
    static const char *const parts[] = {"imagesTr", "labelsTr"};
    for (size_t i = 0; i < COUNT_OF(parts) && status == TS_OK && layout == PHANTOM_MSD; i++) {
        char *path = path_join(out, parts[i], NULL);
        status = path ? directory_create(path, error)
                      : error_set(error, TS_MEMORY, "out of memory while naming '%s'", out);
        free(path);
    }
    return status;
}

ts_status phantom_write(const char *out, int64_t cases, uint64_t seed, const int64_t shape[3],
                        phantom_layout layout, pool *p, ts_error *error)
{
    ts_status status = phantom_check_shape(shape, error);
    if (status == TS_OK)
        status = make_folder(out, layout, error);
    if (status != TS_OK)
        return status;
    for (int64_t k = 0; k < cases && status == TS_OK; k++) {
        phantom_case made;
        if (interrupt_requested()) {
            status = error_set(error, TS_STOPPED, "stopped after %lld of %lld cases in '%s'",
                               (long long)k, (long long)cases, out);
            break;
        }
        progress_show("phantom: case %lld of %lld", (long long)(k + 1), (long long)cases);
        status = phantom_make(seed, k, shape, p, &made, error);
        if (status != TS_OK)
            break;
        status = write_case(out, k, &namings[layout], &made, p, error);
        phantom_free(&made);
    }
    progress_end();
    if (status == TS_OK && layout == PHANTOM_MSD)
        status = write_description(out, cases, error);
    return status;
}

ts_status phantom_write_heads(const char *out, int64_t cases, uint64_t seed, const dataset *brains,
                              pool *p, ts_error *error)
{
    ts_status status = make_folder(out, PHANTOM_BRATS2021, error);
    for (int64_t k = 0; k < cases && status == TS_OK; k++) {
        const dataset_case *of =
            brains && k % 2 ? &brains->cases[(size_t)(k / 2) % brains->count] : NULL;
        real_brain brain = {0};
        phantom_case made;
        if (interrupt_requested()) {
            status = error_set(error, TS_STOPPED, "stopped after %lld of %lld heads in '%s'",
                               (long long)k, (long long)cases, out);
            break;
        }
        progress_show("phantom: head %lld of %lld", (long long)(k + 1), (long long)cases);
        if (of)
            status = real_brain_read(of, &brain, error);
        if (status == TS_OK)
            status = head_make(seed, k, of ? &brain : NULL, p, &made, error);
        real_brain_free(&brain);
        if (status != TS_OK)
            break;
        status = write_case(out, k, &namings[PHANTOM_HEADS], &made, p, error);
        phantom_free(&made);
    }
    progress_end();
    return status;
}
