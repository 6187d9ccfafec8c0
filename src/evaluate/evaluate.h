/* evaluate: two label volumes in, the challenge's scores out. Rules: docs/metrics.md. */
#ifndef TWINSEG_EVALUATE_H
#define TWINSEG_EVALUATE_H

#include "base/base.h"

typedef enum { REGION_WT, REGION_TC, REGION_ET, REGIONS } region;
extern const char *const region_names[REGIONS]; /* "WT", "TC", "ET" */

typedef enum { CONVENTION_LEGACY, CONVENTION_LESION } convention;

/* Which value is which in a file: brats2023 and brats2021 both belong (1 NCR, 2 ED, 3 or 4 ET);
 * LABELS_POST: BraTS 2024, 4 is the resection cavity, background; LABELS_MSD: 1 ED, 2 NCR, 3 ET. */
typedef enum {
    LABELS_AUTO,
    LABELS_BRATS2021,
    LABELS_BRATS2023,
    LABELS_BRATS2024,
    LABELS_MSD
} label_map;

typedef struct {
    double dice, hd95, sensitivity, specificity;
    double lesion_dice, lesion_hd95; /* lesion convention only, else 0 */
    int64_t tp, fp, fn; /* kept lesions matched, unmatched predictions, missed lesions */
} region_scores;

/* Maps a file's values to 0 background, 1 NCR, 2 ED, 3 ET in place. LABELS_AUTO: as METHOD says,
 * case by case; a volume with both 3 and 4 is an error that names the readings and the setting.
 * name stands in messages. With strict, values outside the map are an error; else background. */
ts_status labels_map(uint8_t *labels, size_t count, label_map map, bool strict, const char *name,
                     ts_error *error);

/* Scores of one case. prediction, truth: [nz][ny][nx], values 0 background, 1 NCR, 2 ED, 3 ET (4
 * counts as ET). shape x, y, z; spacing_mm of the prediction. p may be NULL. */
ts_status evaluate_case(const uint8_t *prediction, const uint8_t *truth, const int64_t shape[3],
                        const double spacing_mm[3], convention c, pool *p,
                        region_scores scores[REGIONS], ts_error *error);

/* ---- files and folders ---------------------------------------------------------------------- */

/* A case is a file's name less its extension and "-seg" or "_seg". */
typedef struct {
    char *id;
    char *prediction; /* NULL: there is none, and it scores as empty */
    char *truth;
} evaluate_pair;

typedef struct {
    evaluate_pair *pairs; /* sorted by id */
    size_t count, missing;
    string_list unpaired; /* ids of predictions without a truth */
} evaluate_list;

/* Two files make one pair; two folders pair by case. A folder holds the files itself, or (as data
 * sets do) a folder a case with a file X-seg or X_seg in it. */
ts_status evaluate_list_open(const char *prediction, const char *truth, evaluate_list *out,
                             ts_error *error);
void evaluate_list_free(evaluate_list *l);

/* Reads and scores one pair; grids of different shape are an error. */
ts_status evaluate_pair_score(const evaluate_pair *pair, convention c, label_map prediction_labels,
                              label_map truth_labels, pool *p, region_scores scores[REGIONS],
                              ts_error *error);

/* The nine figures of a region by name, for tables: dice, hd95, sensitivity, specificity, and those
 * of the lesion convention alone from EVALUATE_LESION_FIGURES on. */
enum { EVALUATE_LESION_FIGURES = 4, EVALUATE_FIGURES = 9 };
extern const char *const evaluate_figure_names[EVALUATE_FIGURES];
double evaluate_figure(const region_scores *s, int figure);

/* Mean and median of a figure over cases; all[case][region]. */
void evaluate_summary(const region_scores *all, size_t cases, region r, int figure, double *mean,
                      double *median);

#endif
