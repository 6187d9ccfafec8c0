/* The rest of the head (private to phantom/): which share of each tissue lies at a point around a
 * brain, from the meninges to the skin and from the crown to the neck. Points are in mm in the
 * template's frame of anatomy.h: x to the patient's left, y to the back, z upwards. */
#ifndef TWINSEG_PHANTOM_HEAD_H
#define TWINSEG_PHANTOM_HEAD_H

#include "phantom/field.h"
#include "phantom/physics.h"

/* Go on behind those of the brain. */
typedef enum {
    HEAD_AIR = TISSUES,
    HEAD_SKIN,
    HEAD_FAT,
    HEAD_MUSCLE,
    HEAD_BONE,
    HEAD_MARROW,
    HEAD_DURA,
    HEAD_SINUS, /* venous blood, and that of the great vessels: it flows */
    HEAD_VITREOUS,
    HEAD_LENS,
    HEAD_GLAND,
    HEAD_MUCOSA,
    HEAD_NERVE, /* spinal cord, optic nerves */
    HEAD_CARTILAGE,
    HEAD_TISSUES
} head_tissue;

extern const tissue head_tissues[HEAD_TISSUES]; /* at 3 T; the brain's are those of tissues[] */

/* What differs from head to head. */
typedef struct {
    float csf_mm, skull_mm, table_mm, scalp_mm, skin_mm; /* usual thickness */
    float face[3], jaw[3], neck_mm, nose_mm, ears_mm;    /* radii */
    float eye_mm, gaze[2];
    float diploe;         /* share of the skull that is marrow */
    float muscle, fat;    /* thresholds of the fields that place them below the skull */
    bool sinuses_full[5]; /* of mucus: maxillary left and right, sphenoid, frontal, mastoid */
    float sinus_scale;
    float part; /* thickness of hair or cloth beyond the skin; mostly 0 */
    field csf, skull, scalp, mosaic[4], cells, sway[3];
} head_anatomy;

head_anatomy head_draw(random_stream *r);

/* What is known of the brain at a point. */
typedef struct {
    float depth;               /* below its surface, mm; negative outside */
    float share[HEAD_TISSUES]; /* of the brain's tissues: in; of all: out; the sum is 1 */
} head_point;

/* Puts the head around the brain, for a voxel of h mm. */
void head_at(const head_anatomy *a, const float template[3], float h, head_point *out);

#endif
