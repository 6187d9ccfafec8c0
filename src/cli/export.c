/* twinseg export: a model for other programs. */
#include "cli/cli.h"
#include "exchange/exchange.h"

static const cli_option options[] = {
    {"onnx", 0, "FILE", "an ONNX graph: ONNX Runtime, OpenVINO, 3D Slicer, browsers"},
    {"torch", 0, "FILE", "a PyTorch state dict in safetensors"},
    {NULL, 0, NULL, NULL},
};

/* path NULL: not wanted. */
static ts_status export_to(ts_status (*write)(const model *, const char *, ts_error *),
                           const model *m, const char *path, ts_error *error)
{
    const ts_status status = path ? write(m, path, error) : TS_OK;
    if (path && status == TS_OK)
        print_line(stdout, "%s", path);
    return status;
}

static int run(const cli_arguments *a)
{
    const char *onnx = cli_value(a, "onnx"), *torch = cli_value(a, "torch");
    model m;
    ts_error e;
    if (!onnx && !torch)
        return cli_usage_error(a->command,
                               "nothing to write: give --onnx FILE, --torch FILE, or both");
    ts_status status = model_open(a->positional[0], &m, &e);
    if (status != TS_OK)
        return cli_fail(&e);
    status = export_to(exchange_export_onnx, &m, onnx, &e);
    if (status == TS_OK)
        status = export_to(exchange_export_torch, &m, torch, &e);
    model_free(&m);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command export_command = {
    .name = "export",
    .summary = "write a model as ONNX or as a PyTorch state dict",
    .usage = "MODEL --onnx FILE.onnx\nMODEL --torch FILE.safetensors",
    .details = "MODEL is a model.safetensors or a run folder that holds one. docs/exchange.md "
               "describes\ninputs, outputs and the steps around the network.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
