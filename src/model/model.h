/* model: one safetensors file that carries weights and all that predict needs: plan, modalities
 * by name, normalisation, label map, version, provenance (metadata `twinseg.*`, JSON strings). */
#ifndef TWINSEG_MODEL_H
#define TWINSEG_MODEL_H

#include "plan/plan.h"
#include "net/net.h"

/* One tensor of a safetensors file; dtype "F32", "BF16", "I64", "U8". data points into the file's
 * map (reading) or to the caller's memory (writing). */
typedef struct {
    char name[64];
    char dtype[8];
    int dimensions;
    int64_t shape[8];
    const void *data;
    size_t bytes;
} safetensor;

typedef struct {
    safetensor *tensors;
    size_t count;
    char **keys, **values; /* __metadata__ */
    size_t metadata_count;
    file_map map;
} safetensors;

/* Reads and checks: header length, JSON, offsets within the file, no overlap, shape * dtype equal
 * to bytes; every lie is an error that names the file. */
ts_status safetensors_read(const char *path, safetensors *out, ts_error *error);
void safetensors_free(safetensors *s);
const char *safetensors_metadata(const safetensors *s, const char *key); /* NULL where absent */
const safetensor *safetensors_find(const safetensors *s, const char *name);
ts_status safetensors_write(const char *path, const safetensor *tensors, size_t count,
                            const char *const *keys, const char *const *values,
                            size_t metadata_count, ts_error *error);

typedef struct {
    plan plan;              /* as trained; plan.student says the channels */
    modality_set channels;  /* the network's inputs, in modality order */
    net_config config;
    char role[16];          /* "student" or "teacher" */
    float *weights;         /* flat, net_parameter order */
    int64_t weight_count;
    char *provenance;       /* JSON: version, cases, steps, date of data ...; may be NULL */
} model;

ts_status model_write(const char *path, const model *m, ts_error *error);
/* A model of a newer format version is an error that says so. */
ts_status model_read(const char *path, model *out, ts_error *error);
void model_free(model *m);

#endif
