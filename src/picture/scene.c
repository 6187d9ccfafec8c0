/* Panels: a slice of an image in grey with outlines, all at one scale. */
#include "picture/scene.h"
#include "picture/contour.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Radiologists look from the feet: the patient's right is on the picture's left, so x of LPS runs
 * to the right as it is. */
const view scene_views[3] = {
    {"Axial", 2, 0, 1, false, "R", "L"},
    {"Coronal", 1, 0, 2, true, "R", "L"},
    {"Sagittal", 0, 1, 2, true, "A", "P"},
};

static const struct {
    const char *name;
    const colour *ink;
} drawn[REGIONS] = {
    [REGION_WT] = {"Whole tumour (WT)", &colour_sky_blue},
    [REGION_TC] = {"Tumour core (TC)", &colour_yellow},
    [REGION_ET] = {"Enhancing tumour (ET)", &colour_vermilion},
};

static const double margin_mm = 8;

static size_t index_of(const scene *s, const int64_t at[3])
{
    return (size_t)((at[2] * s->shape[1] + at[1]) * s->shape[0] + at[0]);
}

void scene_free(scene *s)
{
    for (int m = 0; m < MODALITIES; m++)
        free(s->images[m]);
    for (int i = 0; i < LABELINGS; i++)
        free(s->labels[i]);
}

static ts_status scene_turn(scene *s, const volume_header *header,
                            const float *const images[MODALITIES], const uint8_t *const labels[],
                            ts_error *error)
{
    const volume_orientation o = volume_orientation_lps(header->affine);
    size_t voxels = 1;
    for (int k = 0; k < 3; k++) {
        s->shape[k] = header->shape[o.axis[k]];
        s->zooms[k] = header->zooms[o.axis[k]] > 0 ? header->zooms[o.axis[k]] : 1;
        voxels *= (size_t)s->shape[k];
    }
    for (int m = 0; m < MODALITIES; m++) {
        if (!images[m])
            continue;
        s->images[m] = memory_allocate(voxels, sizeof(float), "an image to draw", error);
        if (!s->images[m])
            return TS_MEMORY;
        volume_reorient(images[m], header->shape, o, sizeof(float), s->images[m]);
    }
    for (int i = 0; i < LABELINGS; i++) {
        if (!labels[i])
            continue;
        s->labels[i] = memory_allocate(voxels, 1, "labels to draw", error);
        if (!s->labels[i])
            return TS_MEMORY;
        volume_reorient(labels[i], header->shape, o, 1, s->labels[i]);
    }
    return TS_OK;
}

static bool is_head(const scene *s, size_t voxel)
{
    bool any = false;
    for (int m = 0; m < MODALITIES; m++)
        any = any || (s->images[m] && s->images[m][voxel] != 0);
    for (int i = 0; i < LABELINGS; i++)
        any = any || (s->labels[i] && s->labels[i][voxel]);
    return any;
}

/* The head's box with a margin; the whole grid where all is 0. */
static void scene_crop(scene *s)
{
    voxel_box head = box_empty();
    double longest_mm = 0;
    for (int64_t z = 0, i = 0; z < s->shape[2]; z++)
        for (int64_t y = 0; y < s->shape[1]; y++)
            for (int64_t x = 0; x < s->shape[0]; x++, i++)
                if (is_head(s, (size_t)i))
                    box_add(&head, x, y, z);
    if (box_is_empty(&head))
        head = (voxel_box){{0, 0, 0}, {s->shape[0] - 1, s->shape[1] - 1, s->shape[2] - 1}};
    for (int k = 0; k < 3; k++) {
        const int64_t margin = (int64_t)ceil(margin_mm / s->zooms[k]);
        s->low[k] = head.low[k] < margin ? 0 : head.low[k] - margin;
        s->high[k] =
            head.high[k] + 1 + margin > s->shape[k] ? s->shape[k] : head.high[k] + 1 + margin;
        s->slice[k] = (head.low[k] + head.high[k] + 1) / 2;
        longest_mm = fmax(longest_mm, (double)(s->high[k] - s->low[k]) * s->zooms[k]);
    }
    s->pixels_per_mm = PANEL / longest_mm;
}

