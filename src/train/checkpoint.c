/* Checkpoints in and out. */
#include "train/checkpoint.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_FORMAT = 1 };

ts_status checkpoint_write(const char *path, const checkpoint_state *state,
                           const checkpoint_part *parts, size_t count, ts_error *error)
{
    char format[16], step[32], complete[32], best[2][32];
    safetensor *tensors = memory_allocate(count, sizeof *tensors, "a checkpoint's header", error);
    if (!tensors)
        return TS_MEMORY;
    for (size_t i = 0; i < count; i++) {
        safetensor *t = &tensors[i];
        snprintf(t->name, sizeof t->name, "%s", parts[i].name);
        strcpy(t->dtype, "F32");
        t->dimensions = 1;
        t->shape[0] = parts[i].count;
        t->data = parts[i].values;
        t->bytes = (size_t)parts[i].count * sizeof(float);
    }
    snprintf(format, sizeof format, "%d", CHECKPOINT_FORMAT);
    snprintf(step, sizeof step, "%" PRId64, state->step);
    snprintf(complete, sizeof complete, "%" PRId64, state->complete_steps);
    for (int i = 0; i < 2; i++)
        snprintf(best[i], sizeof best[i], "%.17g", state->best_dice[i]);
    const char *const keys[] = {"twinseg.checkpoint",   "twinseg.version",
                                "twinseg.step",         "twinseg.best_student",
                                "twinseg.best_teacher", "twinseg.student_from",
                                "twinseg.teacher_from", "twinseg.complete_steps"};
    const char *const values[] = {
        format,  ts_version(), step, best[0], best[1], state->begun_with[0], state->begun_with[1],
        complete};
    const ts_status status =
        safetensors_write(path, tensors, count, keys, values, COUNT_OF(keys), error);
    free(tensors);
    return status;
}

static ts_status read_state(const safetensors *s, const char *path, checkpoint_state *state,
                            ts_error *error)
{
    int64_t format;
    *state = (checkpoint_state){0};
    const char *number = safetensors_metadata(s, "twinseg.checkpoint");
    if (!number || !parse_integer(number, &format))
        return error_set(error, TS_BAD_INPUT, "'%s' is not a checkpoint of twinseg", path);
    if (format > CHECKPOINT_FORMAT)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' was written by a newer twinseg (checkpoint format %" PRId64
                         "; this one reads %d): update it",
                         path, format, CHECKPOINT_FORMAT);
    const char *step = safetensors_metadata(s, "twinseg.step");
    const char *student = safetensors_metadata(s, "twinseg.best_student");
    const char *teacher = safetensors_metadata(s, "twinseg.best_teacher");
    if (!step || !parse_integer(step, &state->step) || state->step < 0 || !student || !teacher ||
        !parse_double(student, &state->best_dice[0]) ||
        !parse_double(teacher, &state->best_dice[1]))
        return error_set(error, TS_BAD_INPUT, "'%s' does not say after which step it was written",
                         path);
    const char *complete = safetensors_metadata(s, "twinseg.complete_steps");
    state->complete_steps = -1;
    if (complete && (!parse_integer(complete, &state->complete_steps) || state->complete_steps < 0))
        return error_set(error, TS_BAD_INPUT, "'%s' does not say how often its teacher has learned",
                         path);
    for (int i = 0; i < 2; i++) { /* older checkpoints know of none */
        const char *from =
            safetensors_metadata(s, i ? "twinseg.teacher_from" : "twinseg.student_from");
        snprintf(state->begun_with[i], sizeof state->begun_with[i], "%s", from ? from : "");
    }
    return TS_OK;
}

ts_status checkpoint_read(const char *path, checkpoint_state *state, const checkpoint_part *parts,
                          size_t count, ts_error *error)
{
    safetensors s;
    ts_status status = safetensors_read(path, &s, error);
    if (status != TS_OK)
        return status;
    status = read_state(&s, path, state, error);
    if (status == TS_OK && s.count != count)
        status = error_set(error, TS_BAD_INPUT, "'%s' has %zu parts where this run has %zu", path,
                           s.count, count);
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        const safetensor *t = safetensors_find(&s, parts[i].name);
        if (!t || strcmp(t->dtype, "F32") || t->bytes != (size_t)parts[i].count * sizeof(float))
            status = error_set(error, TS_BAD_INPUT, "'%s': its '%s' is not that of this run", path,
                               parts[i].name);
        else
            memcpy(parts[i].values, t->data, t->bytes);
    }
    safetensors_free(&s);
    return status;
}
