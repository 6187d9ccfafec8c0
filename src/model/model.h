/* model: one safetensors file that carries weights and all that predict needs: plan, modalities
 * by name, normalisation, label map, version, provenance (metadata `twinseg.*`, JSON strings).
 * docs/model-file.md describes the format for readers in other languages. */
#ifndef TWINSEG_MODEL_H
#define TWINSEG_MODEL_H

#include "likeness/likeness.h"
#include "plan/plan.h"
#include "net/net.h"

/* ---- safetensors -------------------------------------------------------------------------- */

/* One tensor of a safetensors file; dtype "F32", "BF16", "I64", "U8", ... data points into the
 * file's map (reading; not aligned, copy with memcpy) or to the caller's memory (writing). */
typedef struct {
    char name[64];
    char dtype[8];
    int dimensions;
    int64_t shape[8];
    const void *data;
    size_t bytes;
} safetensor;

typedef struct {
    safetensor *tensors; /* in the order of their data */
    size_t count;
    char **keys, **values; /* __metadata__ */
    size_t metadata_count;
    file_map map;
} safetensors;

/* Reads and checks: header length, JSON, offsets within the file, no overlap and no hole, shape *
 * dtype equal to bytes. Each violation is an error that names the file. */
ts_status safetensors_read(const char *path, safetensors *out, ts_error *error);
/* The same from memory that must outlive *out. name is for messages. */
ts_status safetensors_parse(const uint8_t *bytes, size_t count, const char *name, safetensors *out,
                            ts_error *error);
void safetensors_free(safetensors *s);
const char *safetensors_metadata(const safetensors *s, const char *key); /* NULL where absent */
const safetensor *safetensors_find(const safetensors *s, const char *name);
/* By rename. Data lie in the given order, wider types first, so that each is aligned; the same
 * input gives the same bytes. */
ts_status safetensors_write(const char *path, const safetensor *tensors, size_t count,
                            const char *const *keys, const char *const *values,
                            size_t metadata_count, ts_error *error);

/* ---- models ------------------------------------------------------------------------------- */

/* The rules that 'twinseg tune' chose or found: in mm3, so that they hold on any grid, and the
 * share of the surest component's mean probability that another must have (predict_drop_unsure). */
typedef struct {
    int64_t cases; /* whose out-of-fold predictions they were chosen on; 0: none were */
    double et_mm3, component_mm3, component_confidence;
} model_rules;

#define MODEL_FORMAT 1 /* twinseg.format; a greater one is refused */

typedef struct {
    char *name;            /* the file that it was read from; NULL: of memory */
    plan plan;             /* as trained; plan.student says the channels */
    modality_set channels; /* the network's inputs, in modality order */
    net_config config;
    brain_mask brain; /* BRAIN_UNION: imported from nnU-Net */
    char role[16];    /* "student" or "teacher" */
    float *weights;   /* flat, net_layout's order */
    int64_t weight_count;
    likeness likeness; /* of the training cases; cases 0: not known */
    model_rules rules;
    char *provenance; /* JSON: version, cases, steps, date of data ...; may be NULL */
} model;

/* Where a model of that name is: the path itself, or NAME.safetensors in the models/ of the
 * source tree or of the installation that the running program belongs to. free(*path). The error
 * lists the names that are there. */
ts_status model_find(const char *name, char **path, ts_error *error);

/* For messages: the file's name, or "the model". */
const char *model_name(const model *m);

/* Does it take whatever modalities a patient has, zeros in place of the others? */
bool model_any_subset(const model *m);
/* Does it find the brain in one image of any contrast (method any-image)? */
bool model_any_image(const model *m);

/* 64-bit FNV-1a of weights as they are in memory, in hexadecimal: which model it was. */
void weights_fingerprint(const float *weights, int64_t count, char hex[20]);

ts_status model_write(const char *path, const model *m, ts_error *error);
/* One parameter as a model file holds it; data points into m->weights. */
safetensor model_tensor(const model *m, const net_parameter *p);

/* Everything that a model file says of its weights, as docs/model-file.md lists it. Values are
 * owned; free with model_metadata_free. */
enum { METADATA_MAX = 11 };
typedef struct {
    const char *keys[METADATA_MAX];
    char *values[METADATA_MAX];
    size_t count;
} model_metadata;
ts_status model_metadata_make(const model *m, model_metadata *out, ts_error *error);
void model_metadata_free(model_metadata *d);

/* A model of a newer format version is an error that says so. */
ts_status model_read(const char *path, model *out, ts_error *error);
/* The same from a file that is read already. name is for messages. */
ts_status model_decode(const safetensors *s, const char *name, model *out, ts_error *error);
/* The same from what model_find finds by that name. */
ts_status model_open(const char *name, model *out, ts_error *error);
void model_free(model *m);

/* "A,B,C", or one name that may itself hold a comma: each opened as model_open does. free with
 * models_free, also after an error. */
ts_status models_open(const char *names, model **out, size_t *count, ts_error *error);
void models_free(model *models, size_t count);

#endif
