/* A volume to be drawn in planes (private to picture/): turned to LPS, cropped to the head, cut in
 * three planes through the tumour's largest extent, at one scale in all panels. */
#ifndef TWINSEG_PICTURE_SCENE_H
#define TWINSEG_PICTURE_SCENE_H

#include "labels/labels.h"
#include "picture/canvas.h"
#include "plan/plan.h"
#include "volume/volume.h"

enum { PREDICTION, TRUTH, LABELINGS };
enum { PANEL = 300, GAP = 8, NAMES = 76, HEAD = 60, FOOT = 44 }; /* pixels */

/* Everything turned to LPS; boxes and slices in those axes. */
typedef struct {
    int64_t shape[3], low[3], high[3]; /* the head's box: low to high - 1 */
    int64_t slice[3];
    double zooms[3];
    float *images[MODALITIES];
    uint8_t *labels[LABELINGS];
    bool all_solid; /* else the truth is dashed */
    double pixels_per_mm;
} scene;

/* A plane: the axis across it, and those that run to the right and down. */
typedef struct {
    const char *name;
    int across, right, down;
    bool upside_down; /* the axis `down` runs upwards (to the top of the head) */
    const char *left_mark, *right_mark;
} view;

extern const view scene_views[3]; /* axial, coronal, sagittal */

/* Images and labels (NULL: none) turned, the head's box, and the slices. To be freed also after an
 * error. */
ts_status scene_make(scene *s, const volume_header *header, const float *const images[MODALITIES],
                     const uint8_t *const labels[LABELINGS], ts_error *error);
void scene_free(scene *s);

/* Pixels of a panel along an axis. */
int scene_pixels(const scene *s, int axis);

/* Image m in a plane with its upper left corner there, the outlines of those labelings (bit k:
 * labels[k]) that there are, and the marks of the sides. */
ts_status scene_draw_panel(canvas *page, const scene *s, const view *v, int m, unsigned labelings,
                           int left, int top, ts_error *error);

/* Each region's colour, and below it what the lines mean. */
int scene_legend_width(void);
void scene_draw_legend(canvas *page, const scene *s, const char *meaning, int top);

#endif
