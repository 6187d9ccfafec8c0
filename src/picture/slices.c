/* A page of slices of one case: a row for each image, three planes in each. */
#include "picture/picture.h"
#include "picture/scene.h"

#include <stdlib.h>

static const char *const modality_titles[MODALITIES] = {
    [T1] = "T1", [T1CE] = "T1CE", [T2] = "T2", [FLAIR] = "FLAIR"};

static ts_status draw_row(canvas *page, const scene *s, int m, int top, ts_error *error)
{
    ts_status status = TS_OK;
    int left = NAMES;
    canvas_text(page, GAP, top + GAP, TEXT_PLAIN, colour_black, modality_titles[m]);
    for (int i = 0; status == TS_OK && i < 3; i++) {
        status = scene_draw_panel(page, s, &scene_views[i], m, ~0u, left, top, error);
        left += scene_pixels(s, scene_views[i].right) + GAP;
    }
    return status;
}

static ts_status draw_page(const scene *s, const char *title, canvas *page, ts_error *error)
{
    int rows = 0, width = NAMES, across = scene_pixels(s, 2);
    for (int m = 0; m < MODALITIES; m++)
        rows += s->images[m] != NULL;
    for (int i = 0; i < 3; i++)
        width += scene_pixels(s, scene_views[i].right) + GAP;
    if (scene_pixels(s, 1) > across)
        across = scene_pixels(s, 1);
    const bool outlines = s->labels[PREDICTION] || s->labels[TRUTH];
    if (outlines && width < scene_legend_width())
        width = scene_legend_width();
    const int height = HEAD + rows * (across + GAP) + (outlines ? FOOT + GAP : 0);
    ts_status status = canvas_create(width, height, page, error);
    if (status != TS_OK)
        return status;
    canvas_title(page, GAP, GAP + 2, title);
    for (int i = 0, left = NAMES; i < 3; i++) {
        canvas_text(page, left, HEAD - 20, TEXT_PLAIN, colour_grey, scene_views[i].name);
        left += scene_pixels(s, scene_views[i].right) + GAP;
    }
    int top = HEAD;
    for (int m = 0; m < MODALITIES; m++) {
        if (!s->images[m])
            continue;
        status = draw_row(page, s, m, top, error);
        if (status != TS_OK)
            return status;
        top += across + GAP;
    }
    const char *meaning = !s->labels[TRUTH]        ? "Lines: prediction"
                          : !s->labels[PREDICTION] ? "Dashed: truth"
                                                   : "Solid: prediction, dashed: truth";
    if (outlines)
        scene_draw_legend(page, s, meaning, top);
    return TS_OK;
}

ts_status picture_slices(const char *path, const char *title, const volume_header *header,
                         const float *const images[MODALITIES], const uint8_t *prediction,
                         const uint8_t *truth, ts_error *error)
{
    scene s = {0};
    canvas page = {0};
    const uint8_t *const labels[LABELINGS] = {[PREDICTION] = prediction, [TRUTH] = truth};
    ts_status status = scene_make(&s, header, images, labels, error);
    if (status != TS_OK)
        goto done;
    status = draw_page(&s, title, &page, error);
    if (status != TS_OK)
        goto done;
    status = canvas_write_png(&page, path, error);
done:
    canvas_free(&page);
    scene_free(&s);
    return status;
}
