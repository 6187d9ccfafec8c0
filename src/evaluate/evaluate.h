/* evaluate: two label volumes in, the challenge's scores out. Rules: docs/metrics.md. */
#ifndef TWINSEG_EVALUATE_H
#define TWINSEG_EVALUATE_H

#include "labels/labels.h"
#include "plan/plan.h"

/* BraTS 2017-2021; 2023, lesion by lesion; since 2025, instance by instance. */
typedef enum { CONVENTION_LEGACY, CONVENTION_LESION, CONVENTION_PANOPTIC } convention;

typedef struct {
    double dice, hd95, sensitivity, specificity;
    double lesion_dice, lesion_hd95; /* lesion convention only, else 0 */
    int64_t tp, fp, fn; /* kept lesions matched, unmatched predictions, missed lesions */
} region_scores;

/* Scores of one case. prediction, truth: [nz][ny][nx], values 0 background, 1 NCR, 2 ED, 3 ET (4
 * counts as ET). shape x, y, z; spacing_mm of the prediction. p may be NULL. */
ts_status evaluate_case(const uint8_t *prediction, const uint8_t *truth, const int64_t shape[3],
                        const double spacing_mm[3], convention c, pool *p,
                        region_scores scores[REGIONS], ts_error *error);

/* The panoptic convention scores all regions, RC only where the labels are those of BraTS 2024. NaN
 * is undefined (nothing to find, nothing found); HD95 is infinite where nothing is in common. */
typedef struct {
    double dice, nsd, hd95;   /* of the whole region; HD95 in voxels */
    double rq, pq;            /* recognition quality (F1), and that times instance_dice */
    double precision, recall; /* of instances */
    double instance_dice, instance_nsd, instance_hd95; /* means over matched pairs; mm */
    double instance_dice_std, instance_nsd_std, instance_hd95_std;
    int64_t tp, fp, fn; /* matched pairs, unmatched predictions, unmatched truths */
} panoptic_scores;

/* As evaluate_case, but 4 is RC. */
ts_status evaluate_case_panoptic(const uint8_t *prediction, const uint8_t *truth,
                                 const int64_t shape[3], const double spacing_mm[3], pool *p,
                                 panoptic_scores scores[REGIONS_ALL], ts_error *error);

/* ---- files and folders ---------------------------------------------------------------------- */

/* A case is a file's name without its extension and "-seg" or "_seg". */
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

/* Two files make one pair; two folders pair by case, files with and without "_seg" alike. A folder
 * may hold label files, and (as data sets do) a folder for each case with X-seg or X_seg in it.
 * Images beside a marked file (X_flair beside X_seg) are left out. Two files of one case are an
 * error that names both, unless their bytes are equal. Free with evaluate_list_free. */
ts_status evaluate_list_open(const char *prediction, const char *truth, evaluate_list *out,
                             ts_error *error);
void evaluate_list_free(evaluate_list *l);

/* Reads and scores one pair by one of the first two conventions. Grids of different shape are an
 * error; voxel sizes and directions of axes that differ are warned of. */
ts_status evaluate_pair_score(const evaluate_pair *pair, convention c, label_map prediction_labels,
                              label_map truth_labels, pool *p, region_scores scores[REGIONS],
                              ts_error *error);

/* The figures of region_scores by name: dice, hd95, sensitivity, specificity, and those of the
 * lesion convention alone from EVALUATE_LESION_FIGURES on. */
enum { EVALUATE_LESION_FIGURES = 4, EVALUATE_FIGURES = 9 };
extern const char *const evaluate_figure_names[EVALUATE_FIGURES];
double evaluate_figure(const region_scores *s, int figure);

/* What a convention computes for a case, for tables: the same figures for every region. */
enum { EVALUATE_FIGURES_MAX = 16 };
typedef struct {
    const char *name;
    int regions, figures, counts; /* the last `counts` figures are whole numbers */
    const char *const *region_names, *const *figure_names;
    int shown[8], shown_count; /* the figures that a terminal has room for */
    int bounded;               /* the figure that, infinite, enters means as bound_mm; or -1 */
    double bound_mm;
} evaluate_columns;
/* cavity: with RC, in the panoptic convention. */
evaluate_columns evaluate_columns_of(convention c, bool cavity);

/* The convention of that name; false where there is none. */
bool evaluate_convention(const char *name, convention *out);

/* Reads and scores one pair: figures[region][figure] of evaluate_columns_of. */
ts_status evaluate_pair_figures(const evaluate_pair *pair, convention c,
                                label_map prediction_labels, label_map truth_labels, pool *p,
                                double *figures, ts_error *error);

/* ---- tables of scores ----------------------------------------------------------------------- */

/* The scores of a list of cases, and the settings that they were computed with. */
typedef struct {
    convention convention;
    evaluate_columns columns;
    label_map labels[2]; /* of predictions and truths */
    char label_names[2][16];
    const evaluate_list *list;
    double *values; /* [case][region][figure], the caller's */
} evaluate_results;

double evaluate_value(const evaluate_results *r, size_t i, int region, int figure);

/* Mean and median of a figure over the cases where it is not NaN; NaN where that is none. */
void evaluate_summary(const evaluate_results *r, int region, int figure, double *mean,
                      double *median);

/* A row for each case and region: case, region, the figures with 10 digits; "nan" and "inf". */
ts_status evaluate_write_csv(const evaluate_results *r, const char *path, ts_error *error);

/* An object with a key for each case (regions, in them figures) and "summary": convention, its
 * parameters, labels, number of cases, means and medians. NaN is null, infinity "inf". *out:
 * json_decref. A case that cannot be a key is an error. */
ts_status evaluate_json(const evaluate_results *r, json_t **out, ts_error *error);

#endif
