/* twinseg: brain tumour segmentation on MRI when not all four modalities were acquired.
 * The public API of libtwinseg: volumes in and out, prediction from memory, scores as BraTS gives
 * them. Research use only; not a medical device.
 *
 * Errors. A function that can fail returns a ts_status and, where it is not TS_OK, has filled the
 * caller's ts_error (which may be NULL) with one sentence that names what was wrong. Outputs then
 * hold nothing that must be freed.
 *
 * Arrays belong to the caller, with x fastest as in NIfTI files: voxel (x, y, z) of a grid of nx,
 * ny, nz is at x + nx * (y + ny * z). Several volumes follow one another. In C's order of indices
 * that is [volumes][nz][ny][nx]; for numpy it is order="F".
 *
 * Threads. Every function may be called from any thread. Threads may share a model: it predicts one
 * case at a time, and the other threads wait. Models predict beside one another. A model may be
 * closed only when no thread uses it any more. Errors and warnings belong to the call. Results have
 * the same bits with any number of threads.
 *
 * Versions. Within a major version, which the shared library's name carries, programs compiled
 * against an older header go on working with a newer library. */
#ifndef TWINSEG_H
#define TWINSEG_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#define TS_API __attribute__((visibility("default")))
#else
#define TS_API
#endif

#define TS_VERSION_MAJOR 0
#define TS_VERSION_MINOR 1
#define TS_VERSION_PATCH 0
#define TS_VERSION       "0.1.0"

typedef enum {
    TS_OK = 0,
    TS_BAD_INPUT, /* a file's or a setting's content is wrong; the user can mend it */
    TS_IO,        /* the operating system refused: missing, unreadable, disk full, read-only */
    TS_MEMORY,    /* not enough memory, or a size beyond what may be allocated */
    TS_STOPPED,   /* interrupted by the user (Ctrl-C); what was done is saved */
} ts_status;

/* Filled by the function that failed. text: one sentence, no trailing newline. */
typedef struct {
    ts_status status;
    char text[1024];
} ts_error;

/* The version of the library as "MAJOR.MINOR.PATCH", a string that lives as long as the program.
 * (TS_VERSION is that of the header.) */
TS_API const char *ts_version(void);

/* Frees an array that a function below returned; NULL is allowed. */
TS_API void ts_free(void *memory);

/* ---- volumes ------------------------------------------------------------------------------ */

/* Where the voxels of an array lie. */
typedef struct {
    int64_t shape[3];     /* voxels along x, y, z; each at least 1 */
    double spacing_mm[3]; /* of voxels; where all are 0, the affine's columns give them */
    double affine[4][4];  /* voxel index (x, y, z, 1) to mm, in NIfTI's world (RAS+) */
} ts_grid;

/* Reads a NIfTI file (.nii, .nii.gz, .hdr/.img; 1 or 2; either byte order; integers and floats;
 * scl_slope and scl_inter applied). 4-D files hold several volumes. *data is to be freed by
 * ts_free. NaN and infinite voxels are kept, and values beyond float32 become infinite. TS_IO,
 * TS_BAD_INPUT, TS_MEMORY. */
TS_API ts_status ts_volume_read(const char *path, ts_grid *grid, int64_t *volumes, float **data,
                                ts_error *error);

/* Reads a 3-D file of labels: whole numbers from 0 to 255, unchanged. *labels is to be freed by
 * ts_free. A voxel with another value (by more than 0.001) is an error that names it. */
TS_API ts_status ts_labels_read(const char *path, ts_grid *grid, uint8_t **labels, ts_error *error);

/* Write .nii or compressed .nii.gz, by the file's name: float32 and uint8. The file appears whole
 * or not at all. */
TS_API ts_status ts_volume_write(const char *path, const ts_grid *grid, int64_t volumes,
                                 const float *data, ts_error *error);
TS_API ts_status ts_labels_write(const char *path, const ts_grid *grid, const uint8_t *labels,
                                 ts_error *error);

/* ---- scores ------------------------------------------------------------------------------- */

/* The challenge's rules: of 2017 to 2021, or lesion by lesion as in 2023. */
typedef enum { TS_LEGACY, TS_LESION } ts_convention;