/* Along each axis the slice that holds most of the tumour: the truth's, else the prediction's. */
static ts_status scene_place_slices(scene *s, ts_error *error)
{
    const int order[LABELINGS] = {TRUTH, PREDICTION};
    for (int i = 0; i < LABELINGS; i++) {
        const uint8_t *labels = s->labels[order[i]];
        bool found = false;
        for (int k = 0; k < 3 && labels; k++) {
            int64_t at[3], best = 0;
            int64_t *counts =
                memory_allocate((size_t)s->shape[k], sizeof *counts, "a count of voxels", error);
            if (!counts)
                return TS_MEMORY;
            for (at[2] = 0; at[2] < s->shape[2]; at[2]++)
                for (at[1] = 0; at[1] < s->shape[1]; at[1]++)
                    for (at[0] = 0; at[0] < s->shape[0]; at[0]++)
                        counts[at[k]] += labels[index_of(s, at)] != 0;
            for (int64_t j = 1; j < s->shape[k]; j++)
                best = counts[j] > counts[best] ? j : best;
            found = counts[best] > 0;
            if (found)
                s->slice[k] = best;
            free(counts);
        }
        if (found)
            return TS_OK;
    }
    return TS_OK;
}

ts_status scene_make(scene *s, const volume_header *header, const float *const images[MODALITIES],
                     const uint8_t *const labels[LABELINGS], ts_error *error)
{
    const ts_status status = scene_turn(s, header, images, labels, error);
    if (status != TS_OK)
        return status;
    scene_crop(s);
    return scene_place_slices(s, error);
}

/* Black and white of a modality: the 1st and 99.5th percentile of its finite non-zero voxels, of
 * every 7th voxel at most 2^20. */
static ts_status grey_window(const scene *s, const float *image, float *black, float *white,
                             ts_error *error)
{
    const size_t voxels = (size_t)voxel_count(s->shape), most = 1 << 20;
    float *values = memory_allocate(most, sizeof *values, "a sample of intensities", error);
    size_t count = 0;
    if (!values)
        return TS_MEMORY;
    const size_t step = voxels > 7 * 4096 ? 7 : 1;
    for (size_t i = 0; i < voxels && count < most; i += step)
        if (image[i] != 0 && isfinite(image[i]))
            values[count++] = image[i];
    sort_floats(values, count);
    *black = count ? values[count / 100] : 0;
    *white = count ? values[count - 1 - count / 200] : 1;
    if (!(*white > *black))
        *white = *black + 1;
    free(values);
    return TS_OK;
}

int scene_pixels(const scene *s, int axis)
{
    return (int)lround((double)(s->high[axis] - s->low[axis]) * s->zooms[axis] * s->pixels_per_mm);
}

/* Where a pixel's middle lies along an axis, in voxels (centres at whole numbers). */
static double voxel_at(const scene *s, int axis, int pixel, bool backwards)
{
    const double along = (pixel + 0.5) / (s->zooms[axis] * s->pixels_per_mm);
    return backwards ? (double)s->high[axis] - along - 0.5 : (double)s->low[axis] + along - 0.5;
}

static float value_at(const scene *s, const float *image, const view *v, int64_t right,
                      int64_t down)
{
    int64_t at[3];
    at[v->across] = s->slice[v->across];
    at[v->right] = right < 0 ? 0 : right >= s->shape[v->right] ? s->shape[v->right] - 1 : right;
    at[v->down] = down < 0 ? 0 : down >= s->shape[v->down] ? s->shape[v->down] - 1 : down;
    const float value = image[index_of(s, at)];
    return isfinite(value) ? value : 0;
}

static void draw_image(canvas *page, const scene *s, const view *v, const float *image, float black,
                       float white, int left, int top)
{
    const int width = scene_pixels(s, v->right), height = scene_pixels(s, v->down);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const double r = voxel_at(s, v->right, x, false);
            const double d = voxel_at(s, v->down, y, v->upside_down);
            const int64_t r0 = (int64_t)floor(r), d0 = (int64_t)floor(d);
            const float fr = (float)(r - (double)r0), fd = (float)(d - (double)d0);
            const float value = (1 - fd) * ((1 - fr) * value_at(s, image, v, r0, d0) +
                                            fr * value_at(s, image, v, r0 + 1, d0)) +
                                fd * ((1 - fr) * value_at(s, image, v, r0, d0 + 1) +
                                      fr * value_at(s, image, v, r0 + 1, d0 + 1));
            const float grey = (value - black) / (white - black) * 255;
            const uint8_t g = (uint8_t)(value == 0 || grey < 0 ? 0 : grey > 255 ? 255 : grey);
            canvas_blend(page, left + x, top + y, (colour){g, g, g}, 1);
        }
}

/* What an outline is drawn with; the context of draw_loop. */
typedef struct {
    canvas *page;
    float left, top, scale_x, scale_y;
    colour ink;
    float width, dash;
} pen;

static void draw_loop(void *context, const point *corners, size_t count)
{
    const pen *p = context;
    float along = 0;
    for (size_t i = 0; i < count; i++) {
        const point a = corners[i], b = corners[(i + 1) % count];
        canvas_line(p->page, (point){p->left + a.x * p->scale_x, p->top + a.y * p->scale_y},
                    (point){p->left + b.x * p->scale_x, p->top + b.y * p->scale_y}, p->width,
                    p->ink, p->dash, &along);
    }
}

