/* twinseg predict: one patient's files, or a whole folder, to label files. */
#include "cli/cli.h"
#include "predict/predict.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"model", 0, "NAME", "in place of MODEL: also a model of models/ by its name"},
    {"t1", 0, "FILE", "the patient's T1 (T1n)"},
    {"t1ce", 0, "FILE", "T1 after contrast (T1c, T1Gd)"},
    {"t2", 0, "FILE", "T2 (T2w)"},
    {"flair", 0, "FILE", "FLAIR (T2f)"},
    {"data", 0, "DIR", "instead of one patient: a folder in any BraTS, MSD or nnU-Net layout"},
    {"output", 'o', "PATH", "the label file (.nii or .nii.gz); with --data the folder for them"},
    {"probabilities", 0, "FILE", "also write background, NCR, ED, ET as four float volumes"},
    {"uncertainty", 0, "FILE", "also write the entropy of these, 0 to 1, as a float volume"},
    {"mirror", 0, NULL, "average over the 8 mirrorings: better by a little, 8 times the work"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {"verbose", 'v', NULL, "say windows and memory"},
    {NULL, 0, NULL, NULL},
};

static const char *model_names(const cli_arguments *a)
{
    const char *given = cli_value(a, "model");
    return given || !a->positional_count ? given : a->positional[0];
}

static int check_arguments(const cli_arguments *a)
{
    const bool folder = cli_flag(a, "data");
    bool files = false;
    for (int m = 0; m < MODALITIES; m++)
        files = files || cli_flag(a, modality_names[m]);
    if (!model_names(a))
        return cli_usage_error(a->command, "which MODEL? A path, or --model NAME");
    if (cli_flag(a, "model") && a->positional_count)
        return cli_usage_error(a->command, "name the model once: '%s' or --model %s",
                               a->positional[0], cli_value(a, "model"));
    if (!cli_flag(a, "output"))
        return cli_usage_error(a->command, "-o is missing: where shall the result go?");
    if (files == folder)
        return cli_usage_error(a->command,
                               "give either the patient's files (--flair, --t1ce, --t1, "
                               "--t2) or a folder (--data)");
    if (folder && (cli_flag(a, "probabilities") || cli_flag(a, "uncertainty")))
        return cli_usage_error(a->command,
                               "--probabilities and --uncertainty go with one patient's files "
                               "alone");
    return 0;
}

/* ---- one patient ------------------------------------------------------------------------ */

/* Slips of the hand that would give a result all the same, or destroy a file. */
static ts_status check_files(const cli_arguments *a, ts_error *error)
{
    static const char *const outputs[] = {"output", "probabilities", "uncertainty"};
    for (int m = 0; m < MODALITIES; m++) {
        const char *path = cli_value(a, modality_names[m]);
        for (int other = 0; path && other < m; other++) {
            const char *second = cli_value(a, modality_names[other]);
            if (second && file_same(path, second))
                return error_set(error, TS_BAD_INPUT, "--%s and --%s are the same file, '%s'",
                                 modality_names[other], modality_names[m], path);
        }
        for (size_t i = 0; path && i < COUNT_OF(outputs); i++)
            if (cli_value(a, outputs[i]) && file_same(path, cli_value(a, outputs[i])))
                return error_set(error, TS_BAD_INPUT, "--%s would overwrite the input '%s'",
                                 outputs[i], path);
    }
    for (size_t i = 0; i < COUNT_OF(outputs); i++)
        for (size_t j = 0; j < i; j++)
            if (cli_value(a, outputs[i]) && cli_value(a, outputs[j]) &&
                !strcmp(cli_value(a, outputs[i]), cli_value(a, outputs[j])))
                return error_set(error, TS_BAD_INPUT, "--%s and --%s are the same file, '%s'",
                                 outputs[j], outputs[i], cli_value(a, outputs[i]));
    return TS_OK;
}

