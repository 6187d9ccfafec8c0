/* The progress line, and the events of `train --json` (docs/usage.md lists their keys). */
#include "train/live.h"

#include <jansson.h>
#include <math.h>

static void send(live *l, json_t *event)
{
    if (l->events && event) {
        json_dumpf(event, l->events, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputc('\n', l->events);
        fflush(l->events);
    }
    json_decref(event);
}

/* A key without a value is left out: JSON has no NaN. */
static void set_real(json_t *event, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(event, key, json_real(value));
}

void live_begin(live *l, const plan *p, const run_split *split, int threads)
{
    char names[24];
    l->dice[STUDENT] = l->dice[TEACHER] = NAN;
    send(l, json_pack("{s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:s}", "event", "begin", "version",
                      ts_version(), "step", (json_int_t)l->first, "last", (json_int_t)l->last,
                      "steps", (json_int_t)l->steps, "threads", threads, "train",
                      (int)split->train_count, "held_out", (int)split->held_out_count, "student",
                      modality_print(plan_student_channels(p), names)));
}

/* "3.2 h", "14 min", "50 s". */
static void print_duration(double seconds, char buffer[32])
{
    if (seconds >= 5400)
        snprintf(buffer, 32, "%.1f h", seconds / 3600);
    else if (seconds >= 90)
        snprintf(buffer, 32, "%.0f min", seconds / 60);
    else
        snprintf(buffer, 32, "%.0f s", seconds);
}

static void show_line(const live *l, const metrics_row *row, double left_seconds, double mebibytes)
{
    const struct {
        const char *name;
        double value;
    } figures[] = {{"student", row->loss_student}, {"teacher", row->loss_teacher},
                   {"barlow", row->loss_barlow},   {"soft", row->loss_soft},
                   {"Dice", l->dice[STUDENT]},     {"teacher's", l->dice[TEACHER]}};
    char left[32];
    text t = {0};
    print_duration(left_seconds, left);
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!isnan(figures[i].value))
            text_append(&t, "  %s %.3g", figures[i].name, figures[i].value);
    progress_show("step %lld/%lld%s  %.2f s/step (waited %.2f)  %s left  %.0f MiB",
                  (long long)row->step, (long long)l->steps, t.data ? t.data : "", l->mean_seconds,
                  row->waited, left, mebibytes);
    text_free(&t);
}

static void send_step(live *l, const metrics_row *row, double left_seconds, double mebibytes)
{
    static const char *const regions[] = {"wt", "tc", "et"};
    json_t *event = json_pack("{s:s, s:I, s:I}", "event", "step", "step", (json_int_t)row->step,
                              "steps", (json_int_t)l->steps);
    set_real(event, "lr", row->learning_rate);
    set_real(event, "loss_student", row->loss_student);
    set_real(event, "loss_teacher", row->loss_teacher);
    set_real(event, "loss_barlow", row->loss_barlow);
    set_real(event, "loss_soft", row->loss_soft);
    set_real(event, "grad_student", row->norm_student);
    set_real(event, "grad_teacher", row->norm_teacher);
    set_real(event, "seconds", row->seconds);
    set_real(event, "waited", row->waited);
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, "dice_student_%s", regions[i]);
        set_real(event, key, row->dice_student[i]);
        snprintf(key, sizeof key, "dice_teacher_%s", regions[i]);
        set_real(event, key, row->dice_teacher[i]);
    }
    set_real(event, "left_seconds", left_seconds);
    set_real(event, "memory_mib", mebibytes);
    send(l, event);
}

static double mean_of(const double dice[3])
{
    return (dice[0] + dice[1] + dice[2]) / 3;
}

void live_step(live *l, const metrics_row *row)
{
    const double left_seconds = l->mean_seconds * (double)(l->last - row->step);
    const double mebibytes = (double)memory_peak_bytes() / 1048576;
    if (!isnan(row->dice_student[0]))
        l->dice[STUDENT] = mean_of(row->dice_student);
    if (!isnan(row->dice_teacher[0]))
        l->dice[TEACHER] = mean_of(row->dice_teacher);
    show_line(l, row, left_seconds, mebibytes);
    if (l->events)
        send_step(l, row, left_seconds, mebibytes);
}

void live_end(live *l, const char *how, int64_t step, const char *why)
{
    send(l, json_pack("{s:s, s:s, s:I, s:s*}", "event", "end", "status", how, "step",
                      (json_int_t)step, "message", why));
}
