/* twinseg import: a model of nnU-Net. */
#include "cli/cli.h"
#include "exchange/exchange.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the model file (.safetensors)"},
    {NULL, 0, NULL, NULL},
};

static int run(const cli_arguments *a)
{
    const char *out = cli_value(a, "output");
    char channels[24];
    model m;
    ts_error e;
    if (!out)
        return cli_usage_error(a->command, "-o is missing: name the model file");
    ts_status status = exchange_import_nnunet(a->positional[0], &m, &e);
    if (status != TS_OK)
        return cli_fail(&e);
    status = model_write(out, &m, &e);
    if (status == TS_OK)
        print_line(stdout, "%s: %s, %g mm, patch %lldx%lldx%lld", out,
                   modality_print(m.channels, channels), m.plan.spacing_mm,
                   (long long)m.plan.patch[0], (long long)m.plan.patch[1],
                   (long long)m.plan.patch[2]);
    model_free(&m);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command import_command = {
    .name = "import",
    .summary = "convert a trained nnU-Net to a model file",
    .usage = "CONVERTED.safetensors -o MODEL.safetensors",
    .details = "tools/nnunet_to_safetensors.py writes nnU-Net's checkpoint and plans into the file "
               "that is\nread here. docs/exchange.md lists the architectures that can be imported.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
