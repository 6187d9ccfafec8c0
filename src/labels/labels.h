/* labels: the classes of a voxel, the regions of classes that the challenges score, and what the
 * values of a file mean. What they are called and which labels a region holds is stated here
 * alone. */
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

/* ---- files -------------------------------------------------------------------------------- */

/* How the label values of a file are read; docs/data.md, "Labels", lists which challenge has which.
 * The first six are the choices of labels=, in the order of LABEL_CHOICES. */
typedef enum {
    LABELS_AUTO,      /* 1 NCR, 2 ED, and 3 or 4 ET */
    LABELS_BRATS2021, /* 1 NCR, 2 ED, 4 ET; BraTS to 2016: 3 NET, which is NCR here */
    LABELS_BRATS2023, /* 1 NCR, 2 ED, 3 ET */
    LABELS_BRATS2024, /* the same, and 4 the resection cavity, which is background here */
    LABELS_MSD,       /* 1 ED, 2 NCR, 3 ET */
    LABELS_PED,       /* BraTS-PED from 2024 on: 1 ET, 2 NET and 3 CC (both NCR here), 4 ED */
    /* no setting names these */
    LABELS_CAVITY,   /* as BRATS2024, but the cavity stays 4 */
    LABELS_PED_AUTO, /* a case called BraTS-PED-*: PED where it holds a 4, else not known */
    LABELS_OWN,      /* the program's classes in a case where 4 may be anything but ET */
    LABELS_GTV,      /* BraTS-MEN-RT: 1 GTV, which is not a class of this program */
    LABEL_MAPS
} label_map;

/* Names that labels= takes: '|' between maps, ',' before a second name of the same map. */
#define LABEL_CHOICES                                                                              \
    "auto|brats2021|brats2023,brats-gli,brats-men,brats-ssa,brats-goat,brats-ped2023|"             \
    "brats2024,brats-gli-post,brats-met|msd|brats-ped"
#define LABEL_NAMES "auto, brats2021, brats2023, brats2024, msd or brats-ped" /* for help lines */

/* Maps a file's values to 0 background, 1 NCR, 2 ED, 3 ET in place. Values that can be read in
 * several ways are an error that names the readings and the setting; so are values that are not
 * classes of this program (LABELS_GTV). With strict, values outside the map are an error; else
 * background. name is for messages. */
ts_status labels_map(uint8_t *labels, size_t count, label_map map, bool strict, const char *name,
                     ts_error *error);
/* The way back, for writing: 1 NCR, 2 ED, 3 ET to the map's values in place; larger ones stay. */
void labels_unmap(uint8_t *labels, size_t count, label_map map);
/* For messages, how to set a reading, and all of them: "labels=NAME (...), where NAME is brats2021
 * (1 NCR, 2 ED, ...), ...". */
enum { LABEL_SETTINGS = 640 };
const char *labels_settings(char buffer[LABEL_SETTINGS]);
/* "msd", "auto" where no setting names the map; "(1 ED, 2 NCR, 3 ET)". */
const char *labels_name(label_map map);
const char *labels_words(label_map map);
/* Do two maps give NCR, ED and ET the same values? */
bool labels_same_values(label_map a, label_map b);

#endif
