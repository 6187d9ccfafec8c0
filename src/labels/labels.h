/* labels: the classes of a voxel, and the regions of classes that the challenges score. What they
 * are called and which labels a region holds is stated here alone. */
#ifndef TWINSEG_LABELS_H
#define TWINSEG_LABELS_H

#include "base/base.h"

/* The values of a label volume inside the program. The networks tell LABELS of them apart; the
 * resection cavity occurs in scores alone. */
enum {
    LABEL_BACKGROUND,
    LABEL_NCR, /* necrotic and non-enhancing core */
    LABEL_ED,  /* edema */
    LABEL_ET,  /* enhancing tumour */
    LABELS,
    LABEL_RC = LABELS /* resection cavity */
};
extern const char *const label_names[LABELS + 1]; /* "background", "NCR", "ED", "ET", "RC" */

typedef unsigned label_set; /* bit v: label v */

/* Whole tumour, tumour core and enhancing tumour, of which each holds the next; then labels by
 * themselves, which the panoptic convention scores too. */
typedef enum {
    REGION_WT,
    REGION_TC,
    REGION_ET,
    REGIONS,
    REGION_NCR = REGIONS,
    REGION_ED,
    REGION_RC,
    REGIONS_ALL
} region;
extern const char *const region_names[REGIONS_ALL];
/* Here, so that a compiler sees the sets in loops over voxels. */
static const label_set region_labels[REGIONS_ALL] = {
    [REGION_WT] = 1 << LABEL_NCR | 1 << LABEL_ED | 1 << LABEL_ET,
    [REGION_TC] = 1 << LABEL_NCR | 1 << LABEL_ET,
    [REGION_ET] = 1 << LABEL_ET,
    [REGION_NCR] = 1 << LABEL_NCR,
    [REGION_ED] = 1 << LABEL_ED,
    [REGION_RC] = 1 << LABEL_RC,
};

static inline bool label_in(label_set set, int value)
{
    return value < 32 && set >> value & 1;
}

/* Does a region hold a label? */
static inline bool region_holds(int r, int value)
{
    return label_in(region_labels[r], value);
}

/* The regions that hold a label: bit r is region r, of WT, TC and ET. */
static inline unsigned regions_with(int value)
{
    unsigned set = 0;
    for (int r = 0; r < REGIONS; r++)
        set |= (unsigned)region_holds(r, value) << r;
    return set;
}

#endif
