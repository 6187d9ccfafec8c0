/* The whole library in one small program: reads two images of a patient, segments them, writes the
 * labels, and where a truth is given, scores them.
 *
 *   cc segment.c $(pkg-config --cflags --libs twinseg) -o segment
 *   ./segment MODEL FLAIR.nii.gz T1CE.nii.gz SEG.nii.gz [TRUTH.nii.gz]
 */
#include <twinseg.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads one modality; all must lie on one grid. */
static ts_status read_image(const char *path, ts_grid *grid, float **image, ts_error *error)
{
    ts_grid own;
    int64_t volumes;
    const ts_status status = ts_volume_read(path, &own, &volumes, image, error);
    if (status != TS_OK)
        return status;
    if (volumes != 1 || (grid->shape[0] && memcmp(grid->shape, own.shape, sizeof own.shape) != 0)) {
        snprintf(error->text, sizeof error->text, "'%s' does not fit the first image", path);
        return TS_BAD_INPUT;
    }
    *grid = own;
    return TS_OK;
}

static ts_status score(const uint8_t *labels, const char *truth_path, ts_error *error)
{
    static const char *const names[TS_REGIONS] = {"WT", "TC", "ET"};
    ts_grid grid;
    ts_scores scores[TS_REGIONS];
    uint8_t *truth;
    ts_status status = ts_labels_read(truth_path, &grid, &truth, error);
    if (status != TS_OK)
        return status;
    ts_pair pair = {.prediction = labels, .truth = truth, .convention = TS_LESION};
    memcpy(pair.shape, grid.shape, sizeof pair.shape);
    memcpy(pair.spacing_mm, grid.spacing_mm, sizeof pair.spacing_mm);
    status = ts_evaluate(&pair, scores, error);
    for (int r = 0; status == TS_OK && r < TS_REGIONS; r++)
        printf("%s  Dice %.4f  HD95 %.4f mm  lesion-wise Dice %.4f\n", names[r], scores[r].dice,
               scores[r].hd95, scores[r].lesion_dice);
    ts_free(truth);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const settings[] = {"mirror=off", NULL};
    ts_error error = {TS_OK, ""};
    ts_grid grid = {{0}, {0}, {{0}}};
    ts_model *model = NULL;
    float *images[TS_MODALITIES] = {NULL};
    uint8_t *labels = NULL;
    if (argc < 5) {
        fprintf(stderr, "usage: %s MODEL FLAIR T1CE SEG [TRUTH]\n", argv[0]);
        return 2;
    }
    ts_status status = ts_model_open(argv[1], settings, &model, &error);
    if (status == TS_OK)
        status = read_image(argv[2], &grid, &images[TS_FLAIR], &error);
    if (status == TS_OK)
        status = read_image(argv[3], &grid, &images[TS_T1CE], &error);
    if (status == TS_OK) {
        labels = malloc((size_t)(grid.shape[0] * grid.shape[1] * grid.shape[2]));
        status = labels
                     ? ts_predict(model, &grid, (const float *const *)images, labels, NULL, &error)
                     : TS_MEMORY;
    }
    if (status == TS_OK)
        status = ts_labels_write(argv[4], &grid, labels, &error);
    if (status == TS_OK && *ts_model_warnings(model))
        fprintf(stderr, "warning: %s\n", ts_model_warnings(model));
    if (status == TS_OK && argc > 5)
        status = score(labels, argv[5], &error);
    if (status != TS_OK)
        fprintf(stderr, "%s\n", error.text);
    ts_free(images[TS_FLAIR]);
    ts_free(images[TS_T1CE]);
    free(labels);
    ts_model_close(model);
    return status == TS_OK ? 0 : 1;
}
