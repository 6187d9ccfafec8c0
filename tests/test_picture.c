/* picture: what the files show, read back with libpng. Positions follow from the layout: a panel's
 * longest side is 300 pixels. */
#include "picture/canvas.h"
#include "picture/contour.h"
#include "picture/picture.h"
#include "test_folder.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static canvas decode(const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    canvas c = {(int)image.width, (int)image.height, malloc(PNG_IMAGE_SIZE(image))};
    assert_true(png_image_finish_read(&image, NULL, c.rgb, 0, NULL));
    return c;
}

static colour pixel(const canvas *c, int x, int y)
{
    assert_in_range(x, 0, c->width - 1);
    assert_in_range(y, 0, c->height - 1);
    const uint8_t *p = c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;
    return (colour){p[0], p[1], p[2]};
}

static bool alike(colour a, colour b)
{
    return abs(a.r - b.r) + abs(a.g - b.g) + abs(a.b - b.b) < 60;
}

static int count_alike(const canvas *c, colour wanted)
{
    int count = 0;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            count += alike(pixel(c, x, y), wanted);
    return count;
}

/* ---- canvas and outlines ------------------------------------------------------------------ */

static void test_png_keeps_pixels(void **state)
{
    (void)state;
    canvas c;
    ts_error e;
    assert_int_equal(canvas_create(31, 7, &c, &e), TS_OK);
    canvas_rectangle(&c, 3, 2, 4, 3, colour_vermilion);
    canvas_rectangle(&c, 29, 5, 40, 40, colour_blue); /* beyond the page */
    assert_int_equal(canvas_write_png(&c, in_folder("pixels.png"), &e), TS_OK);
    canvas back = decode(in_folder("pixels.png"));
    assert_int_equal(back.width, 31);
    assert_int_equal(back.height, 7);
    assert_memory_equal(back.rgb, c.rgb, 31 * 7 * 3);
    assert_true(alike(pixel(&back, 6, 4), colour_vermilion));
    assert_true(alike(pixel(&back, 7, 4), colour_white));
    canvas_free(&c);
    canvas_free(&back);
}

/* Columns and rows that have ink: x0, y0, x1, y1, each inclusive. */
static void find_ink(const canvas *c, int box[4])
{
    box[0] = c->width, box[1] = c->height, box[2] = box[3] = -1;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            if (!alike(pixel(c, x, y), colour_white)) {
                box[0] = x < box[0] ? x : box[0];
                box[1] = y < box[1] ? y : box[1];
                box[2] = x > box[2] ? x : box[2];
                box[3] = y > box[3] ? y : box[3];
            }
}

static canvas written(const char *s, text_size size, int box[4])
{
    canvas c;
    ts_error e;
    assert_int_equal(canvas_create(60, 60, &c, &e), TS_OK);
    canvas_text(&c, 20, 20, size, colour_black, s);
    find_ink(&c, box);
    return c;
}

/* Capitals begin at y and are as tall as said; accents rise above, descenders go below. */
static void test_letters_are_whole(void **state)
{
    static const struct {
        const char *s;
        int top, bottom; /* of plain text, against y */
    } cases[] = {{"H", 0, 11}, {"x", 3, 11}, {"p", 3, 15}, {"\xC3\x89", -3, 11}, {"'", 0, 3}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int box[4];
        canvas c = written(cases[i].s, TEXT_PLAIN, box);
        assert_int_equal(box[1], 20 + cases[i].top);
        assert_in_range(box[3], 20 + cases[i].bottom - 1, 20 + cases[i].bottom);
        assert_in_range(box[0], 19, 22);
        assert_true(box[2] <= 20 + canvas_text_width(cases[i].s, TEXT_PLAIN));
        canvas_free(&c);
    }
    int small[4], large[4];
    canvas a = written("E", TEXT_PLAIN, small), b = written("E", TEXT_TITLE, large);
    assert_int_equal(small[3] - small[1] + 1, 12);
    assert_int_equal(large[3] - large[1] + 1, 16);
    canvas_free(&a);
    canvas_free(&b);
}

