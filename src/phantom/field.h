/* Smooth random functions of space: sums of plane waves of random direction, wavelength and phase.
 * Their zero sets are winding sheets of even spacing, which is what the folds of a cortex are. */
#ifndef TWINSEG_PHANTOM_FIELD_H
#define TWINSEG_PHANTOM_FIELD_H

#include "base/base.h"

#include <math.h>

#define FIELD_WAVES_MAX 24

typedef struct {
    int waves;
    float amplitude;                     /* of each wave: the sum has variance 1 */
    float frequency[3][FIELD_WAVES_MAX]; /* cycles per mm */
    float phase[FIELD_WAVES_MAX];        /* turns */
} field;

/* Wavelengths are uniform in [shortest_mm, longest_mm]; waves is a multiple of 4. */
field field_draw(random_stream *r, int waves, double shortest_mm, double longest_mm);

float field_at(const field *f, const float p[3]);
/* Also the gradient, per mm. */
float field_gradient(const field *f, const float p[3], float gradient[3]);

/* ---- signed distances, positive inside, in mm ------------------------------------------- */

/* First-order distance of an ellipsoid (exact on its surface). */
float ellipsoid_depth(const float p[3], const float centre[3], const float radii[3]);

/* A cone with round ends: radius r0 at a, r1 at b. */
float cone_depth(const float p[3], const float a[3], float r0, const float b[3], float r1);

/* Minimum and maximum with the edge rounded over k mm. */
float smooth_minimum(float a, float b, float k);
float smooth_maximum(float a, float b, float k);

/* Share of a voxel of size h that lies inside a surface at depth d of its centre. */
static inline float inside_share(float d, float h)
{
    const float share = d / h + 0.5f;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static inline float clamped(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

#endif
