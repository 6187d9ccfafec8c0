/* dataset: a folder in any BraTS, MSD or nnU-Net layout in, cases out; and their preprocessing.
 *
 * A case names its files by modality; preprocessing (docs/method.md, "Preprocessing": orientation,
 * crop, resample, normalise) turns it into a memory-mapped block that sampling and prediction
 * read. */
#ifndef TWINSEG_DATASET_H
#define TWINSEG_DATASET_H

#include "plan/plan.h"
#include "volume/volume.h"

typedef struct {
    char *id;
    char *image[MODALITIES]; /* path, NULL where the case lacks it */
    int channel[MODALITIES]; /* volume within a 4-D file (MSD), else 0 */
    char *truth;             /* NULL where there is none */
    label_map labels;        /* of its truth, as the layout fixes it, or LABELS_AUTO */
    bool whole_head;         /* the skull belongs there: no warning of it; false as opened */
    size_t folder;           /* of the data set's folders */
} dataset_case;

/* A folder of a data set. */
typedef struct {
    char *path; /* as it was given */
    char *root; /* the whole of it: its real path, of MSD and nnU-Net that of dataset.json */
    const char *layout; /* for messages: "BraTS 2021", "MSD Task01", ... */
} dataset_folder;

typedef struct {
    char *path; /* for messages: its folders as they were given, joined by ' + ' */
    dataset_folder *folders;
    size_t folder_count;
    dataset_case *cases; /* of all folders, sorted by id, each id once */
    size_t count;
    string_list notes; /* repaired quirks, ignored strays, one sentence each */
} dataset;

/* Recognises the layout by itself. A folder with no case is an error that says what was looked for
 * and what was found; so is one with several data sets of different layouts, or several of MSD or
 * nnU-Net, at any depth. BraTS-like trees of several years are one data set. */
ts_status dataset_open(const char *path, label_map labels, dataset *out, ts_error *error);
/* Several folders, each of any layout, as one data set. A case id that two of them hold is an error
 * that names both places. */
ts_status dataset_open_all(const char *const *paths, size_t count, label_map labels, dataset *out,
                           ts_error *error);
/* The same, but an id may stand in several folders: for dataset_check, which names it. */
ts_status dataset_open_loosely(const char *const *paths, size_t count, label_map labels,
                               dataset *out, ts_error *error);
void dataset_close(dataset *d);
/* Are two ids visits of one patient (BraTS 2023 and later), or the same? */
bool dataset_same_patient(const char *a, const char *b);
/* The layout of its folders, for messages. */
const char *dataset_layout(const dataset *d);
/* Is the path one of the data set's folders, as given or whole? */
bool dataset_is_folder(const dataset *d, const char *path);
/* Refuses a folder, which need not be there yet, to write images or labels into, where it lies
 * within one of the data set's. */
ts_status dataset_check_place(const dataset *d, const char *out, ts_error *error);
modality_set dataset_case_modalities(const dataset_case *c);
/* The case of that id; NULL where the data set has none. */
const dataset_case *dataset_find_case(const dataset *d, const char *id);
/* Does a name without its extension end in a modality's word ("..._t1ce", "...-t2f")? */
bool dataset_name_is_modality(const char *stem);

/* The reading of its truth that a case's name tells (BraTS-PED-*, a visit after treatment, ...); id
 * may be the path of a file too. LABELS_AUTO where it tells none. */
label_map dataset_labels_by_name(const char *id);

/* Every problem of the data set, one line each to `out`, by reading every file; *problems
 * counts those that training would stop at. */
ts_status dataset_check(const dataset *d, pool *p, FILE *out, size_t *problems, ts_error *error);

/* Does an image with so many voxels that are not 0 still hold the skull? By litres and by the share
 * of the volume, which are given back for messages. */
bool dataset_looks_unstripped(int64_t nonzero, const volume_header *h, double *litres,
                              double *share);

/* Fold `index` of `folds` by a seeded shuffle of the sorted ids: held_out[i] true where case i is
 * held out. folds <= 1: none is. */
void dataset_split(const dataset *d, uint64_t seed, int index, int folds, bool *held_out);

/* ---- dataset.json -------------------------------------------------------------------------- */

enum { DATASET_CHANNELS_MAX = 32 };

