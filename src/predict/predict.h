/* predict: prepared case in, class probabilities out, by windows; then labels on the file's grid. */
#ifndef TWINSEG_PREDICT_H
#define TWINSEG_PREDICT_H

#include "dataset/dataset.h"
#include "model/model.h"

typedef struct predictor predictor;

/* One or several models (their probabilities are averaged; they must want the same modalities,
 * spacing and classes). settings: window_step, mirror, threads, dtype of the plan. */
ts_status predictor_create(const model *models, size_t count, const plan *settings, predictor **out,
                           ts_error *error);
void predictor_destroy(predictor *p);
size_t predictor_bytes(const predictor *p, const int64_t shape[3]); /* peak for such a case */

/* probabilities: [4][z][y][x] for the prepared grid, caller's memory. */
ts_status predict_probabilities(predictor *p, const prepared *c, float *probabilities,
                                ts_error *error);

/* ET below et_threshold voxels becomes NCR; components (26-connected, of the whole tumour) below
 * component voxels are removed. 0: off. labels [z][y][x]. */
ts_status predict_postprocess(uint8_t *labels, const int64_t shape[3], int64_t et_threshold_voxels,
                              int64_t component_voxels, ts_error *error);

/* A whole case: files in, label file out (by rename), optional probability file. */
ts_status predict_case(predictor *p, const dataset_case *c, const char *out_path,
                       const char *probabilities_path, ts_error *error);

#endif