static ts_status predict_files(const cli_arguments *a, predictor *p, ts_error *error)
{
    const char *out = cli_value(a, "output");
    const double start = clock_seconds();
    dataset_case c = {0};
    ts_status status = check_files(a, error);
    if (status != TS_OK)
        return status;
    const char *name = string_file_name(out);
    c.id = string_format("%.*s", (int)strcspn(name, "."), name);
    if (!c.id)
        return error_set(error, TS_MEMORY, "out of memory");
    for (int m = 0; m < MODALITIES; m++) {
        const char *path = cli_value(a, modality_names[m]);
        if (path && !(predictor_channels(p) >> m & 1))
            note("--%s is not used: the model was trained without it", modality_names[m]);
        c.image[m] = path ? string_format("%s", path) : NULL;
    }
    predict_outcome outcome;
    const predict_outputs outputs = {
        .labels = out,
        .probabilities = cli_value(a, "probabilities"),
        .uncertainty = cli_value(a, "uncertainty"),
    };
    status = predict_case(p, &c, &outputs, &outcome, error);
    progress_clear();
    if (status == TS_OK) {
        char used[24];
        printf("expected Dice: WT %.2f, TC %.2f, ET %.2f; mean entropy in the tumour %.2f of 1\n",
               outcome.confidence.dice[0], outcome.confidence.dice[1], outcome.confidence.dice[2],
               outcome.confidence.entropy);
        print_line(stdout, "%s (from %s, %.1f s)", out, modality_print(outcome.used, used),
                   clock_seconds() - start);
    }
    predict_outcome_free(&outcome);
    for (int m = 0; m < MODALITIES; m++)
        free(c.image[m]);
    free(c.id);
    return status;
}

/* ---- a folder --------------------------------------------------------------------------- */

static ts_status predict_data(const cli_arguments *a, predictor *p, size_t *failed, ts_error *error)
{
    const char *out = cli_value(a, "output");
    dataset d;
    predict_counts counts;
    ts_status status = dataset_open(cli_value(a, "data"), LABELS_AUTO, &d, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < d.notes.count; i++)
        note("%s", d.notes.items[i]);
    status = predict_folder(p, &d, out, &counts, error);
    if (status == TS_OK || status == TS_STOPPED)
        print_line(stdout, "%s: %zu written, %zu there already and kept, %zu failed, of %zu cases",
                   out, counts.written, counts.kept, counts.failed, d.count);
    *failed = counts.failed;
    dataset_close(&d);
    return status;
}

/* ---- the command ------------------------------------------------------------------------ */

/* The exit status; 0: *p is open. */
static int open_predictor(const cli_arguments *a, predictor **p)
{
    ts_error error;
    model *models = NULL;
    size_t count = 0;
    int code = 0;
    ts_status status = models_open(model_names(a), &models, &count, &error);
    if (status != TS_OK)
        goto end;
    plan settings = predict_defaults(&models[0]);
    code = cli_plan_over(a, &settings);
    settings.mirror = settings.mirror || cli_flag(a, "mirror");
    if (!code)
        status = predictor_create(models, count, &settings, p, &error);
end:
    models_free(models, count);
    return status == TS_OK ? code : cli_fail(&error);
}

static int run(const cli_arguments *a)
{
    ts_error error;
    predictor *p;
    size_t failed = 0;
    int code = check_arguments(a);
    if (code)
        return code;
    interrupt_install();
    code = open_predictor(a, &p);
    if (code)
        return code;
    predictor_show(p, true, cli_flag(a, "verbose"));
    const ts_status status =
        cli_flag(a, "data") ? predict_data(a, p, &failed, &error) : predict_files(a, p, &error);
    predictor_destroy(p);
    return status == TS_OK ? failed > 0 : cli_fail(&error);
}

const cli_command predict_command = {
    .name = "predict",
    .summary = "segment patients with a trained model",
    .usage = "MODEL --flair FILE --t1ce FILE -o SEG.nii.gz [--probabilities FILE] [key=value ...]\n"
             "MODEL --data DIR -o OUTDIR [key=value ...]",
    .details =
        "MODEL is a model.safetensors, a run folder that holds one, or the name of a model in "
        "models/ of\n"
        "the source tree or the installation; several, joined by ',', are\n"
        "averaged. It must get the modalities that it was trained with; more are left unread. A\n"
        "student of any-subset or channel-dropout takes whatever there is, one modality or more.\n"
        "Images must be co-registered, skull-stripped (0 outside) and on one grid; the result is\n"
        "written on that grid: 1 NCR, 2 ED, 3 ET (labels=brats2021: 1, 2, 4; labels=msd: 2, 1, "
        "3).\n"
        "With --data every case goes to OUTDIR/<case>.nii.gz, what is there already is kept, and "
        "a\n"
        "case that fails does not stop the others (exit status 1).",
    .options = options,
    .positional_min = 0,
    .positional_max = 1,
    .settings = true,
    .settings_only = predict_settings,
    .run = run,
};
