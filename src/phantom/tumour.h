/* The tumour of a case: core of several lobes with rim and necrosis, satellites, edema that follows
 * white matter, and the push on the tissue around. Points in template mm, as in anatomy.h. */
#ifndef TWINSEG_PHANTOM_TUMOUR_H
#define TWINSEG_PHANTOM_TUMOUR_H

#include "labels/labels.h"
#include "phantom/anatomy.h"

typedef enum {
    TUMOUR_RING,          /* enhancing rim around necrosis */
    TUMOUR_PATCHY,        /* the rim is broken: parts of it do not enhance */
    TUMOUR_SOLID,         /* enhancing throughout, without necrosis */
    TUMOUR_NON_ENHANCING, /* as a low grade: no contrast uptake at all */
    TUMOUR_KINDS
} tumour_kind;

#define TUMOUR_LOBES_MAX      4
#define TUMOUR_SATELLITES_MAX 3

typedef struct {
    float centre[3], radii[3];
} lobe;

typedef struct {
    tumour_kind kind;
    float centre[3], radius_mm; /* of the core as a whole */
    int lobes, satellites;
    lobe lobe[TUMOUR_LOBES_MAX], satellite[TUMOUR_SATELLITES_MAX];
    float rim_mm;
    float edema_mm;  /* how far it reaches along white matter */
    float push_mm;   /* displacement at the core's surface */
    float solidity;  /* 0 to 1: viable tissue within the necrosis */
    float septa;     /* width of enhancing walls within the necrosis, in the field's units */
    float bridge[3]; /* where the corpus callosum lets edema cross the midline */
    field surface, rim, patches, front, texture;
} tumour;

tumour tumour_draw(random_stream *r, const anatomy *a);

/* Where the tissue that now lies at `template` lay before the tumour grew. */
void tumour_source(const tumour *t, const float template[3], float source[3]);

/* Replaces shares of place->share by the tumour's and returns the label of the voxel. */
int tumour_apply(const tumour *t, const float template[3], float h, anatomy_point *place);

#endif