static bool same_text(const char *s, const char *t)
{
    int box[4];
    canvas a = written(s, TEXT_PLAIN, box), b = written(t, TEXT_PLAIN, box);
    const bool same = !memcmp(a.rgb, b.rgb, 60 * 60 * 3);
    canvas_free(&a);
    canvas_free(&b);
    return same;
}

static void test_text_is_utf8(void **state)
{
    (void)state;
    const char *const unknown = "\xEF\xBF\xBD"; /* U+FFFD */
    assert_false(same_text("\xC3\xBC", "u"));   /* u umlaut */
    assert_true(same_text("u\xCC\x88", "u"));   /* its accent by itself */
    assert_true(same_text("\xE8\x84\xB3", unknown));
    assert_true(same_text("\xF0\x9F\xA7\xA0", unknown));
    assert_true(same_text("\xFF", unknown)); /* not UTF-8 */
    assert_true(same_text("\xC3", unknown)); /* cut short */
    assert_false(same_text("?", unknown));
    for (int i = 0; i < FONT_LETTERS; i++)
        assert_true(i == 0 || font_codes[i] > font_codes[i - 1]);
    assert_int_equal(canvas_text_width("", TEXT_PLAIN), 0);
    assert_int_equal(canvas_text_width("AB", TEXT_TITLE),
                     canvas_text_width("A", TEXT_TITLE) + canvas_text_width("B", TEXT_TITLE));
}

/* A title stays within the page, whatever its length. */
static void test_title_fits(void **state)
{
    static const char *const titles[] = {"W", "A title of middle length", "\xC3\x84\xC3\x84",
                                         "A title that is far longer than the page is wide",
                                         "\033[31m and \xFF"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        canvas c;
        ts_error e;
        int box[4];
        assert_int_equal(canvas_create(200, 40, &c, &e), TS_OK);
        canvas_title(&c, 8, 8, titles[i]);
        find_ink(&c, box);
        assert_in_range(box[0], 7, 12);
        assert_in_range(box[2], box[0], 192);
        assert_true(strlen(titles[i]) < 30 || box[2] > 170);
        canvas_free(&c);
    }
}

static void test_dashes(void **state)
{
    (void)state;
    canvas c;
    ts_error e;
    float along = 0;
    assert_int_equal(canvas_create(80, 10, &c, &e), TS_OK);
    /* in two pieces: dashes of 5 run on through the joint at 37 */
    canvas_line(&c, (point){0, 5}, (point){37, 5}, 2, colour_black, 5, &along);
    canvas_line(&c, (point){37, 5}, (point){80, 5}, 2, colour_black, 5, &along);
    assert_true(fabsf(along - 80) < 1e-3f);
    for (int x = 0; x < 80; x++)
        assert_int_equal(alike(pixel(&c, x, 5), colour_black), x / 5 % 2 == 0);
    canvas_free(&c);
}

typedef struct {
    int loops;
    size_t corners;
    double area; /* signed: holes are negative */
} traced;

static void sum_loop(void *context, const point *p, size_t count)
{
    traced *t = context;
    t->loops++;
    t->corners += count;
    for (size_t i = 0; i < count; i++) {
        const point a = p[i], b = p[(i + 1) % count];
        t->area += 0.5 * (double)(a.x * b.y - b.x * a.y);
    }
}

/* Outlines through the middles of edges cut an eighth of a pixel at each convex corner, and add
 * one at each concave corner. */
