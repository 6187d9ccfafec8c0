/* likeness: what the images of a training set look like, and whether others look like them. Notices
 * a modality under a wrong name (a T2 given as FLAIR), intensities unlike any seen in training, a
 * brain of another size, and slices thicker than those of the training.
 *
 * Every image is described by LIKENESS_SINGLE numbers and every pair of one case by LIKENESS_PAIR,
 * all of z-scored intensities within the brain. A training set is the mean of each modality and
 * pair and one covariance of all; an image is judged by log-likelihood under these Gaussians. */
#ifndef TWINSEG_LIKENESS_H
#define TWINSEG_LIKENESS_H

#include "dataset/dataset.h"

enum { LIKENESS_SINGLE = 19, LIKENESS_PAIR = 5, LIKENESS_CASES_MIN = 8 };

typedef struct {
    modality_set present;
    double single[MODALITIES][LIKENESS_SINGLE];
    double pair[MODALITIES][MODALITIES][LIKENESS_PAIR]; /* [a][b], a != b, both present */
    double zoom_mm;                                     /* the file's largest voxel edge */
    double brain_ml;
} likeness_features;

typedef struct {
    int64_t cases;      /* 0: there is no reference */
    modality_set known; /* present in every case */
    double mean[MODALITIES][LIKENESS_SINGLE], precision[LIKENESS_SINGLE][LIKENESS_SINGLE];
    double pair_mean[MODALITIES][MODALITIES][LIKENESS_PAIR];
    double pair_precision[LIKENESS_PAIR][LIKENESS_PAIR];
    double usual_distance; /* the largest squared Mahalanobis distance of a training image from the
                            * others of its modality */
    double zoom_mm;        /* the largest voxel edge */
    double brain_ml[2];    /* least and most */
} likeness;

ts_status likeness_measure(const preprocessed *c, double spacing_mm, likeness_features *out,
                           ts_error *error);

/* From the cases of a training set, of which at least LIKENESS_CASES_MIN are needed: of fewer,
 * out->cases is 0. Modalities that some case lacks are left out. */
ts_status likeness_fit(const likeness_features *cases, size_t count, likeness *out,
                       ts_error *error);

/* likeness_measure of the training cases (at most 64 of them, evenly spread) and likeness_fit; of
 * those with all modalities alone, where they are at least LIKENESS_CASES_MIN. */
ts_status likeness_of_cases(const preprocessed *cases, size_t count, double spacing_mm, pool *p,
                            likeness *out, ts_error *error);

typedef struct {
    int looks_like[MODALITIES]; /* of each image given: the modality that it seems to be */
    bool misnamed;              /* some image seems to be of another modality than its name says */
    bool strange[MODALITIES];   /* unlike all of the modality that it seems to be */
    bool coarse, small, large;  /* slices; brain */
} likeness_verdict;

/* The images' names are exchanged, also with modalities that are not given, for those that make all
 * of them together likeliest; where these beat the given names by a factor of e^2, the images are
 * misnamed. */
void likeness_judge(const likeness *l, const likeness_features *f, likeness_verdict *v);

/* The verdict as sentences, each of which begins with the case; no sentence where all is well. */
ts_status likeness_sentences(const likeness *l, const likeness_features *f,
                             const likeness_verdict *v, const char *id, string_list *out,
                             ts_error *error);

/* ---- how many mistakes are noticed ------------------------------------------------------- */

/* Of one set of modalities given, over all cases: how many are taken for misnamed though they are
 * not; and of all ways to exchange two of their names, or to give an image as a modality that it is
 * not in place of one that is missing, how many are noticed. */
typedef struct {
    modality_set given;
    int64_t cases, alarms, slips, noticed;
} likeness_rate;

/* alone[a][b]: an image of modality a, given alone, as b: in how many cases it is noticed (a = b:
 * is taken for another though it is right); swapped[a][b]: a and b are given under each other's
 * name. */
typedef struct {
    likeness_rate subsets[ALL_MODALITIES]; /* the subset s at s - 1 */
    int64_t cases, alone[MODALITIES][MODALITIES], swapped[MODALITIES][MODALITIES];
    int64_t images, strange; /* images under their own name, of them those unlike their modality */
} likeness_rates;

/* Every case is judged by a reference fitted to the others. All must have all four modalities. */
ts_status likeness_rate_slips(const likeness_features *cases, size_t count, likeness_rates *out,
                              ts_error *error);

/* JSON for a model's metadata; free(). NULL when memory is out. */
char *likeness_print(const likeness *l);
ts_status likeness_parse(const char *json, const char *name, likeness *out, ts_error *error);

#endif
