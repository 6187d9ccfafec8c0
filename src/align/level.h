/* What registration works on at one resolution (private to align/). */
#ifndef TWINSEG_ALIGN_LEVEL_H
#define TWINSEG_ALIGN_LEVEL_H

#include "align/align.h"

enum { BINS = 48 };

/* The moving image, halved until its voxels are about as long as the level's spacing; its values in
 * units of histogram bins, from 0 to BINS - 1. */
typedef struct {
    float *data; /* [nz][ny][nx], owned */
    int64_t shape[3];
    double affine[4][4];
} level_image;

/* Points of the fixed image, one at a random place of each cell of a grid, so that no grid lies on
 * another (interpolation would leave its pattern in the histogram). */
typedef struct {
    float (*at)[3]; /* world, mm, less the centre; owned */
    uint8_t *bin;   /* the fixed image's value there; owned */
    int64_t count;
    double centre[3];
} level_points;

ts_status level_image_make(const volume *v, double spacing_mm, level_image *out, ts_error *error);
void level_image_free(level_image *l);
ts_status level_points_make(const volume *fixed, double spacing_mm, level_points *out,
                            ts_error *error);
void level_points_free(level_points *s);

/* The similarity of both under a transform from the fixed world to the moving one; all 0 where less
 * than a quarter of the points fall into the moving image. */
similarity level_compare(const level_points *s, const level_image *moving,
                         const double transform[4][4], pool *p);

/* World position of the mean of an image's bins, weighted by them. */
void level_centre(const level_image *l, double centre[3]);

#endif
