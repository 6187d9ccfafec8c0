/* measure: what a radiologist reads off a label volume: volumes, and of each enhancing lesion its
 * diameters, place and side. docs/measures.md defines each figure and names its source. */
#ifndef TWINSEG_MEASURE_H
#define TWINSEG_MEASURE_H

#include "labels/labels.h"
#include "volume/volume.h"

/* From end to end, in the world (RAS+, mm). */
typedef struct {
    double mm, ends[2][3];
} measure_segment;

/* A connected piece (26 neighbours) of the tumour core that holds enhancing tumour. Diameters are
 * those of its enhancing part. */
typedef struct {
    double et_ml, core_ml;
    measure_segment axial;         /* the longest diameter in an axial plane */
    measure_segment perpendicular; /* the longest one in that plane that is perpendicular to it */
    double product_mm2;
    double enhancing_share;  /* of both segments, what lies in enhancing tumour: 1 if solid */
    int64_t slice;           /* of that plane: along the axial axis, from 0, as the file counts */
    int64_t slices;          /* axial slices that show enhancing tumour */
    measure_segment longest; /* in any direction */
    double centre_mm[3], centre_voxel[3]; /* of the piece: world; index, as the file counts */
    bool right;                           /* the centre's side is the patient's right */
    bool crosses_midline;                 /* a tenth of the piece or more lies on the other side */
    bool measurable;                      /* by size: docs/measures.md, "Measurable" */
} measure_lesion;

typedef struct {
    double label_ml[LABELS]; /* by label; background is not counted */
    double region_ml[REGIONS];
    int axial_axis;          /* of the file, 0 to 2 */
    double slice_mm;         /* from one axial slice to the next */
    double midline_mm;       /* x in the world; smaller is left */
    bool midline_of_brain;   /* else the middle of the grid */
    measure_lesion *lesions; /* [count], owned: most enhancing tumour first */
    size_t count;
    double sum_of_products_mm2; /* of up to five measurable lesions, the largest products */
    int32_t *numbers; /* [z][y][x], owned: 1 + index of the lesion that a voxel belongs to, or 0 */
} measures;

enum { MEASURE_TARGETS = 5 };

/* labels [z][y][x]: 0 to 3. brain [z][y][x] (may be NULL): not 0 in the brain; its centre gives the
 * midline. To be freed also after an error. */
ts_status measure_labels(const volume_header *h, const uint8_t *labels, const uint8_t *brain,
                         measures *out, ts_error *error);
void measures_free(measures *m);

/* All cases into a file, by rename: a table (.csv) or an object (.json); by its name. */
ts_status measure_write(const char *path, const char *const *ids, const measures *all, size_t count,
                        ts_error *error);
/* Does a path end in .csv or .json? */
bool measure_can_write(const char *path);
/* The object that measure_write writes, to be released with json_decref. */
ts_status measure_json(const char *const *ids, const measures *all, size_t count, json_t **out,
                       ts_error *error);
/* A lesion's side in words: "left", "right, crosses the midline". */
const char *measure_side(const measure_lesion *l);

#endif
