/* volume: NIfTI files in and out, orientation, crop, resample.
 *
 * Axes. In files and here voxels are indexed (x, y, z), x fastest: data[x + nx*(y + ny*z)].
 * Networks speak of d, h, w: d = z, h = y, w = x, so the same memory is [D][H][W].
 * World coordinates are NIfTI's RAS+ in mm: world = affine * (x, y, z, 1). */
#ifndef TWINSEG_VOLUME_H
#define TWINSEG_VOLUME_H

#include "base/base.h"

typedef enum { NIFTI_1 = 1, NIFTI_2 = 2 } nifti_version;

typedef struct {
    nifti_version version;
    bool big_endian;
    int dimensions;      /* 1..7, as in the file */
    int64_t shape[7];    /* 1 beyond `dimensions` */
    double zooms[7];     /* pixdim, absolute value for the three axes of space */
    double affine[4][4]; /* sform, else qform, else nibabel's base affine (x flipped, centred) */
    int qform_code, sform_code;
    int64_t ignored_bytes; /* behind the gzip data of its file, and not read */
    bool guessed;          /* both codes are 0: the affine is a guess and may mirror the patient */
    bool two_sizes;        /* pixdim gives other voxel sizes than the columns of the affine */
    double quaternion[3], offset_mm[3], qfac; /* the qform as stored, for writing it again */
    int datatype;            /* NIfTI's code: 2 uint8, 4 int16, 8 int32, 16 float32, ... */
    double slope, intercept; /* value = slope * stored + intercept; 1 and 0 without them */
} volume_header;

/* A 3-D image of scaled values, or a 4-D one: `channels` volumes, one after the other.
 * data: [channels][nz][ny][nx] float, owned; release with volume_free. */
typedef struct {
    volume_header header;
    int64_t channels;
    float *data;
} volume;

/* Statistics over finite voxels after scaling, in double from the file's own values. */
typedef struct {
    double min, max, mean, sum; /* 0 where no voxel is finite */
    int64_t nonfinite;
} volume_statistics;

/* Reads the header alone (data not decoded beyond it). */
ts_status volume_read_header(const char *path, volume_header *header, ts_error *error);

/* Appends a sentence for each doubt about the file: `guessed`, `two_sizes`, `ignored_bytes`. Each
 * names path, what the program takes, and the remedy. `known` (may be NULL, is filled): of which
 * kinds the case's files before had doubts, which are left out here. */
typedef struct {
    bool guessed, two_sizes;
} volume_doubts;
ts_status volume_header_doubts(const volume_header *h, const char *path, volume_doubts *known,
                               string_list *sentences, ts_error *error);
/* Prints them as warnings. */
void volume_warn_doubts(const volume_header *h, const char *path, volume_doubts *known);

/* Length of the ending of an image's name, .nii or .nii.gz in any case; 0: it has neither. */
size_t volume_extension(const char *name);

/* Reads a whole file: .nii, .nii.gz, .hdr/.img[.gz], either byte order, NIfTI-1 or -2.
 * Trailing axes of length 1 are dropped; more than 4 axes are an error.
 * NaN and Inf are kept; the caller decides. A directory `X.nii` that holds one image (public
 * copies have such) is read through. */
ts_status volume_read(const char *path, volume *out, ts_error *error);

/* Is path a DICOM file? False where it cannot be read. */
bool volume_is_dicom(const char *path);

/* Voxels as they are stored, in a file or in memory. volume_values makes floats of those that are
 * needed, which takes half the memory for int16 images, and most are int16. The bytes belong to the
 * file or to the caller. */
typedef struct {
    const uint8_t *bytes;
    int datatype;
    bool swap; /* in the other byte order */
    double slope, intercept;
} volume_voxels;

/* How many of the first `count` voxels are finite numbers that float32 cannot hold (beyond
 * 3.4e38), which volume_values makes infinite. */
int64_t volume_values_too_large(const volume_voxels *v, int64_t count);

volume_voxels volume_voxels_of(const float *values);
/* out[i] = voxel first + i * step, scaled, i in 0..count-1. */
void volume_values(const volume_voxels *v, int64_t first, int64_t step, int64_t count, float *out);
/* Are all bytes of these voxels 0, and so the values? A quick test; where it fails the values may
 * still be 0 (-0). */
bool volume_values_are_zero(const volume_voxels *v, int64_t first, int64_t count);

/* A file that volume_read could read, with its voxels as stored; release with volume_close. */
typedef struct {
    volume_header header;
    int64_t channels;
    struct nifti_file *file;
} volume_file;

ts_status volume_open(const char *path, volume_file *out, ts_error *error);
void volume_close(volume_file *f);
volume_voxels volume_channel(const volume_file *f, int64_t channel);

/* Reads a label file: values after scaling, rounded; off by more than 1e-3, negative, beyond 255
 * or not finite is an error naming the first such voxel. labels: [nz][ny][nx], owned, free(). */
ts_status volume_read_labels(const char *path, volume_header *header, uint8_t **labels,
                             ts_error *error);