/* The truth's dashes are wider than the prediction's line: seen where the two agree, too. */
static void set_stroke(pen *p, const scene *s, int labeling)
{
    const bool dashed = labeling == TRUTH && !s->all_solid;
    p->width = dashed ? 2.6f : 1.5f;
    p->dash = dashed ? 5 : 0;
}

/* What of a plane lies in a region: [height][width] of the head's box, as the plane is drawn. */
static void cut_region(const scene *s, const view *v, const uint8_t *labels, int r, uint8_t *mask)
{
    int64_t at[3];
    at[v->across] = s->slice[v->across];
    for (int64_t y = 0; y < s->high[v->down] - s->low[v->down]; y++) {
        at[v->down] = v->upside_down ? s->high[v->down] - 1 - y : s->low[v->down] + y;
        for (int64_t x = s->low[v->right]; x < s->high[v->right]; x++) {
            at[v->right] = x;
            *mask++ = region_holds(r, labels[index_of(s, at)]);
        }
    }
}

static ts_status draw_outlines(canvas *page, const scene *s, const view *v, int labeling, int left,
                               int top, ts_error *error)
{
    const int width = (int)(s->high[v->right] - s->low[v->right]);
    const int height = (int)(s->high[v->down] - s->low[v->down]);
    uint8_t *mask = memory_allocate((size_t)width * (size_t)height, 1, "an outline", error);
    ts_status status = mask ? TS_OK : TS_MEMORY;
    for (int r = 0; status == TS_OK && r < REGIONS; r++) {
        pen p = {.page = page,
                 .left = (float)left,
                 .top = (float)top,
                 .scale_x = (float)(s->zooms[v->right] * s->pixels_per_mm),
                 .scale_y = (float)(s->zooms[v->down] * s->pixels_per_mm),
                 .ink = *drawn[r].ink};
        set_stroke(&p, s, labeling);
        cut_region(s, v, s->labels[labeling], r, mask);
        status = contour_trace(mask, width, height, draw_loop, &p, error);
    }
    free(mask);
    return status;
}

ts_status scene_draw_panel(canvas *page, const scene *s, const view *v, int m, unsigned labelings,
                           int left, int top, ts_error *error)
{
    float black, white;
    const int width = scene_pixels(s, v->right);
    const int mark = canvas_text_width(v->right_mark, TEXT_PLAIN);
    ts_status status = grey_window(s, s->images[m], &black, &white, error);
    if (status != TS_OK)
        return status;
    draw_image(page, s, v, s->images[m], black, white, left, top);
    for (int k = LABELINGS - 1; k >= 0; k--) {
        if (!s->labels[k] || !(labelings >> k & 1))
            continue;
        status = draw_outlines(page, s, v, k, left, top, error);
        if (status != TS_OK)
            return status;
    }
    canvas_text(page, left + 4, top + 4, TEXT_PLAIN, colour_white, v->left_mark);
    canvas_text(page, left + width - 4 - mark, top + 4, TEXT_PLAIN, colour_white, v->right_mark);
    return TS_OK;
}

enum { SAMPLE = 44 }; /* pixels of a line in the legend */

int scene_legend_width(void)
{
    int width = NAMES;
    for (int r = 0; r < REGIONS; r++)
        width += SAMPLE + canvas_text_width(drawn[r].name, TEXT_PLAIN) + 3 * GAP;
    return width;
}

/* Each region's colour on black, as it is in the panels; then what the lines mean. */
void scene_draw_legend(canvas *page, const scene *s, const char *meaning, int top)
{
    int x = NAMES;
    for (int r = 0; r < REGIONS; r++) {
        canvas_rectangle(page, x, top, SAMPLE, 18, colour_black);
        for (int k = 0; k < LABELINGS; k++) {
            pen p = {.ink = *drawn[r].ink};
            set_stroke(&p, s, k);
            const bool both = s->labels[PREDICTION] && s->labels[TRUTH] && !s->all_solid;
            const float y = (float)top + (!both ? 9.0f : k == TRUTH ? 13.0f : 5.0f);
            if (s->labels[k])
                canvas_line(page, (point){(float)x + 4, y}, (point){(float)x + 40, y}, p.width,
                            p.ink, p.dash, NULL);
        }
        canvas_text(page, x + SAMPLE + GAP, top + 3, TEXT_PLAIN, colour_black, drawn[r].name);
        x += SAMPLE + canvas_text_width(drawn[r].name, TEXT_PLAIN) + 3 * GAP;
    }
    canvas_text(page, NAMES, top + 26, TEXT_PLAIN, colour_black, meaning);
}
