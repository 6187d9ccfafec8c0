/* twinseg prepare: raw images of one patient onto one grid. */
#include "cli/cli.h"
#include "align/align.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"t1ce", 0, "PATH", "T1 with contrast; the others are registered to it"},
    {"t1", 0, "PATH", "a NIfTI file, or a folder with one series of DICOM"},
    {"t2", 0, "PATH", ""},
    {"flair", 0, "PATH", ""},
    {"output", 'o', "DIR", "the folder for the images, registration.json and registration.png"},
    {"id", 0, "NAME", "name of the files: NAME_t1ce.nii.gz [the folder's name]"},
    {"spacing", 0, "MM", "voxel size [1]"},
    {"skull-strip", 0, "COMMAND", "extracts the brain from {in} into {out} [$TWINSEG_SKULL_STRIP]"},
    {"threads", 0, "N", "threads to use; 0: all processors"},
    {NULL, 0, NULL, NULL},
};

/* Registered images of BraTS have 1.25 and more, images without relation 1.0 to 1.1. */
static const double doubtful_nmi = 1.1;

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
        if (a->after.nmi < doubtful_nmi)
            warn("%s and %s have little in common after registration: look at "
                 "%s/registration.png before you use them",
                 modality_names[m], reference, r->folder);
    }
    if (!result->stripped)
        warn("the images still show the skull, and no skull-stripping tool is set: install one and "
             "give --skull-strip 'hd-bet -i {in} -o {out}' (HD-BET) or --skull-strip "
             "'mri_synthstrip -i {in} -o {out}' (SynthStrip); 'predict' needs exactly 0 outside of "
             "the brain");
    print_line(stdout, "%s: %s_*.nii.gz, registration.json, registration.png", r->folder, r->id);
}

static int run(const cli_arguments *a)
{
    const char *out = cli_value(a, "output"), *spacing = cli_value(a, "spacing");
    const char *command = cli_value(a, "skull-strip");
    align_request r = {.folder = out, .id = cli_value(a, "id"), .spacing_mm = 1};
    int64_t threads = 0;
    bool any = false;
    for (int m = 0; m < MODALITIES; m++) {
        r.input[m] = cli_value(a, modality_names[m]);
        any = any || r.input[m];
    }
    if (!any)
        return cli_usage_error(a->command,
                               "give the patient's images: --t1ce, --t1, --t2, --flair");
    if (!out)
        return cli_usage_error(a->command, "-o DIR is missing: the folder for the images");
    if (spacing &&
        (!parse_double(spacing, &r.spacing_mm) || !(r.spacing_mm >= 0.3) || r.spacing_mm > 10))
        return cli_usage_error(a->command, "--spacing takes mm from 0.3 to 10, not '%s'", spacing);
    if (!cli_integer(a, "threads", 0, 1024, &threads))
        return 2;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", out);
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    r.folder = folder;
    r.id = r.id ? r.id : string_file_name(folder);
    if (!*r.id || strchr(r.id, '/') || !strcmp(r.id, ".") || !strcmp(r.id, ".."))
        return cli_usage_error(a->command, "'%s' cannot name a patient: give --id NAME", r.id);
    r.skull_strip = command ? command : getenv("TWINSEG_SKULL_STRIP");
    ts_error e;
    pool *p;
    align_result result;
    interrupt_install();
    ts_status status = pool_create(threads ? (int)threads : processor_count(), &p, &e);
    if (status != TS_OK)
        return cli_fail(&e);
    status = align_patient(&r, p, &result, &e);
    pool_destroy(p);
    if (status != TS_OK)
        return cli_fail(&e);
    print_result(&r, &result);
    return 0;
}

const cli_command prepare_command = {
    .name = "prepare",
    .summary = "register a patient's raw images, at 1 mm, for predict",
    .usage = "--t1ce PATH --t1 PATH --t2 PATH --flair PATH -o DIR",
    .details =
        "Registers the raw images of one patient to T1CE (else T1, T2, FLAIR: the first that "
        "is there) by\nmutual information, and resamples them to one grid. docs/prepare.md.",
    .options = options,
    .run = run,
};
