/* The images of one patient, as prepare and segment take them: a file by option, or a folder with
 * series of which each is told. */
#ifndef TWINSEG_CLI_INPUTS_H
#define TWINSEG_CLI_INPUTS_H

#include "cli/cli.h"
#include "series/series.h"

#define INPUT_OPTIONS                                                                              \
    {"t1ce", 0, "PATH", "T1 with contrast; the others are registered to it"},                      \
        {"t1", 0, "PATH", "a NIfTI file, or a folder with one series of DICOM"},                   \
        {"t2", 0, "PATH", "with FOLDER: a series of its list by number, or none"},                 \
        {"flair", 0, "PATH", ""},                                                                  \
        {"patient", 0, "ID", "which patient of FOLDER: A, B, ... or ID"},                          \
    {                                                                                              \
        "study", 0, "DATE", "which study of FOLDER: A, B, ... or YYYYMMDD"                         \
    }

typedef struct {
    const char *path[MODALITIES]; /* NIfTI, or a folder of DICOM; NULL: not there */
    series_list list;             /* of FOLDER; empty without */
    int chosen[MODALITIES];
    series_list single[MODALITIES]; /* of a folder of DICOM given by option (cli_inputs_convert) */
    scratch_folder scratch;
} cli_inputs;

/* 0, or the exit status after a message: neither files nor a folder, no -o, ... */
int cli_inputs_check(const cli_arguments *a);

/* -o as it was given, without slashes behind. */
const char *cli_folder(const cli_arguments *a, char folder[4096]);

/* Reads FOLDER, prints its list, and chooses. What dcm2niix makes lies in a scratch folder within
 * `out` until cli_inputs_close, which is to be called after an error too. */
ts_status cli_inputs_open(const cli_arguments *a, const char *out, cli_inputs *in, ts_error *error);
/* Folders of one series each that were given by option become files in the scratch folder. */
ts_status cli_inputs_convert(const cli_arguments *a, const char *out, cli_inputs *in,
                             ts_error *error);
/* The series that an image is from; NULL: a file was given. */
const series_item *cli_inputs_series(const cli_inputs *in, modality m);
void cli_inputs_close(cli_inputs *in);

#endif
