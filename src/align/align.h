/* align: raw images of one patient onto one grid: rigid registration by mutual information,
 * resampling, and the hook for a tool that cuts the brain out. */
#ifndef TWINSEG_ALIGN_H
#define TWINSEG_ALIGN_H

#include "plan/plan.h"
#include "volume/volume.h"

/* Of the voxels where both images are: mutual information in bits, its normalised form
 * (H(a) + H(b)) / H(a, b) (1: independent, 2: one follows from the other), correlation. */
typedef struct {
    double mi, nmi, ncc;
} similarity;

typedef struct {
    double transform[4][4]; /* world of the fixed image to world of the moving one, mm, RAS+ */
    double angle_degrees;   /* of its rotation */
    double shift_mm;        /* of the fixed image's centre */
    similarity before, after;
    double centre_mm[3]; /* the middle of the fixed image's foreground, in its world */
    /* Mean distance, over that middle and places 60 mm around it, from what a search in the other
     * direction finds: of two that have gone astray the ways differ. */
    double disagreement_mm;
} alignment;

/* The rigid transform that maximises normalised mutual information (Studholme 1999), searched from
 * the headers' positions and from the centres of mass, 20 degrees each way, on grids of 8, 4, 2 and
 * 1 mm; and back, to 2 mm, for disagreement_mm. Deterministic, with any number of threads. Both images hold one volume. */
ts_status align_rigid(const volume *fixed, const volume *moving, pool *p, alignment *out,
                      ts_error *error);

/* The grid of `spacing_mm` over the extent of a volume, along its own axes brought to LPS order. */
volume_header align_grid(const volume_header *reference, double spacing_mm);

/* How a brain stands beside the mean brain of BraTS's atlas. */
typedef struct {
    double tilt_degrees; /* between the image's axes and the atlas's */
    double nmi;          /* with the mean brain */
    bool known;          /* alike enough to believe it */
    bool turned;         /* known, and tilted by more than a few degrees */
} align_pose;

/* The grid for a brain that should stand upright as models know it: where pose->turned, the atlas's
 * axes and field of view (BraTS's 240 x 240 x 155 mm) laid into the image's own world, else
 * align_grid. brain: one volume, 0 outside the brain, any contrast, any grid. */
ts_status align_upright(const volume *brain, double spacing_mm, pool *p, align_pose *pose,
                        volume_header *grid, ts_error *error);

/* moving at transform(world of grid's voxels), cubic (Catmull, Rom 1974) after a box average along
 * axes where the grid is coarser; 0 outside of the image and where at least half of what is read is
 * exactly 0, so that skull-stripped images stay so. out: [nz][ny][nx] of grid. */
ts_status align_resample(const volume *moving, const double transform[4][4],
                         const volume_header *grid, pool *p, float *out, ts_error *error);

/* ---- the way back ---------------------------------------------------------------------------- */

enum { ALIGN_CLASSES_MAX = 8 };

/* Class probabilities [classes][z][y][x] on a grid; class 0 is background. */
typedef struct {
    const volume_header *grid;
    const float *probabilities;
    int classes; /* 1 to ALIGN_CLASSES_MAX */
} align_classes;

/* Labels on an image's own grid from class probabilities on the reference's: the mean over each of
 * the image's voxels, the greatest wins, of equal ones the lower class. transform: world of the
 * reference to world of the image, as align_rigid finds it. A voxel of the image reaches as far as
 * its neighbours' middles; slices have no gaps. Outside of the reference's grid is background.
 * labels: [z][y][x] of `grid`. To be written with volume_write_labels and the image's own header,
 * which keeps sform, qform and voxel sizes as they are. Labels that rules have changed after the
 * greatest was taken: predict_follow_labels comes first. */
ts_status align_back(const align_classes *from, const double transform[4][4],
                     const volume_header *grid, pool *p, uint8_t *labels, ts_error *error);

/* ---- a patient ------------------------------------------------------------------------------ */

typedef struct {
    const char *input[MODALITIES]; /* a NIfTI file, or a folder of DICOM; NULL: not acquired */
    const char *id;     /* names the files: ID_t1.nii.gz, ...; NULL: images/t1.nii.gz, ...
                                    * in a folder that is there */
    const char *folder; /* where they go; made where it is not there */
    double spacing_mm;
    const char *skull_strip; /* shell command with {in} and {out}, or NULL */
    /* A mask's file on the grid of the image to which the others are registered; "none": the skull
     * stays; NULL: by skull_strip, or else by the program's own network (brain.h). Images that are
     * stripped already are left as they are, unless a mask is given. */
    const char *brain;
} align_request;

/* Registered images of BraTS have a normalised mutual information of 1.25 and more, images without
 * relation 1.0 to 1.1. */
#define ALIGN_DOUBTFUL_NMI 1.1
/* And a registration with a greater disagreement_mm has failed. */
#define ALIGN_DOUBTFUL_MM 1.0

typedef enum {
    ALIGN_BRAIN_LEFT,     /* the skull is still there */
    ALIGN_BRAIN_STRIPPED, /* an image was stripped already */
    ALIGN_BRAIN_GIVEN,    /* by the user's mask */
    ALIGN_BRAIN_TOOL,     /* by the user's command */
    ALIGN_BRAIN_FOUND     /* by the network */
} align_brain_source;
const char *align_brain_words(align_brain_source source); /* for records: "network", ... */

typedef struct {
    align_brain_source source;
    double millilitres; /* 0 where the skull is left */
} align_brain;

/* What was done to one modality. */
typedef struct {
    bool used;
    alignment found; /* of the reference: identity */
} align_step;

typedef struct {
    modality reference; /* T1CE, else the first of T1, T2, FLAIR that is there */
    align_step steps[MODALITIES];
    align_brain brain;
    align_pose pose; /* all 0 where the skull is left */
} align_result;

/* Writes the images on one grid into the folder, the brain's mask as brain.nii.gz (unless the skull
 * is left), registration.json beside them, and as
 * registration.png a checkerboard of each with the reference. By rename. */
ts_status align_patient(const align_request *r, pool *p, align_result *result, ts_error *error);

#endif