static void test_contours(void **state)
{
    static const struct {
        uint8_t mask[25];
        int loops;
        size_t corners;
        double area;
    } cases[] = {
        {{0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 8, 3.5},
        /* two pixels that touch at a corner */
        {{1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2, 8, 1},
        /* the hole of a ring that opens at a corner: one line, in and out */
        {{0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 16, 6.5},
        /* a ring: 3x3 without its middle */
        {{1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2, 16, 8.0},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 1, 20, 24.5},
    };
    ts_error e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        traced t = {0};
        assert_int_equal(contour_trace(cases[i].mask, 5, 5, sum_loop, &t, &e), TS_OK);
        assert_int_equal(t.loops, cases[i].loops);
        assert_int_equal(t.corners, cases[i].corners);
        assert_true(fabs(t.area - cases[i].area) < 1e-6);
    }
}

/* ---- slices ------------------------------------------------------------------------------- */

#define SIDE   60
#define VOXELS ((size_t)SIDE * SIDE * SIDE)

/* A cube of 60 mm. signs: where x, y, z of the file run: 1 to right, front, top (RAS+). */
static volume_header cube_header(const int signs[3])
{
    const int64_t shape[3] = {SIDE, SIDE, SIDE};
    const double spacing[3] = {1, 1, 1};
    double affine[4][4] = {{0}};
    affine[3][3] = 1;
    for (int k = 0; k < 3; k++)
        affine[k][k] = signs[k];
    return volume_header_make(shape, spacing, (const double(*)[4])affine);
}

static size_t cube_index(int x, int y, int z)
{
    return (size_t)((z * SIDE + y) * SIDE + x);
}

/* Upper left corner of the first panel: panels are dark on white, below names and headings. The
 * first column of 100 dark pixels is a panel's. */
static void find_panel(const canvas *c, int *left, int *top)
{
    for (*left = 0; *left < c->width; ++*left) {
        int dark = 0;
        for (int y = 0; y < c->height; y++) {
            dark = pixel(c, *left, y).r < 60 ? dark + 1 : 0;
            if (dark == 100) {
                *top = y - 99;
                return;
            }
        }
    }
    fail_msg("no panel found");
}

/* Mean place of bright pixels within a panel of 300 x 300, in shares of its side. R, L, A, P stand
 * in the upper 20 pixels. */
static void bright_place(const canvas *c, int left, int top, double *right, double *down)
{
    double n = 0, x_sum = 0, y_sum = 0;
    for (int y = 24; y < 300; y++)
        for (int x = 0; x < 300; x++)
            if (pixel(c, left + x, top + y).r > 150) {
                x_sum += x;
                y_sum += y;
                n++;
            }
    assert_true(n > 0);
    *right = x_sum / n / 300;
    *down = y_sum / n / 300;
}

/* The letters in the upper corners of the three panels, white on black. */
static void check_marks(const canvas *c, int left, int top)
{
    static const char *const marks[3][2] = {{"R", "L"}, {"R", "L"}, {"A", "P"}};
    for (int panel = 0; panel < 3; panel++)
        for (int side = 0; side < 2; side++) {
            canvas expected;
            ts_error e;
            const char *mark = marks[panel][side];
            const int width = canvas_text_width(mark, TEXT_PLAIN);
            const int x = left + 308 * panel + (side ? 300 - 4 - width : 4);
            assert_int_equal(canvas_create(width, 12, &expected, &e), TS_OK);
            canvas_rectangle(&expected, 0, 0, width, 12, colour_black);
            canvas_text(&expected, 0, 0, TEXT_PLAIN, colour_white, mark);
            for (int i = 0; i < 12 * width; i++)
                assert_true(alike(pixel(c, x + i % width, top + 4 + i / width),
                                  pixel(&expected, i % width, i / width)));
            canvas_free(&expected);
        }
}

/* A marker 15 mm to the patient's right, 10 mm to the front and 6 mm up from the middle is found on
 * the left, in the upper half of the axial and of the coronal panel, whichever way the file
 * runs. */
static void test_right_is_left(void **state)
{
    static const int runs[4][3] = {{-1, -1, 1}, {1, 1, 1}, {-1, 1, -1}, {1, -1, -1}};
    float *image = calloc(VOXELS, sizeof *image);
    uint8_t *labels = calloc(VOXELS, 1);
    ts_error e;
    (void)state;
    for (int i = 0; i < 4; i++) {
        const volume_header h = cube_header(runs[i]);
        const int at[3] = {30 + 15 * runs[i][0], 30 + 10 * runs[i][1], 30 + 6 * runs[i][2]};
        for (size_t v = 0; v < VOXELS; v++)
            image[v] = 1;
        memset(labels, 0, VOXELS);
        for (int z = -4; z <= 4; z++)
            for (int y = -4; y <= 4; y++)
                for (int x = -4; x <= 4; x++)
                    image[cube_index(at[0] + x, at[1] + y, at[2] + z)] = 100;
        labels[cube_index(at[0], at[1], at[2])] = 9; /* steers the slices, draws no outline */
        const float *const images[MODALITIES] = {[FLAIR] = image};
        assert_int_equal(
            picture_slices(in_folder("side.png"), "side", &h, images, labels, NULL, &e), TS_OK);
        canvas c = decode(in_folder("side.png"));
        int left, top;
        double right, down;
        find_panel(&c, &left, &top);
        check_marks(&c, left, top);
        bright_place(&c, left, top, &right, &down);
        assert_true(fabs(right - (30 - 15) / 60.0) < 0.03);
        assert_true(fabs(down - (30 - 10) / 60.0) < 0.03);
        bright_place(&c, left + 308, top, &right, &down); /* coronal */
        assert_true(fabs(right - (30 - 15) / 60.0) < 0.03);
        assert_true(fabs(down - (30 - 6) / 60.0) < 0.03);
        bright_place(&c, left + 616, top, &right, &down); /* sagittal: the front is left */
        assert_true(fabs(right - (30 - 10) / 60.0) < 0.03);
        assert_true(fabs(down - (30 - 6) / 60.0) < 0.03);
        canvas_free(&c);
    }
    free(image);
    free(labels);
}

/* Edema from 20 to 39 mm along x and y: its outline crosses the panel at 100 and 200 of 300
 * pixels. The prediction's is whole, the truth's has gaps. */
static void test_outlines(void **state)
{
    static const int lps[3] = {-1, -1, 1};
    const volume_header h = cube_header(lps);
    float *image = calloc(VOXELS, sizeof *image);
    uint8_t *labels = calloc(VOXELS, 1);
    ts_error e;
    (void)state;
    for (int z = 0; z < SIDE; z++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                image[cube_index(x, y, z)] = 1;
                const int inside = x >= 20 && x < 40 && y >= 20 && y < 40 && z >= 20 && z < 45;
                labels[cube_index(x, y, z)] = inside ? 2 : 0;
            }
    const float *const images[MODALITIES] = {[T1] = image, [FLAIR] = image};
    for (int truth = 0; truth < 2; truth++) {
        const char *path = in_folder(truth ? "truth.png" : "prediction.png");
        assert_int_equal(picture_slices(path, "outline", &h, images, truth ? NULL : labels,
                                        truth ? labels : NULL, &e),
                         TS_OK);
        canvas c = decode(path);
        int left, top, on_edge = 0;
        find_panel(&c, &left, &top);
        assert_int_equal(count_alike(&c, colour_vermilion) < 200, true); /* the legend alone */
        for (int row = 0; row < 2; row++)                                /* T1 and FLAIR */
            for (int y = 110; y < 190; y++) {
                const colour edge = pixel(&c, left + 99, top + row * 308 + y);
                on_edge += edge.b > 100 && edge.b > 2 * edge.r; /* sky blue on black */
                assert_true(pixel(&c, left + 120, top + row * 308 + y).b < 60);
                assert_true(pixel(&c, left + 80, top + row * 308 + y).b < 60);
            }
        /* coronal: up to z = 44, which is 15 mm below the panel's upper edge */
        for (int x = 110; x < 190 && !truth; x++) {
            const colour edge = pixel(&c, left + 308 + x, top + 74);
            assert_true(edge.b > 100 && edge.b > 2 * edge.r);
        }
        if (truth)
            assert_in_range(on_edge, 60, 110);
        else
            assert_int_equal(on_edge, 160);
        canvas_free(&c);
    }
    free(image);
    free(labels);
}

/* Thick slices are drawn at their size: 20 slices of 3 mm are as high as 60 rows of 1 mm. */
static void test_zooms(void **state)
{
    const int64_t shape[3] = {60, 30, 20};
    const double spacing[3] = {1, 2, 3};
    const double affine[4][4] = {{-1, 0, 0, 0}, {0, -2, 0, 0}, {0, 0, 3, 0}, {0, 0, 0, 1}};
    const volume_header h = volume_header_make(shape, spacing, affine);
    float *image = calloc(60 * 30 * 20, sizeof *image);
    ts_error e;
    int left, top;
    (void)state;
    for (int i = 0; i < 60 * 30 * 20; i++)
        image[i] = i % 2 ? 1 : NAN; /* not finite: drawn black, no more */
    const float *const images[MODALITIES] = {[T2] = image};
    assert_int_equal(picture_slices(in_folder("zooms.png"), "z", &h, images, NULL, NULL, &e),
                     TS_OK);
    canvas c = decode(in_folder("zooms.png"));
    find_panel(&c, &left, &top);
    assert_int_equal(c.width, left + 3 * 308);
    assert_int_equal(c.height, top + 308);
    canvas_free(&c);
    memset(image, 0, 60 * 30 * 20 * sizeof *image);
    assert_int_equal(picture_slices(in_folder("zooms.png"), "z", &h, images, NULL, NULL, &e),
                     TS_OK);
    free(image);
}

/* ---- curves ------------------------------------------------------------------------------- */

static ts_status draw_metrics(const char *content, const char *name, ts_error *e)
{
    char csv[256];
    snprintf(csv, sizeof csv, "%s", in_folder("metrics.csv"));
    assert_int_equal(file_put(csv, content, strlen(content), e), TS_OK);
    return picture_curves(in_folder(name), "run", csv, e);
}

/* Two steps, two losses: the line between them passes the middle of the panel at their mean, and
 * a column that is neither loss nor Dice is not drawn. */
static void test_curves(void **state)
{
    ts_error e;
    (void)state;
    assert_int_equal(draw_metrics("step,lr,loss_student,dice_wt\n"
                                  "0,9,0,\n"
                                  "50,9,,\n"
                                  "100,9,2,0.5\n"
                                  "101,9,nonsense,\n"
                                  "200,9,2",
                                  "curves.png", &e),
                     TS_OK);
    canvas c = decode(in_folder("curves.png"));
    assert_int_equal(c.width, 960);
    assert_int_equal(c.height, 60 + 2 * 370);
    /* The axis runs to 120 (ticks of 20) over 620 pixels from 90; loss 1 of 2 is half of 300. */
    const int x = 90 + 620 * 50 / 120, y = 60 + 150;
    int found = 0;
    for (int i = -3; i <= 3; i++)
        found += alike(pixel(&c, x, y + i), colour_blue);
    assert_in_range(found, 1, 5);
    assert_true(alike(pixel(&c, 90 + 620 * 100 / 120, 60 + 370 + 150), colour_blue));
    canvas_free(&c);
}

static void test_curves_without_dice(void **state)
{
    ts_error e;
    (void)state;
    assert_int_equal(draw_metrics("step,loss_student,dice_wt\n1,0.5,\n2,0.4,\n", "one.png", &e),
                     TS_OK);
    canvas c = decode(in_folder("one.png"));
    assert_int_equal(c.height, 60 + 370);
    canvas_free(&c);
}

static void test_what_curves_refuse(void **state)
{
    static const char *const contents[] = {"",
                                           "step\n",
                                           "step,loss_a\n",
                                           "time,loss\n1,2\n",
                                           "step,loss_a\n1,\n2,nan\n",
                                           "step,lr\n1,2\n"};
    ts_error e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        assert_int_equal(draw_metrics(contents[i], "refused.png", &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "metrics.csv"));
        assert_false(file_exists(in_folder("refused.png")));
    }
    assert_int_equal(picture_curves(in_folder("x.png"), "", "/nowhere/metrics.csv", &e), TS_IO);
}

static void test_unwritable(void **state)
{
    canvas c;
    ts_error e;
    (void)state;
    assert_int_equal(canvas_create(4, 4, &c, &e), TS_OK);
    assert_int_equal(canvas_write_png(&c, "/nowhere/x.png", &e), TS_IO);
    assert_non_null(strstr(e.text, "/nowhere/x.png"));
    canvas_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_keeps_pixels),
        cmocka_unit_test(test_letters_are_whole),
        cmocka_unit_test(test_text_is_utf8),
        cmocka_unit_test(test_title_fits),
        cmocka_unit_test(test_dashes),
        cmocka_unit_test(test_contours),
        cmocka_unit_test(test_right_is_left),
        cmocka_unit_test(test_outlines),
        cmocka_unit_test(test_zooms),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_curves_without_dice),
        cmocka_unit_test(test_what_curves_refuse),
        cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
