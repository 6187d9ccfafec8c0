/* twinseg train: a run, begun or taken up again. */
#include "cli/cli.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

extern const cli_command train_command;

static const cli_option options[] = {
    {"student", 0, "NAMES", "modalities that the student sees: t1, t1ce, t2, flair, joined by ','"},
    {"out", 'o', "RUN", "folder of the run, made here"},
    {"preset", 0, "NAME", "size and schedule: tiny (default), small, nnunet, demo"},
    {"config", 0, "FILE.ini", "settings from a file; they override the preset's"},
    {"method", 0, "NAME", "training method (see settings); default: single-stage"},
    {"from", 0, "MODEL", "the student begins with this model's weights"},
    {"teacher", 0, "MODEL",
     "the teacher begins with this model's weights; two-stage: none is trained first"},
    {"fold", 0, "I/K", "hold out fold I (from 0) of K and validate on it"},
    {"resume", 0, NULL, "continue the run in RUN; its settings need not be repeated"},
    {"steps", 0, "N", "length of the schedule"},
    {"stop-after", 0, "N", "stop after N steps of this call; --resume continues"},
    {"seed", 0, "S", "seed of weights, split and patches (default 1)"},
    {"threads", 0, "N", "threads (default: all processors); the result does not depend on it"},
    {"cache", 0, "DIR", "folder of preprocessed cases, which runs can share (default: RUN/cache)"},
    {"json", 0, NULL, "events on standard output, a JSON object per line (docs/usage.md)"},
    {0},
};

/* "I/K" with 0 <= I < K and K >= 2. */
static bool parse_fold(const char *value, int *fold, int *folds)
{
    char first[16];
    int64_t i, k;
    const size_t length = strcspn(value, "/");
    if (value[length] != '/' || length >= sizeof first)
        return false;
    memcpy(first, value, length);
    first[length] = '\0';
    if (!parse_integer(first, &i) || !parse_integer(value + length + 1, &k) || k < 2 || k > 1000 ||
        i < 0 || i >= k)
        return false;
    *fold = (int)i;
    *folds = (int)k;
    return true;
}

/* A resumed run starts from its own settings; what the command line says is laid over them, and
 * train_run refuses what differs. */
static int read_settings(const cli_arguments *a, train_options *o, plan *p)
{
    ts_error e;
    char *config = o->resume ? path_join(o->out, "config.ini", NULL) : NULL;
    const bool begun = config && file_exists(config);
    free(config);
    if (!begun)
        return cli_plan(a, p);
    if (train_read_config(o->out, p, &e) != TS_OK ||
        (!o->folds && train_read_fold(o->out, &o->fold, &o->folds, &e) != TS_OK))
        return cli_fail(&e);
    return cli_plan_over(a, p);
}

static int train(const cli_arguments *a)
{
    plan p;
    ts_error e;
    train_options o = {
        .data = a->positional,
        .data_count = (size_t)a->positional_count,
        .out = cli_value(a, "out"),
        .student = cli_value(a, "from"),
        .teacher = cli_value(a, "teacher"),
        .cache = cli_value(a, "cache"),
        .resume = cli_flag(a, "resume"),
        .events = cli_flag(a, "json") ? stdout : NULL,
    };
    const char *fold = cli_value(a, "fold");
    if (!o.out)
        return cli_usage_error(a->command, "--out RUN is missing: the folder for the run");
    if (fold && !parse_fold(fold, &o.fold, &o.folds))
        return cli_usage_error(a->command, "--fold takes I/K with I from 0 to K-1, not '%s'", fold);
    if (!cli_integer(a, "stop-after", 1, 100000000, &o.stop_after))
        return 2;
    const int status = read_settings(a, &o, &p);
    if (status)
        return status;
    interrupt_install();
    if (train_run(&p, &o, &e) != TS_OK)
        return cli_fail(&e);
    return 0;
}

static int run(const cli_arguments *a)
{
    ranks_begin();
    const int status = train(a);
    ranks_end(status);
    return status;
}

const cli_command train_command = {
    .name = "train",
    .summary = "train a student together with a teacher in one stage (or either alone)",
    .usage = "DATA [DATA2 ...] --student flair,t1ce --out RUN [OPTIONS] [key=value ...]\n"
             "DATA [DATA2 ...] --out RUN --resume",
    .details =
        "Several folders are one data set, in which a case id may stand once. Cases that lack\n"
        "modalities train the student on what they have; the teacher needs all four.\n"
        "RUN ends with model.safetensors (the student) and teacher.safetensors, beside\n"
        "config.ini, split.json, metrics.csv, log.txt and checkpoint.safetensors. With --fold,\n"
        "model-best.safetensors is the best on the held-out fold: do not score it there.",
    .options = options,
    .positional_min = 1,
    .positional_max = CLI_FOLDERS_MAX,
    .settings = true,
    .run = run,
};
