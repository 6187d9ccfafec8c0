/* twinseg check: lists every problem of a data set, before hours are spent. */
#include "cli/cli.h"
#include "dataset/dataset.h"

static const cli_option options[] = {
    {"threads", 0, "N", "threads (default: all processors)"},
    {NULL, 0, NULL, NULL},
};

static const char *const settings_of_check[] = {"labels", "threads", NULL};

static int run(const cli_arguments *a)
{
    plan p;
    ts_error e;
    dataset d;
    pool *threads = NULL;
    size_t problems = 0;
    const int bad = cli_plan(a, &p);
    if (bad)
        return bad;
    interrupt_install();
    if (dataset_open_loosely(a->positional, (size_t)a->positional_count, (label_map)p.labels, &d,
                             &e) != TS_OK)
        return cli_fail(&e);
    ts_status status = pool_create(p.threads ? (int)p.threads : processor_count(), &threads, &e);
    if (status == TS_OK)
        status = dataset_check(&d, threads, stdout, &problems, &e);
    pool_destroy(threads);
    dataset_close(&d);
    if (status != TS_OK)
        return cli_fail(&e);
    return problems > 0;
}

const cli_command check_command = {
    .name = "check",
    .summary = "list every problem of a data set, before hours are spent",
    .usage = "DATA [DATA2 ...] [--threads N] [labels=MAP]",
    .details =
        "Reads every file of a folder in any BraTS, MSD or nnU-Net layout and prints one line per\n"
        "finding: 'problem:' stops training (exit status 1), 'warning:' may spoil a result, "
        "'note:'\n"
        "is a quirk that is read all the same. A summary follows.",
    .options = options,
    .positional_min = 1,
    .positional_max = CLI_FOLDERS_MAX,
    .settings = true,
    .settings_only = settings_of_check,
    .run = run,
};
