/* What the files of volume/ share: a NIfTI file opened, its header understood, its voxels found. */
#ifndef TWINSEG_VOLUME_NIFTI_H
#define TWINSEG_VOLUME_NIFTI_H

#include "volume/volume.h"

enum { NIFTI_1_HEADER = 348, NIFTI_2_HEADER = 540, NIFTI_SINGLE_OFFSET = 352 };

/* Bytes of a file, unpacked where it is gzip; release with nifti_bytes_free. */
typedef struct {
    const uint8_t *bytes;
    size_t count;
    uint8_t *unpacked; /* NULL: bytes lie in map */
    size_t ignored;    /* bytes behind the last gzip member that are not a member */
    file_map map;
} nifti_bytes;

ts_status nifti_bytes_read(const char *path, nifti_bytes *out, ts_error *error);
void nifti_bytes_free(nifti_bytes *b);

typedef struct {
    volume_header header;
    bool single;          /* one file; else .hdr and .img */
    bool swap;            /* stored in the other byte order */
    uint64_t data_offset; /* in the file that holds the voxels */
    int64_t voxels;       /* of all axes together */
    size_t value_bytes;
} nifti_description;

/* Do these bytes of a file say that it is DICOM? */
bool nifti_is_dicom(const uint8_t *bytes, size_t count);

/* Reads a header and checks every field that sizes depend on. name is for messages. */
ts_status nifti_parse(const uint8_t *bytes, size_t count, const char *name, nifti_description *out,
                      ts_error *error);

/* A file with its voxels (or, with_voxels false, its header alone); release with nifti_close. */
typedef struct nifti_file {
    nifti_description d;
    volume_voxels voxels;
    nifti_bytes header_file, voxel_file;
} nifti_file;

ts_status nifti_open(const char *path, bool with_voxels, nifti_file *out, ts_error *error);
void nifti_close(nifti_file *f);

#endif
