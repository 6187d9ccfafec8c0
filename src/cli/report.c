/* twinseg report: runs, predictions and studies as one HTML file. */
#include "cli/cli.h"
#include "report/report.h"

static const cli_option options[] = {
    {"output", 'o', "FILE.html", "the report"},
    {"data", 0, "DATA", "data set with the images and truths [the one that predict recorded]"},
    {"convention", 0, "NAME", "how to score: lesion, legacy or panoptic [lesion]"},
    {"labels", 0, "P,T", "meaning of label values in predictions and truths, as in evaluate"},
    {"show", 0, "NAMES", "images to show, separated by ',' [flair,t1ce]"},
    {"pictures", 0, "N", "how many cases to show slices of: the worst and the best [20]"},
    {"threads", 0, "N", "number of threads [all processors]"},
    {NULL, 0, NULL, NULL},
};

static int run(const cli_arguments *a)
{
    ts_error e;
    report_counts counts;
    report_options o = {.data = cli_value(a, "data"), .convention = CONVENTION_LESION};
    int64_t threads = processor_count(), pictures = 20;
    const char *out = cli_value(a, "output"), *name = cli_value(a, "convention");
    const char *shown = cli_value(a, "show");
    char labels[2][16];
    if (!out)
        return cli_usage_error(a->command, "give the file to write: -o FILE.html");
    if (name && !evaluate_convention(name, &o.convention))
        return cli_usage_error(a->command, "--convention is lesion, legacy or panoptic, not '%s'",
                               name);
    const int bad = cli_label_maps(a, o.labels, labels);
    if (bad)
        return bad;
    if (shown && modality_parse(shown, &o.shown, &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    if (!cli_integer(a, "threads", 1, 1024, &threads) ||
        !cli_integer(a, "pictures", 0, 10000, &pictures))
        return 2;
    o.threads = (int)threads;
    o.pictures = (int)pictures;
    if (report_write(a->positional, (size_t)a->positional_count, &o, out, &counts, &e) != TS_OK)
        return cli_fail(&e);
    print_line(stdout, "%s: %.1f MB, %zu cases, %zu with slices", out, (double)counts.bytes / 1e6,
               counts.cases, counts.pictures);
    return 0;
}

const cli_command report_command = {
    .name = "report",
    .summary = "show runs, predictions and studies in a browser: one HTML file",
    .usage = "RUN|PREDICTIONS|STUDY ... -o report.html [--data DATA] [--convention NAME]",
    .details =
        "RUN is a folder made by train, PREDICTIONS one made by predict --data, STUDY one made by\n"
        "study. The report shows what is there, also of what is not finished. It is a single file\n"
        "that needs no network and no server.",
    .options = options,
    .positional_min = 1,
    .positional_max = 16,
    .run = run,
};
