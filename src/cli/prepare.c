/* twinseg prepare: raw images of one patient onto one grid. */
#include "cli/cli.h"
#include "align/align.h"
#include "brain/brain.h"
#include "cli/inputs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_option options[] = {
    INPUT_OPTIONS,
    {"output", 'o', "DIR", "the folder for the images, registration.json and registration.png"},
    {"id", 0, "NAME", "name of the files: NAME_t1ce.nii.gz [the folder's name]"},
    {"spacing", 0, "MM", "voxel size [1]"},
    {"brain", 0, "MASK",
     "cut out by this mask, on the grid of the reference; 'none': keep the skull"},
    {"skull-strip", 0, "COMMAND", "extracts the brain from {in} into {out} [$TWINSEG_SKULL_STRIP]"},
    {"list", 'l', NULL, "only say which series of FOLDER is what"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {NULL, 0, NULL, NULL},
};

static void print_result(const align_request *r, const align_result *result)
{
    const char *reference = modality_names[result->reference];
    for (int m = 0; m < MODALITIES; m++) {
        const alignment *a = &result->steps[m].found;
        if (!result->steps[m].used || m == (int)result->reference)
            continue;
        printf("%-5s to %s: turned %.1f degrees, shifted %.1f mm; mutual information %.2f -> %.2f "
               "bits (normalised %.3f -> %.3f), correlation %.2f -> %.2f\n",
               modality_names[m], reference, a->angle_degrees, a->shift_mm, a->before.mi,
               a->after.mi, a->before.nmi, a->after.nmi, a->before.ncc, a->after.ncc);
        if (a->after.nmi < ALIGN_DOUBTFUL_NMI)
            warn("%s and %s have little in common after registration: look at "
                 "%s/registration.png before you use them",
                 modality_names[m], reference, r->folder);
        if (a->disagreement_mm > ALIGN_DOUBTFUL_MM)
            warn("%s to %s and %s to %s end %.1f mm apart, so that a registration has failed: look "
                 "at %s/registration.png before you use them",
                 modality_names[m], reference, reference, modality_names[m], a->disagreement_mm,
                 r->folder);
    }
    char *doubt = result->brain.source == ALIGN_BRAIN_LEFT
                      ? NULL
                      : brain_volume_doubt(result->brain.millilitres);
    if (doubt)
        warn("%s", doubt);
    free(doubt);
    if (result->brain.source == ALIGN_BRAIN_FOUND)
        print_line(stdout, "brain: %.0f ml, found by the network; look at brain.nii.gz",
                   result->brain.millilitres);
    if (result->pose.turned)
        printf("the head was tilted by %.0f degrees beside the atlas: the grid stands upright\n",
               result->pose.tilt_degrees);
    else if (result->pose.known)
        printf("the head stands upright: tilted by %.0f degrees, left as it is\n",
               result->pose.tilt_degrees);
    if (result->brain.source == ALIGN_BRAIN_LEFT)
        warn("the images still show the skull: 'predict' needs exactly 0 outside of the brain");
    print_line(stdout, "%s: %s_*.nii.gz, registration.json, registration.png", r->folder, r->id);
}

/* 0, or the exit status after a message. folder: as `-o` says it, without slashes behind. */
static int read_arguments(const cli_arguments *a, char folder[4096], align_request *r)
{
    const char *spacing = cli_value(a, "spacing"), *command = cli_value(a, "skull-strip");
    const int bad = cli_inputs_check(a);
    if (bad)
        return bad;
    if (spacing &&
        (!parse_double(spacing, &r->spacing_mm) || !(r->spacing_mm >= 0.3) || r->spacing_mm > 10))
        return cli_usage_error(a->command, "--spacing takes mm from 0.3 to 10, not '%s'", spacing);
    r->folder = cli_folder(a, folder);
    r->id = cli_flag(a, "id") ? cli_value(a, "id") : string_file_name(folder);
    if (!*r->id || strchr(r->id, '/') || !strcmp(r->id, ".") || !strcmp(r->id, ".."))
        return cli_usage_error(a->command, "'%s' cannot name a patient: give --id NAME", r->id);
    r->brain = cli_value(a, "brain");
    if (r->brain && command)
        return cli_usage_error(a->command, "--brain and --skull-strip exclude each other");
    r->skull_strip = command ? command : getenv("TWINSEG_SKULL_STRIP");
    return 0;
}

static ts_status prepare(const cli_arguments *a, int threads, align_request *r, ts_error *error)
{
    pool *p = NULL;
    cli_inputs in;
    align_result result;
    const bool was_there = directory_exists(r->folder);
    ts_status status = cli_inputs_open(a, r->folder, &in, error);
    if (status != TS_OK || cli_flag(a, "list"))
        goto end;
    memcpy(r->input, in.path, sizeof r->input);
    status = pool_create(threads ? threads : processor_count(), &p, error);
    if (status == TS_OK)
        status = align_patient(r, p, &result, error);
    if (status == TS_OK)
        print_result(r, &result);
end:
    pool_destroy(p);
    cli_inputs_close(&in);
    if (!was_there)
        rmdir(r->folder); /* where nothing was written */
    return status;
}

static int run(const cli_arguments *a)
{
    ts_error e;
    char folder[4096];
    int64_t threads = 0;
    align_request r = {.spacing_mm = 1};
    const int bad = read_arguments(a, folder, &r);
    if (bad)
        return bad;
    if (!cli_integer(a, "threads", 0, 1024, &threads))
        return 2;
    interrupt_install();
    return prepare(a, (int)threads, &r, &e) == TS_OK ? 0 : cli_fail(&e);
}

const cli_command prepare_command = {
    .name = "prepare",
    .summary = "register a patient's raw images, at 1 mm, for predict",
    .usage = "FOLDER -o DIR\n--t1ce PATH --t1 PATH --t2 PATH --flair PATH -o DIR",
    .details =
        "FOLDER holds a patient's series, of DICOM (read by dcm2niix) or as NIfTI files: the\n"
        "program tells T1, T1CE, T2 and FLAIR from their headers and names, lists what it takes "
        "and\n"
        "what not, and asks where it is in doubt.\n"
        "Registers the raw images of one patient to T1CE (else T1, T2, FLAIR: the first that "
        "is there) by\nmutual information, and resamples them to one grid. docs/prepare.md.",
    .options = options,
    .positional_max = 1,
    .run = run,
};