/* What label values mean. TS_LABELS_AUTO: 1 NCR, 2 ED, and 3 or 4 ET, whichever occurs in the
 * array; both at once are an error. */
typedef enum {
    TS_LABELS_AUTO,
    TS_LABELS_BRATS2021, /* 1 NCR, 2 ED, 4 ET */
    TS_LABELS_BRATS2023, /* 1 NCR, 2 ED, 3 ET */
    TS_LABELS_BRATS2024, /* the same, and 4 the resection cavity: background */
    TS_LABELS_MSD,       /* 1 ED, 2 NCR, 3 ET */
    TS_LABELS_PED,       /* BraTS-PED from 2024 on: 1 ET, 2 NET and 3 CC (both NCR), 4 ED */
} ts_labels;

/* WT = NCR + ED + ET, TC = NCR + ET, ET. */
typedef enum { TS_WT, TS_TC, TS_ET, TS_REGIONS } ts_region;

/* Of one region. Never NaN: empty masks get the challenge's values. */
typedef struct {
    double dice, hd95, sensitivity, specificity; /* hd95 in mm */
    double lesion_dice, lesion_hd95;             /* of TS_LESION, else 0 */
    int64_t tp, fp, fn;                          /* lesions, of TS_LESION, else 0 */
} ts_scores;

/* A prediction and the truth of one case, on the same grid; they stay the caller's. No dataset.json
 * is looked for: of MSD's labels say TS_LABELS_MSD, as nnU-Net's BraTS sets have them too. */
typedef struct {
    const uint8_t *prediction, *truth; /* one byte a voxel, x fastest */
    ts_labels prediction_labels, truth_labels;
    int64_t shape[3];     /* x, y, z */
    double spacing_mm[3]; /* of the voxels */
    ts_convention convention;
    int threads; /* 0: all processors */
} ts_pair;

/* Scores a pair, region by region. Values that the reading of labels does not know count as
 * background. */
TS_API ts_status ts_evaluate(const ts_pair *pair, ts_scores scores[TS_REGIONS], ts_error *error);

/* ---- prediction --------------------------------------------------------------------------- */

typedef enum { TS_T1, TS_T1CE, TS_T2, TS_FLAIR, TS_MODALITIES } ts_modality;

/* One trained network, or several whose probabilities are averaged. */
typedef struct ts_model ts_model;

/* names: a model.safetensors, a run folder that holds one, or several of these joined by ','.
 * settings: "key=value" strings, the last NULL, of the keys that `twinseg predict --help` lists
 * ("mirror=on", "threads=2", "labels=brats2021"); NULL for the defaults. Close *model with
 * ts_model_close. */
TS_API ts_status ts_model_open(const char *names, const char *const *settings, ts_model **model,
                               ts_error *error);
TS_API void ts_model_close(ts_model *model);

/* ts_model_modalities: bit m is set where the model takes modality m. It needs all of them, unless
 * ts_model_any_subset is not 0: then it needs at least one and takes those that there are. */
TS_API unsigned ts_model_modalities(const ts_model *model);
TS_API int ts_model_any_subset(const ts_model *model);

/* Segments one case. images[m]: the image of modality m on the grid, NULL where there is none;
 * images of other modalities are ignored. They must be co-registered and skull-stripped (exactly 0
 * outside the brain); any orientation, spacing and scale of intensities will do. An image that is 0
 * everywhere or holds NaN or infinite voxels is an error, and so is a missing modality.
 * labels: one byte per voxel, 0 background, 1 NCR, 2 ED, 3 ET unless the setting `labels` says
 * otherwise.
 * probabilities: NULL, or four floats per voxel: background, NCR, ED, ET, one volume each. */
TS_API ts_status ts_predict(ts_model *model, const ts_grid *grid,
                            const float *const images[TS_MODALITIES], uint8_t *labels,
                            float *probabilities, ts_error *error);

/* What the calling thread's last ts_predict had to warn of (an image that does not look
 * skull-stripped, ...), one sentence a line; "" where nothing, or where that was another model.
 * Valid until this thread calls ts_predict again or ends. */
TS_API const char *ts_model_warnings(const ts_model *model);

#ifdef __cplusplus
}
#endif
#endif
