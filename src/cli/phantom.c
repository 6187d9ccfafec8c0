/* twinseg phantom: a synthetic cohort, to try the program without patients' data. */
#include "cli/cli.h"
#include "phantom/phantom.h"

#include <string.h>

static const cli_option options[] = {
    {"cases", 0, "N", "how many cases"},
    {"seed", 0, "S", "another seed, another cohort [0]"},
    {"size", 0, "X,Y,Z", "voxels; spacing is 240/X mm [240,240,155]"},
    {"layout", 0, "NAME", "brats2021, brats2023 or msd [brats2021]"},
    {"heads", 0, NULL, "whole heads of any contrast, with the brain as truth (docs/phantom.md)"},
    {"brains", 0, "DIR", "--heads: around the skull-stripped brains of a data set too"},
    {"threads", 0, "N", "0: all processors [0]"},
    {NULL, 0, NULL, NULL},
};

static const char *const layouts[] = {
    [PHANTOM_BRATS2021] = "brats2021", [PHANTOM_BRATS2023] = "brats2023", [PHANTOM_MSD] = "msd"};

/* "120,120,78" to three numbers; their range is phantom_check_shape's. */
static bool parse_size(const char *size, int64_t shape[3])
{
    char part[32];
    for (int k = 0; k < 3; k++) {
        const size_t length = strcspn(size, ",");
        if (length >= sizeof part || (size[length] == ',') != (k < 2))
            return false;
        snprintf(part, sizeof part, "%.*s", (int)length, size);
        if (!parse_integer(part, &shape[k]))
            return false;
        size += length + (k < 2);
    }
    return true;
}

static ts_status write_heads(const char *out, int64_t cases, uint64_t seed, const char *brains,
                             pool *p, ts_error *error)
{
    dataset d = {0};
    ts_status status = brains ? dataset_open(brains, LABELS_AUTO, &d, error) : TS_OK;
    if (status == TS_OK)
        status = phantom_write_heads(out, cases, seed, brains ? &d : NULL, p, error);
    if (brains)
        dataset_close(&d);
    return status;
}

static int run(const cli_arguments *a)
{
    const char *size = cli_value(a, "size"), *layout = cli_value(a, "layout");
    int64_t cases = 0, seed = 0, threads = 0, shape[3] = {240, 240, 155};
    size_t which = 0;
    ts_error e;
    if (!cli_value(a, "cases"))
        return cli_usage_error(a->command, "--cases N is missing");
    if (!cli_integer(a, "cases", 1, 99999, &cases) ||
        !cli_integer(a, "seed", 0, INT64_MAX, &seed) ||
        !cli_integer(a, "threads", 0, 1024, &threads))
        return 2;
    if (size && !parse_size(size, shape))
        return cli_usage_error(a->command,
                               "--size takes three numbers such as 120,120,78, not '%s'", size);
    if (phantom_check_shape(shape, &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    while (layout && which < COUNT_OF(layouts) && strcmp(layout, layouts[which]) != 0)
        which++;
    if (which == COUNT_OF(layouts))
        return cli_usage_error(a->command, "--layout is brats2021, brats2023 or msd, not '%s'",
                               layout);
    const bool heads = cli_flag(a, "heads");
    const char *brains = cli_value(a, "brains");
    if (heads && (size || layout))
        return cli_usage_error(a->command, "--heads draws the fields of view, at 2 mm, and writes "
                                           "the names of BraTS 2021: leave out --size and "
                                           "--layout");
    if (brains && !heads)
        return cli_usage_error(a->command, "--brains is for --heads");
    pool *p = NULL;
    interrupt_install();
    if (pool_create(threads ? (int)threads : processor_count(), &p, &e) != TS_OK)
        return cli_fail(&e);
    const ts_status status =
        heads ? write_heads(a->positional[0], cases, (uint64_t)seed, brains, p, &e)
              : phantom_write(a->positional[0], cases, (uint64_t)seed, shape, (phantom_layout)which,
                              p, &e);
    pool_destroy(p);
    if (status != TS_OK)
        return cli_fail(&e);
    print_line(stdout, "%lld %s%s in %s", (long long)cases, heads ? "head" : "case",
               cases == 1 ? "" : "s", a->positional[0]);
    return 0;
}

const cli_command phantom_command = {
    .name = "phantom",
    .summary = "make a synthetic cohort: brains with tumours, four modalities and a truth",
    .usage = "OUT --cases N [--seed S] [--size X,Y,Z] [--layout brats2021|brats2023|msd]\n"
             "OUT --cases N [--seed S] --heads [--brains DIR]",
    .details = "OUT must be a new or empty folder. A case depends on the seed, its number and the "
               "size alone.\nNo patient's data are in it: docs/phantom.md describes the physics.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
