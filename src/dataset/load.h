/* load (private to dataset/): the files of one case read and judged, before any preprocessing. Both
 * preprocess.c (which stops at the first problem) and check.c (which lists them all) build on
 * it. */
#ifndef TWINSEG_DATASET_LOAD_H
#define TWINSEG_DATASET_LOAD_H

#include "dataset/dataset.h"

typedef enum { FINDING_PROBLEM, FINDING_WARNING, FINDING_NOTE } finding;

/* Called for each finding in a fixed order, on the caller's thread. sentence names the file, the
 * cause and the remedy; status is the error's kind (TS_OK for warnings and notes). */
typedef void (*finding_sink)(void *context, finding kind, ts_status status, const char *sentence);

typedef struct {
    int64_t nonzero, nonfinite;
    int64_t begin[3], end[3]; /* x y z of the box around its non-zero voxels; empty where none */
    float value;              /* of the first of these; of all, unless it varies */
    bool varies;
} image_facts;

/* images are [nz][ny][nx] as in the first file, not yet oriented; truth is mapped to 0..3. */
typedef struct {
    volume_header header;            /* of the first modality used */
    modality_set use;                /* what was requested and is there */
    volume_voxels image[MODALITIES]; /* bytes NULL where there is none */
    image_facts facts[MODALITIES];
    bool whole_head;  /* as of its case */
    uint8_t *truth;   /* NULL where there is none, or it could not be read */
    bool values[256]; /* which label values the truth's file holds, before mapping */
    bool mapped;      /* and could they be? */
    volume_header truth_header;
    volume_file files[MODALITIES]; /* owners of the images: several share one 4-D file */
    void *turned[MODALITIES];      /* owners of those that ran along other axes */
} case_data;

/* Reads what `use` names and the case has. Returns TS_OK where no problem was reported, else the
 * first one's status; call case_data_free in either case. */
ts_status case_load(const dataset_case *c, modality_set use, bool with_truth, pool *p,
                    case_data *out, finding_sink sink, void *context);
/* The same of images in memory on one grid, which stay the caller's; messages name modalities in
 * place of files. */
ts_status case_take(const volume_header *grid, const float *const images[MODALITIES], pool *p,
                    case_data *out, finding_sink sink, void *context);
void case_data_free(case_data *d);

#endif
