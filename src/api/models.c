/* Models and prediction of twinseg.h. */
#include "api/api.h"
#include "predict/predict.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)TS_T1 == (int)T1 && (int)TS_T1CE == (int)T1CE && (int)TS_T2 == (int)T2 &&
                   (int)TS_FLAIR == (int)FLAIR && (int)TS_MODALITIES == (int)MODALITIES,
               "the public modalities are the rooms' own, number by number");

struct ts_model {
    predictor *predictor;
    pthread_mutex_t lock; /* held while it predicts */
    uint64_t number;      /* of all models that this process opened; never used again */
};

/* What the calling thread's last prediction remarked; room for all sentences on four modalities,
 * and cut after a whole one. Memory of the thread, so that nobody need free it. */
static _Thread_local struct {
    uint64_t model; /* its number; 0: none */
    char text[8192];
} remarks;
static atomic_uint_fast64_t models_opened;

static bool is_prediction_setting(const char *key)
{
    for (size_t i = 0; predict_settings[i]; i++)
        if (!strcmp(predict_settings[i], key))
            return true;
    return false;
}

static ts_status apply_settings(const char *const *settings, plan *p, ts_error *error)
{
    for (size_t i = 0; settings && settings[i]; i++) {
        char key[64];
        const char *equals = strchr(settings[i], '=');
        snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - settings[i]) : 0, settings[i]);
        if (!equals || !is_prediction_setting(key))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' is not a key=value setting of a prediction: 'twinseg predict "
                             "--help' lists them",
                             settings[i]);
        const ts_status status = plan_set(p, key, equals + 1, "settings", error);
        if (status != TS_OK)
            return status;
    }
    return plan_check(p, error);
}

ts_status ts_model_open(const char *names, const char *const *settings, ts_model **out,
                        ts_error *error)
{
    model *models;
    size_t count;
    ts_model *m = NULL;
    *out = NULL;
    ts_status status = models_open(names, &models, &count, error);
    if (status != TS_OK)
        goto done;
    plan p = predict_defaults(&models[0]);
    status = apply_settings(settings, &p, error);
    if (status != TS_OK)
        goto done;
    m = memory_allocate(1, sizeof *m, "a model", error);
    status = m ? predictor_create(models, count, &p, &m->predictor, error) : TS_MEMORY;
    if (status != TS_OK)
        goto done;
    pthread_mutex_init(&m->lock, NULL);
    m->number = atomic_fetch_add(&models_opened, 1) + 1;
    *out = m;
    m = NULL;
done:
    models_free(models, count);
    free(m);
    return status;
}

void ts_model_close(ts_model *m)
{
    if (!m)
        return;
    predictor_destroy(m->predictor);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

unsigned ts_model_modalities(const ts_model *m)
{
    return predictor_channels(m->predictor);
}

int ts_model_any_subset(const ts_model *m)
{
    return predictor_any_subset(m->predictor);
}

const char *ts_model_warnings(const ts_model *m)
{
    return remarks.model == m->number ? remarks.text : "";
}

static void keep_remarks(const ts_model *m, const string_list *sentences)
{
    size_t length = 0;
    remarks.model = m->number;
    remarks.text[0] = '\0';
    for (size_t i = 0; i < sentences->count; i++) {
        const size_t room = sizeof remarks.text - length;
        const int wanted =
            snprintf(remarks.text + length, room, "%s%s", i ? "\n" : "", sentences->items[i]);
        if (wanted < 0 || (size_t)wanted >= room) {
            remarks.text[length] = '\0';
            return;
        }
        length += (size_t)wanted;
    }
}

ts_status ts_predict(ts_model *m, const ts_grid *grid, const float *const images[TS_MODALITIES],
                     uint8_t *labels, float *probabilities, ts_error *error)
{
    volume_header header;
    size_t voxels;
    predict_outcome outcome = {0};
    keep_remarks(m, &outcome.warnings);
    ts_status status = api_header(grid, &header, &voxels, error);
    if (status != TS_OK)
        return status;
    pthread_mutex_lock(&m->lock);
    status = predict_images(m->predictor, &header, images, labels, probabilities, &outcome, error);
    pthread_mutex_unlock(&m->lock);
    keep_remarks(m, &outcome.warnings);
    predict_outcome_free(&outcome);
    return status;
}
