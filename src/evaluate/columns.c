/* The scores of a case as rows of figures, and their summary over cases. */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const evaluate_figure_names[EVALUATE_FIGURES] = {
    "dice", "hd95", "sensitivity", "specificity", "lesion_dice", "lesion_hd95", "tp", "fp", "fn"};

static const char *const panoptic_names[EVALUATE_FIGURES_MAX] = {"dice",
                                                                 "nsd",
                                                                 "hd95",
                                                                 "rq",
                                                                 "pq",
                                                                 "precision",
                                                                 "recall",
                                                                 "instance_dice",
                                                                 "instance_dice_std",
                                                                 "instance_nsd",
                                                                 "instance_nsd_std",
                                                                 "instance_hd95",
                                                                 "instance_hd95_std",
                                                                 "tp",
                                                                 "fp",
                                                                 "fn"};

static const evaluate_columns all_columns[] = {
    [CONVENTION_LEGACY] = {.name = "legacy",
                           .regions = REGIONS,
                           .figures = EVALUATE_LESION_FIGURES,
                           .region_names = region_names,
                           .figure_names = evaluate_figure_names,
                           .shown = {0, 1, 2, 3},
                           .shown_count = 4,
                           .bounded = -1},
    [CONVENTION_LESION] = {.name = "lesion",
                           .regions = REGIONS,
                           .figures = EVALUATE_FIGURES,
                           .counts = 3,
                           .region_names = region_names,
                           .figure_names = evaluate_figure_names,
                           .shown = {0, 1, 2, 3, 4, 5},
                           .shown_count = 6,
                           .bounded = -1},
    [CONVENTION_PANOPTIC] = {.name = "panoptic",
                             .regions = REGIONS_ALL,
                             .figures = EVALUATE_FIGURES_MAX,
                             .counts = 3,
                             .region_names = region_names,
                             .figure_names = panoptic_names,
                             .shown = {0, 1, 2, 7, 9, 11, 3, 4},
                             .shown_count = 8,
                             .bounded = 2,
                             .bound_mm = PANOPTIC_PENALTY_MM},
};

evaluate_columns evaluate_columns_of(convention c, bool cavity)
{
    evaluate_columns columns = all_columns[c];
    if (c == CONVENTION_PANOPTIC && !cavity)
        columns.regions = REGION_RC;
    return columns;
}

bool evaluate_convention(const char *name, convention *out)
{
    for (int c = CONVENTION_LEGACY; c <= CONVENTION_PANOPTIC; c++)
        if (!strcmp(name, all_columns[c].name)) {
            *out = (convention)c;
            return true;
        }
    return false;
}

double evaluate_figure(const region_scores *s, int figure)
{
    const double figures[EVALUATE_FIGURES] = {s->dice,        s->hd95,        s->sensitivity,
                                              s->specificity, s->lesion_dice, s->lesion_hd95,
                                              (double)s->tp,  (double)s->fp,  (double)s->fn};
    return figures[figure];
}

void list_panoptic(const panoptic_scores *s, double values[EVALUATE_FIGURES_MAX])
{
    const double all[EVALUATE_FIGURES_MAX] = {s->dice,
                                              s->nsd,
                                              s->hd95,
                                              s->rq,
                                              s->pq,
                                              s->precision,
                                              s->recall,
                                              s->instance_dice,
                                              s->instance_dice_std,
                                              s->instance_nsd,
                                              s->instance_nsd_std,
                                              s->instance_hd95,
                                              s->instance_hd95_std,
                                              (double)s->tp,
                                              (double)s->fp,
                                              (double)s->fn};
    memcpy(values, all, sizeof all);
}

double evaluate_value(const evaluate_results *r, size_t i, int g, int figure)
{
    const size_t regions = (size_t)r->columns.regions, figures = (size_t)r->columns.figures;
    return r->values[(i * regions + (size_t)g) * figures + (size_t)figure];
}

void evaluate_summary(const evaluate_results *r, int g, int figure, double *mean, double *median)
{
    double *values = malloc((r->list->count + 1) * sizeof *values), sum = 0;
    size_t count = 0;
    *mean = *median = NAN;
    for (size_t i = 0; values && i < r->list->count; i++) {
        double v = evaluate_value(r, i, g, figure);
        if (isinf(v) && figure == r->columns.bounded)
            v = r->columns.bound_mm;
        if (!isnan(v)) {
            values[count++] = v;
            sum += v;
        }
    }
    if (count) {
        *mean = sum / (double)count;
        *median = median_of_doubles(values, count);
    }
    free(values);
}