/* Statistics of any shape up to 7-D without keeping the voxels as float (for `info`). */
ts_status volume_read_statistics(const char *path, volume_header *header,
                                 volume_statistics *statistics, ts_error *error);

void volume_free(volume *v);
size_t volume_datatype_bytes(int datatype);     /* 0: not read */
const char *volume_datatype_name(int datatype); /* numpy's: "int16", ...; NULL where unknown */

/* Writes labels (uint8), probabilities (float32) or intensities (int16) on the grid of `like`:
 * the same shape, sform, qform, zooms; .nii or .nii.gz by the name; by rename. */
ts_status volume_write_labels(const char *path, const volume_header *like, const uint8_t *labels,
                              ts_error *error);
ts_status volume_write_float(const char *path, const volume_header *like, int64_t channels,
                             const float *data, ts_error *error);
ts_status volume_write_int16(const char *path, const volume_header *like, int64_t channels,
                             const int16_t *data, ts_error *error);

/* As int16 where `whole` is set (each value is rounded and must fit), else as float. */
ts_status volume_write_values(const char *path, const volume_header *like, int64_t channels,
                              const float *data, bool whole, ts_error *error);
/* Are all values whole numbers that int16 holds, with room for what resampling adds? */
bool volume_is_whole(const float *data, size_t count);

/* A header for a new volume: shape nx ny nz, spacing in mm, an affine (sform_code 1). */
volume_header volume_header_make(const int64_t shape[3], const double spacing[3],
                                 const double affine[4][4]);

/* Do two headers describe the same grid: shape equal, affine equal to 1e-3 mm at every corner? */
bool volume_same_grid(const volume_header *a, const volume_header *b);

/* ---- orientation: flips and permutations alone, exact, undone on writing ----------------- */

/* Which file axis becomes axis i and whether it runs backwards, so that the result's axes run
 * to the patient's Left, Posterior, Superior as in BraTS files (LPS). */
typedef struct {
    int axis[3];
    bool flip[3];
} volume_orientation;

volume_orientation volume_orientation_lps(const double affine[4][4]);

/* Is it finite, and do its axes span the space? (Damaged headers hold zeros, NaN or anything; axes
 * that lie in one plane have a determinant of 0.) */
bool volume_affine_possible(const double affine[4][4]);
/* 4x4 matrices of places, the last row 0 0 0 1. out may be an argument. */
void volume_affine_multiply(const double a[4][4], const double b[4][4], double out[4][4]);
/* The way back. A singular matrix gives infinities. */
void volume_affine_invert(const double affine[4][4], double out[4][4]);
static inline void volume_affine_apply(const double a[4][4], const double in[3], double out[3])
{
    double result[3];
    for (int i = 0; i < 3; i++)
        result[i] = a[i][0] * in[0] + a[i][1] * in[1] + a[i][2] * in[2] + a[i][3];
    for (int i = 0; i < 3; i++)
        out[i] = result[i];
}
/* out axis i takes from in axis o.axis[i]; shape_in is x, y, z. */
void volume_reorient(const void *in, const int64_t shape_in[3], volume_orientation o,
                     size_t element_bytes, void *out);
/* The inverse: out gets shape_out (the file's), in has the oriented shape. */
void volume_reorient_back(const void *in, const int64_t shape_out[3], volume_orientation o,
                          size_t element_bytes, void *out);

/* Shape, zooms and affine of the grid that volume_reorient turns a volume's to. */
volume_header volume_turned_header(const volume_header *h, volume_orientation o);

/* Is one grid the other but for flips and permutations of its axes? */
bool volume_same_space(const volume_header *a, const volume_header *b);
/* The voxels of `from` in the order of `to`; volume_same_space must hold. *out: free(). */
ts_status volume_turn(const volume_header *from, const void *voxels, size_t element_bytes,
                      const volume_header *to, void **out, ts_error *error);

/* Puts *labels and *h into the voxel order of `like` where they lie on its grid along other axes;
 * else both stay as they are. *turned (may be NULL): were they turned? */
ts_status volume_turn_labels(volume_header *h, uint8_t **labels, const volume_header *like,
                             bool *turned, ts_error *error);

/* ---- resampling ------------------------------------------------------------------------- */

/* Grids are aligned by their outer edges (voxel centres at (i + 0.5) * spacing), as nnU-Net's
 * and skimage's resize do; coordinates beyond the edge take the edge voxel. */
ts_status volume_resample_cubic(const float *in, const int64_t shape_in[3], float *out,
                                const int64_t shape_out[3], pool *p, ts_error *error);
ts_status volume_resample_linear(const float *in, const int64_t shape_in[3], float *out,
                                 const int64_t shape_out[3], pool *p, ts_error *error);
/* Linear on one-hot, argmax; ties go to the lower label. */
ts_status volume_resample_labels(const uint8_t *in, const int64_t shape_in[3], uint8_t *out,
                                 const int64_t shape_out[3], pool *p, ts_error *error);

#endif
