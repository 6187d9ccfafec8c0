/* predict: preprocessed case in, class probabilities out, by windows; then labels on the file's
 * grid. */
#ifndef TWINSEG_PREDICT_H
#define TWINSEG_PREDICT_H

#include "dataset/dataset.h"
#include "labels/labels.h"
#include "model/model.h"

typedef struct predictor predictor;

/* The keys of plan.h that may be set for a prediction, the last NULL; the rest belongs to the
 * model. */
extern const char *const predict_settings[];

/* The settings of a prediction where none is given: the model's plan, but threads of this machine,
 * not of the one that trained, labels by their values, not as in its training data, and rules by
 * the model (RULE_OF_MODEL) unless its plan sets them. */
plan predict_defaults(const model *m);

/* One or several models (their probabilities are averaged; they must need the same modalities,
 * spacing, patch and classes). Of settings count prediction, window_step, mirror, threads, dtype,
 * and for predict_case labels and the rules; RULE_OF_MODEL there is the first model's. The models
 * may be freed after. */
ts_status predictor_create(const model *models, size_t count, const plan *settings, predictor **out,
                           ts_error *error);
void predictor_destroy(predictor *p);
modality_set predictor_channels(const predictor *p);
/* Do the models take whatever of these modalities a case has? */
bool predictor_any_subset(const predictor *p);

/* progress: a progress line while windows are computed. verbose: a note per case on windows and
 * memory. Both are off at first. */
void predictor_show(predictor *p, bool progress, bool verbose);

/* Bytes that a case of files of that geometry takes at most: what the predictor holds (weights as
 * they are and packed, workspace, one window), the preprocessed case, and the greater of what
 * reading and predicting hold. */
size_t predictor_bytes(const predictor *p, const preprocessed_geometry *g);

/* How many windows a case of x, y, z at the model's spacing has, the skipped ones included. */
int64_t predictor_windows(const predictor *p, const int64_t shape[3]);

/* probabilities: [4][z][y][x] for the preprocessed grid, caller's memory; they sum to 1. With
 * prediction=whole the case is one window, padded with zeros to extents that the networks take:
 * each voxel is computed once, with norms over the whole brain; where memory does not allow that, a
 * warning says so and windows are taken. Windows
 * without any voxel of the brain are skipped: background is 1 where no other window reaches.
 * TS_STOPPED after an interrupt. */
ts_status predict_probabilities(predictor *p, const preprocessed *c, float *probabilities,
                                ts_error *error);

/* Components (26-connected, of the whole tumour) below component_voxels are removed; then, where
 * fewer than et_threshold_voxels of ET are left in all, they become NCR. 0: off.
 * labels [z][y][x]; shape x, y, z. */
ts_status predict_postprocess(uint8_t *labels, const int64_t shape[3], int64_t et_threshold_voxels,
                              int64_t component_voxels, ts_error *error);

/* Components (26-connected, of the whole tumour: where a label is likelier than background) whose
 * mean probability of tumour is below that share of the surest component's become background, of
 * probability 1. Only a component of at least a tenth of the largest one's size is taken for the
 * surest. probabilities [4][z][y][x]; shape x, y, z. */
ts_status predict_drop_unsure(float *probabilities, const int64_t shape[3], double share,
                              ts_error *error);

/* Makes probabilities [4][voxels] agree with labels (0 to 3) that rules have changed since: where no
 * ET is left, what was likely ET is likely NCR; where the greatest is still another class than the
 * label, the label has probability 1. For whoever resamples the probabilities afterwards. */
void predict_follow_labels(float *probabilities, const uint8_t *labels, size_t voxels);

/* A rule in mm3 as voxels of that size: the least count that the rule does not touch. */
int64_t predict_threshold_voxels(double rule_mm3, double voxel_mm3);

/* How sure the probabilities are, after mirroring and averaging. */
typedef struct {
    double entropy; /* mean over the predicted tumour, of at most 1 (all labels equally likely) */
    double dice[REGIONS]; /* expected, were the probabilities true */
} predict_confidence;

/* probabilities [4][voxels] as above. Of a region with p the probabilities of its voxels the
 * expected Dice is 2 sum(p within the prediction) / (predicted voxels + sum(p)); where nothing is
 * predicted, 1 - max(p), the chance that nothing is there. */
void predict_measure_confidence(const float *probabilities, size_t voxels, predict_confidence *out);

/* The files of one case; NULL: not wanted. */
typedef struct {
    const char *labels;
    const char *probabilities; /* 4 volumes: background, NCR, ED, ET */
    const char *uncertainty;   /* entropy of these, 0 to 1 */
} predict_outputs;

/* What predict reports of a case; release with predict_outcome_free. */
typedef struct {
    modality_set used;
    predict_confidence confidence;
    string_list warnings; /* where the images do not look like those of the training */
} predict_outcome;

void predict_outcome_free(predict_outcome *r);

/* A whole case: files in, files out (by rename), the label file last. Modalities that the model
 * does not use are left unread. The outcome's warnings have been printed by warn(). */
ts_status predict_case(predictor *p, const dataset_case *c, const predict_outputs *out,
                       predict_outcome *outcome, ts_error *error);

/* The same from memory: images [z][y][x] on one grid, NULL where there is none, to labels on it
 * and, where probabilities is not NULL, [4][z][y][x] of them. Nothing is printed: warnings are in
 * the outcome. */
ts_status predict_images(predictor *p, const volume_header *grid,
                         const float *const images[MODALITIES], uint8_t *labels,
                         float *probabilities, predict_outcome *outcome, ts_error *error);

typedef struct {
    size_t written, kept, failed;
} predict_counts;

/* For models that find the brain in one image of any contrast (model_any_image), which the functions
 * above refuse: the probability of brain on the image's grid, [z][y][x]; name is for messages. */
ts_status predict_one_image(predictor *p, const volume_header *grid, const float *image,
                            const char *name, float *probability, ts_error *error);

/* Every case of a data set into OUT/<id>.nii.gz (the folder is made). What is there already and
 * reads back whole is kept, so that a second run goes on where the first stopped; OUT/predict.json
 * records models and settings, of which others than recorded are an error, the data sets' whole
 * paths and their cases. A label file in OUT that it does not name is an error, as is an OUT that
 * the data set's own files lie in. OUT/confidence.csv has a row a case: its outcome. A case that
 * fails is warned of and counted, and the others go on; but a model that computes infinities ends
 * the work. TS_STOPPED after an interrupt. */
ts_status predict_folder(predictor *p, const dataset *d, const char *out, predict_counts *counts,
                         ts_error *error);

/* What the label files in a folder (or a file's) mean, as the folder states: by its predict.json
 * or, where it has none, a dataset.json (dataset_take_labels, which says what becomes of *map). Of a
 * truth the folder above may hold the dataset.json too, of predictions where the folder is called
 * labels*. */
ts_status predict_take_labels(const char *path, bool truth, label_map *map, ts_error *error);

/* The component_confidence that the results in a folder were made under, by its predict.json; 0
 * where there is none. */
ts_status predict_recorded_confidence(const char *folder, double *out, ts_error *error);

#endif
