/* twinseg segment: a patient's raw images to masks on every image, measures and a report. */
#include "cli/cli.h"
#include "cli/inputs.h"
#include "predict/predict.h"
#include "segment/segment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_option options[] = {
    INPUT_OPTIONS,
    {"output", 'o', "DIR", "the folder for all results"},
    {"model", 0, "NAME", "a model by name or path; several joined by ',' [any-subset]"},
    {"brain", 0, "MASK", "a mask of the brain on the grid of the reference (T1CE)"},
    {"skull-strip", 0, "COMMAND", "extracts the brain from {in} into {out} [$TWINSEG_SKULL_STRIP]"},
    {"dicom-seg", 0, NULL, "also write seg.dcm (needs dcmqi)"},
    {"list", 'l', NULL, "only say which series of FOLDER is what"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {NULL, 0, NULL, NULL},
};

static void fill_inputs(const cli_arguments *a, const cli_inputs *in, segment_request *r)
{
    for (int m = 0; m < MODALITIES; m++) {
        const series_item *s = cli_inputs_series(in, (modality)m);
        r->input[m].path = in->path[m];
        if (!s || !s->facts.dicom)
            continue;
        r->input[m].told = s->facts.description;
        r->input[m].uid = s->uid;
        r->input[m].dicom =
            a->positional_count ? a->positional[0] : cli_value(a, modality_names[m]);
    }
}

static void print_result(const segment_request *r, const segment_result *result)
{
    print_line(stdout, "%s: report.html, seg.nii.gz, native/, measures.csv%s", r->folder,
               result->warnings.count ? "" : "; no warnings");
    if (result->warnings.count)
        print_line(stdout, "%zu warning%s: the report lists them", result->warnings.count,
                   result->warnings.count > 1 ? "s" : "");
}

static ts_status segment(const cli_arguments *a, segment_request *r, ts_error *error)
{
    cli_inputs in;
    segment_result result = {0};
    const bool was_there = directory_exists(r->folder);
    ts_status status = cli_inputs_open(a, r->folder, &in, error);
    if (status == TS_OK)
        status = cli_inputs_convert(a, r->folder, &in, error);
    if (status == TS_OK && !cli_flag(a, "list")) {
        fill_inputs(a, &in, r);
        status = segment_patient(r, &result, error);
        if (status == TS_OK)
            print_result(r, &result);
    }
    segment_result_free(&result);
    cli_inputs_close(&in);
    if (!was_there)
        rmdir(r->folder);
    return status;
}

static int run(const cli_arguments *a)
{
    ts_error error;
    char folder[4096];
    model *models = NULL;
    size_t count = 0;
    const char *command = cli_value(a, "skull-strip");
    int code = cli_inputs_check(a);
    if (code)
        return code;
    if (cli_flag(a, "brain") && command)
        return cli_usage_error(a->command, "--brain and --skull-strip exclude each other");
    if (cli_flag(a, "brain") && !strcmp(cli_value(a, "brain"), "none"))
        return cli_usage_error(a->command,
                               "--brain takes a mask: a model needs 0 around the brain");
    interrupt_install();
    const char *names = cli_flag(a, "model") ? cli_value(a, "model") : "any-subset";
    ts_status status = models_open(names, &models, &count, &error);
    if (status != TS_OK)
        return cli_fail(&error);
    plan settings = predict_defaults(&models[0]);
    code = cli_plan_over(a, &settings);
    segment_request r = {.folder = cli_folder(a, folder),
                         .brain = cli_value(a, "brain"),
                         .skull_strip = command ? command : getenv("TWINSEG_SKULL_STRIP"),
                         .models = models,
                         .model_count = count,
                         .settings = &settings,
                         .dicom_seg = cli_flag(a, "dicom-seg")};
    if (!code)
        status = segment(a, &r, &error);
    models_free(models, count);
    return status == TS_OK ? code : cli_fail(&error);
}

const cli_command segment_command = {
    .name = "segment",
    .summary = "from a patient's raw images to masks, measures and a report",
    .usage = "FOLDER -o OUT [--model NAME] [--dicom-seg] [key=value ...]\n"
             "--t1ce FILE --flair FILE [--t1 FILE] [--t2 FILE] -o OUT [key=value ...]",
    .details =
        "FOLDER holds a patient's series, of DICOM (read by dcm2niix) or as NIfTI files. The "
        "program\n"
        "tells T1, T1CE, T2 and FLAIR, registers them, finds the brain, segments, and brings the\n"
        "labels back to the grid of every image. In OUT: images/, brain.nii.gz, seg.nii.gz, "
        "native/,\n"
        "measures.json and .csv, registration.png, report.html. Every step is kept: a second call\n"
        "goes on where the first stopped. docs/segment.md.",
    .options = options,
    .positional_max = 1,
    .settings = true,
    .settings_only = segment_settings,
    .run = run,
};
