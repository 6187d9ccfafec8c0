/* The outline of a mask as closed lines between its pixels. */
#ifndef TWINSEG_PICTURE_CONTOUR_H
#define TWINSEG_PICTURE_CONTOUR_H

#include "picture/canvas.h"

/* Calls loop with the corners of every closed outline of mask (width x height, non-zero inside).
 * Pixel (x, y) spans x to x+1: a corner lies in the middle of a pixel's edge, which cuts the steps
 * of slanting outlines. The last point joins the first. */
ts_status contour_trace(const uint8_t *mask, int width, int height,
                        void (*loop)(void *context, const point *corners, size_t count),
                        void *context, ts_error *error);

#endif