/* What a dataset.json says of channels and labels. */
typedef struct {
    int channels;
    int role[DATASET_CHANNELS_MAX];      /* modality of channel k, or -1 */
    char name[DATASET_CHANNELS_MAX][32]; /* as written, for messages */
    label_map labels;                    /* LABELS_AUTO: it names none */
    bool labels_unknown;                 /* it names some that this program cannot read */
    char label_names[256];               /* "1 edema, 2 ...": for that message */
} dataset_description;

/* Reads a dataset.json: `channel_names` (nnU-Net 2) or `modality` (MSD, nnU-Net 1), and `labels`
 * in either direction, regions ([1, 2, 3]) included. file is for messages. */
ts_status dataset_describe(const char *json, size_t count, const char *file,
                           dataset_description *out, ts_error *error);

/* What the label files in a folder (or beside a file) mean by a dataset.json in that folder or, with
 * `above`, else in its parent. A *map of LABELS_AUTO becomes that reading, with a note that names
 * file and reading; another *map stays, with a warning where it contradicts. Nothing changes where
 * there is no such file or it names no labels. Labels that are not known here are an error, unless
 * *map is another than LABELS_AUTO. */
ts_status dataset_take_labels(const char *path, bool above, label_map *map, ts_error *error);
/* The same for a reading that `file` states. */
void dataset_settle_labels(const char *path, const char *file, label_map stated, label_map *map);

/* ---- preprocessing -------------------------------------------------------------------------- */

/* What leads from the network's grid back to the file's. */
typedef struct {
    volume_header header; /* the file's grid (of the first modality present) */
    volume_orientation orientation;
    int64_t crop_begin[3]; /* x y z, in oriented voxels */
    int64_t crop_shape[3]; /* x y z, before resampling */
    int64_t shape[3];      /* x y z, at the plan's spacing */
} preprocessed_geometry;

/* One case, ready: images [MODALITIES][z][y][x] (absent modalities all 0, see `present`), labels
 * [z][y][x] 0..3 or NULL; foreground voxels by class for sampling. Memory belongs to the cache
 * map or to the heap; release with preprocessed_free. */
typedef struct {
    char *id;
    modality_set present;
    preprocessed_geometry geometry;
    const float *images;
    const uint8_t *labels;
    const int32_t *foreground[4]; /* [class]: linear indices of its voxels; [0] unused */
    int64_t foreground_count[4];
    uint32_t checksum; /* CRC-32 of voxels, labels and lists; 0 unless from a cache */
    void *heap;
    file_map map;
} preprocessed;

/* Preprocesses a case from its files. `use`: which modalities to read (the crop is by their union);
 * the truth is read too where with_truth is set and the case has one. Warnings and notes (not
 * skull-stripped, the affine of the truth differs) are printed. */
ts_status preprocess_case(const dataset_case *c, modality_set use, double spacing_mm,
                          brain_mask mask, bool with_truth, pool *p, preprocessed *out,
                          ts_error *error);

/* The same from images in memory on one grid, NULL where there is none; they stay the caller's.
 * Warnings are added to the list instead of printed. */
ts_status preprocess_images(const volume_header *grid, const float *const images[MODALITIES],
                            double spacing_mm, brain_mask mask, pool *p, preprocessed *out,
                            string_list *warnings, ts_error *error);

/* From files with BRAIN_OWN, through a cache file in `directory`, keyed by inputs (path, size,
 * time), settings and format version; stale or damaged files are rebuilt (damaged ones with a
 * note). */
ts_status preprocess_cached(const dataset_case *c, modality_set use, double spacing_mm,
                            const char *directory, pool *p, preprocessed *out, ts_error *error);
void preprocessed_free(preprocessed *c);

/* Labels on the network's grid back onto the file's: probabilities [classes][z][y][x] at
 * geometry->shape to classes' probabilities at the crop (linear) and argmax into labels of the
 * file's grid, 0 outside the crop. probabilities_out may be NULL; else [classes] volumes on the
 * file's grid (class 0 is 1 outside the crop). */
ts_status preprocessed_restore(const preprocessed_geometry *g, int classes,
                               const float *probabilities, pool *p, uint8_t *labels,
                               float *probabilities_out, ts_error *error);

#endif
