/* twinseg convert: a data set from one layout into another. */
#include "cli/cli.h"
#include "exchange/exchange.h"

#include <string.h>

static const cli_option options[] = {
    {"to", 0, "LAYOUT", "nnunet, brats2021, brats2023 or msd"},
    {"output", 'o', "DIR", "the new data set: a new or empty folder"},
    {"modalities", 0, "NAMES", "convert these modalities only, such as flair,t1ce [all]"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {NULL, 0, NULL, NULL},
};

static const char *const settings_of_convert[] = {"labels", NULL};

static ts_status convert(const char *data, const plan *settings, exchange_layout to,
                         modality_set use, const char *out, ts_error *e)
{
    dataset d;
    pool *p = NULL;
    exchange_counts counts;
    ts_status status = dataset_open(data, (label_map)settings->labels, &d, e);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < d.notes.count; i++)
        note("%s", d.notes.items[i]);
    status = pool_create(settings->threads ? (int)settings->threads : processor_count(), &p, e);
    if (status != TS_OK)
        goto done;
    status = exchange_convert(&d, to, use, out, p, &counts, e);
    if (status != TS_OK)
        goto done;
    if (counts.cavities)
        warn("the resection cavity (label 4) of %zu cases is background now", counts.cavities);
    if (counts.ambiguous)
        note("%zu truths of BraTS-PED now have the values of 2023, which their names do not show: "
             "read them with labels=brats2023",
             counts.ambiguous);
    print_line(stdout, "%s: %zu cases, %zu with a truth, from %s to %s", out, counts.cases,
               counts.with_truth, dataset_layout(&d), exchange_layout_names[to]);
done:
    pool_destroy(p);
    dataset_close(&d);
    return status;
}

static int run(const cli_arguments *a)
{
    const char *name = cli_value(a, "to"), *out = cli_value(a, "output");
    const char *names = cli_value(a, "modalities");
    modality_set use = ALL_MODALITIES;
    size_t to = 0;
    plan settings;
    ts_error e;
    while (name && to < LAYOUTS && strcmp(name, exchange_layout_names[to]))
        to++;
    if (!name || to == LAYOUTS)
        return cli_usage_error(a->command, "--to is nnunet, brats2021, brats2023 or msd");
    if (!out)
        return cli_usage_error(a->command, "-o is missing: name the folder of the new data set");
    if (names && modality_parse(names, &use, &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    const int usage = cli_plan(a, &settings);
    if (usage)
        return usage;
    interrupt_install();
    const ts_status status =
        convert(a->positional[0], &settings, (exchange_layout)to, use, out, &e);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command convert_command = {
    .name = "convert",
    .summary = "write a data set in the layout of nnU-Net, BraTS or MSD",
    .usage = "DATA --to LAYOUT -o DIR [labels=MAP]",
    .details =
        "DATA may have any layout that training reads. Label values are mapped case by case; "
        "where a truth can be read in two ways, the error names the setting that decides.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .settings = true,
    .settings_only = settings_of_convert,
    .run = run,
};
