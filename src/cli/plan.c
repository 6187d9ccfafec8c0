/* twinseg plan: what a run will take, before it is begun. */
#include "cli/cli.h"
#include "train/train.h"

extern const cli_command plan_command;

static const cli_option options[] = {
    {"student", 0, "NAMES", "modalities that the student sees: t1, t1ce, t2, flair, joined by ','"},
    {"preset", 0, "NAME", "size and schedule: tiny (default), small, nnunet, demo"},
    {"config", 0, "FILE.ini", "settings from a file; they override the preset's"},
    {"method", 0, "NAME", "training method (see settings); default: single-stage"},
    {"steps", 0, "N", "length of the schedule"},
    {"threads", 0, "N", "threads (default: all processors)"},
    {"no-timing", 0, NULL, "do not measure how long a step takes"},
    {0},
};

enum { MEASURED_STEPS = 3 };

/* Upper bound of the cache: every usable case at the plan's spacing, as if nothing were cropped. */
static ts_status cache_bytes(const plan *p, const dataset *d, size_t *bytes, size_t *usable,
                             ts_error *error)
{
    *bytes = *usable = 0;
    for (size_t i = 0; i < d->count; i++) {
        const dataset_case *c = &d->cases[i];
        volume_header h;
        if (!c->truth || plan_case_use(p, dataset_case_modalities(c)) == TRAINS_NOTHING)
            continue;
        const ts_status status = volume_read_header(c->truth, &h, error);
        if (status != TS_OK)
            return status;
        double voxels = 1;
        for (int axis = 0; axis < 3; axis++)
            voxels *= (double)h.shape[axis] * h.zooms[axis] / p->spacing_mm;
        *bytes += (size_t)(voxels * (MODALITIES * sizeof(float) + 1));
        ++*usable;
    }
    return TS_OK;
}

static void print_stages(const plan *p)
{
    printf("stages      ");
    for (int64_t s = 0; s < p->stages; s++) {
        const int64_t width = p->base << s;
        printf("%s%lld", s ? " - " : "", (long long)(width < p->cap ? width : p->cap));
    }
    printf(" channels\n            ");
    for (int64_t s = 0; s < p->stages; s++)
        printf("%s%lldx%lldx%lld", s ? " - " : "", (long long)(p->patch[2] >> s),
               (long long)(p->patch[1] >> s), (long long)(p->patch[0] >> s));
    printf(" voxels\n");
}

static void print_memory(const train_memory *m, size_t cache)
{
    const struct {
        const char *name;
        size_t bytes;
    } parts[] = {
        {"weights", m->weights},   {"packed weights", m->packed}, {"gradients", m->gradients},
        {"momentum", m->momentum}, {"workspace", m->workspace},   {"features", m->features},
        {"loss", m->loss},         {"batches", m->batches},       {"in all", train_memory_total(m)},
        {"cache on disk", cache},
    };
    char bytes[COUNT_OF(parts)][32], mib[COUNT_OF(parts)][32];
    const char *cells[3 * (COUNT_OF(parts) + 1)] = {"memory", "bytes", "MiB"};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        snprintf(bytes[i], sizeof bytes[i], "%zu", parts[i].bytes);
        snprintf(mib[i], sizeof mib[i], "%.1f", (double)parts[i].bytes / 1048576);
        cells[3 * i + 3] = parts[i].name;
        cells[3 * i + 4] = bytes[i];
        cells[3 * i + 5] = mib[i];
    }
    printf("\n");
    table_print(stdout, cells, COUNT_OF(parts) + 1, 3);
    printf("'cache on disk' is an upper bound for the preprocessed cases (they are cropped). It is "
           "mapped\ninto memory, which holds as much of it as there is room for.\n");
}

static int print_times(const plan *p)
{
    ts_error e;
    double seconds;
    note("measuring %d steps on synthetic patches", MEASURED_STEPS);
    if (train_measure(p, MEASURED_STEPS, &seconds, &e) != TS_OK)
        return cli_fail(&e);
    const double total = seconds * (double)train_steps(p);
    printf("\ntime        %.3f s a step (median of %d on synthetic patches, on this machine),\n"
           "            %.1f min an epoch of %lld steps, %.1f h for all %lld steps\n",
           seconds, MEASURED_STEPS, seconds * (double)p->epoch_steps / 60,
           (long long)p->epoch_steps, total / 3600, (long long)train_steps(p));
    return 0;
}

static int run(const cli_arguments *a)
{
    plan p;
    ts_error e;
    dataset d;
    train_memory m;
    size_t cache, usable;
    char names[24];
    const int bad = cli_plan(a, &p);
    if (bad)
        return bad;
    if (dataset_open_all(a->positional, (size_t)a->positional_count, (label_map)p.labels, &d, &e) !=
        TS_OK)
        return cli_fail(&e);
    ts_status status = cache_bytes(&p, &d, &cache, &usable, &e);
    if (status == TS_OK)
        status = train_plan_memory(&p, &m, &e);
    if (status == TS_OK) {
        printf("data        %s, %zu cases, %zu usable for %s\n", dataset_layout(&d), d.count,
               usable, modality_print(plan_student_channels(&p), names));
        printf("patch       %lldx%lldx%lld voxels of %g mm, %lld a batch\n", (long long)p.patch[2],
               (long long)p.patch[1], (long long)p.patch[0], p.spacing_mm, (long long)p.batch);
        print_stages(&p);
        printf("parameters  student %lld, teacher %lld\n", (long long)m.student_parameters,
               (long long)m.teacher_parameters);
        print_memory(&m, cache);
    }
    dataset_close(&d);
    if (status != TS_OK)
        return cli_fail(&e);
    const size_t needed = train_memory_total(&m), there = memory_available_bytes();
    if (needed > there) {
        error_set(&e, TS_MEMORY,
                  "the run needs %.1f MiB of memory and this machine has %.1f free: take a smaller "
                  "preset, patch or batch, or dtype=bf16",
                  (double)needed / 1048576, (double)there / 1048576);
        return cli_fail(&e);
    }
    return cli_flag(a, "no-timing") ? 0 : print_times(&p);
}

const cli_command plan_command = {
    .name = "plan",
    .summary = "what a run will need: patch, stages, parameters, memory, time",
    .usage = "DATA [DATA2 ...] --student flair,t1ce [OPTIONS] [key=value ...]",
    .options = options,
    .positional_min = 1,
    .positional_max = CLI_FOLDERS_MAX,
    .settings = true,
    .run = run,
};
