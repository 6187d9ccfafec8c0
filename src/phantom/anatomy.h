/* The healthy brain: which share of each tissue lies at a point. Points are in mm from the middle
 * of the head; x runs to the patient's left, y to the back, z upwards. */
#ifndef TWINSEG_PHANTOM_ANATOMY_H
#define TWINSEG_PHANTOM_ANATOMY_H

#include "phantom/field.h"
#include "phantom/physics.h"

typedef struct {
    float rotation[3][3], scale[3]; /* head to template */
    float ventricles;               /* radius, 1 being usual */
    float atrophy;                  /* 0 to 1: width of the sulci */
    float ribbon_mm;                /* thickness of the cortex */
    float fold_depth_mm, gliosis, asymmetry_mm;
    field hull, bend[3], folds, depths, vessels, spots;
} anatomy;

/* What the tumour needs to know of a place in a template brain. */
typedef struct {
    float mask;           /* depth below the skull-stripped surface */
    float cerebrum;       /* depth below the cerebrum's hull, sulci closed */
    float ventricle;      /* depth below the ventricles' wall, negative outside */
    float midline;        /* distance from the fissure's sheet, with the patient's left positive */
    float share[TISSUES]; /* of the healthy tissues; their sum is 1 */
} anatomy_point;

anatomy anatomy_draw(random_stream *r);

void anatomy_to_template(const anatomy *a, const float head[3], float template[3]);

/* Depth below the skull-stripped surface; that of the cerebrum alone into *cerebrum. */
float anatomy_mask(const anatomy *a, const float template[3], float *cerebrum);

/* Everything at a place, for a voxel of h mm. The surface is that at `template`, the inner
 * structures are those of `source`: a tumour pushes tissue, and the skull does not yield. */
void anatomy_at(const anatomy *a, const float template[3], const float source[3], float h,
                anatomy_point *out);

#endif
