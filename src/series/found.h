/* The files of a folder, and whose they are (private to series/). */
#ifndef TWINSEG_SERIES_FOUND_H
#define TWINSEG_SERIES_FOUND_H

#include "series/series.h"

typedef struct {
    string_list dicom, nifti;
    dicom_header *headers; /* [dicom.count] */
    size_t capacity;       /* of headers */
    size_t other_objects;  /* DICOM without pixels: reports, settings */
    size_t cut;            /* DICOM whose header ends early, MR images without pixels */
} found_files;

/* All images in a folder and its subfolders, by what is in them. found_free also after an error. */
ts_status found_read(const char *folder, found_files *f, ts_error *error);
void found_free(found_files *f);

/* keep [f->dicom.count]: becomes true for the files of the one patient and study. Several of which
 * none is picked are an error that lists them by letters. */
ts_status found_keep(const found_files *f, const char *folder, const series_pick *pick, bool *keep,
                     ts_error *error);

#endif
