/* series: a folder with a patient's series of images in, which of them is T1, T1CE, T2 and FLAIR
 * out. The physics of a series (inversion, echo and repetition time, contrast agent) and its name
 * must agree; what they leave in doubt is said, not guessed. docs/segment.md has the rules. */
#ifndef TWINSEG_SERIES_H
#define TWINSEG_SERIES_H

#include "plan/plan.h"
#include "volume/volume.h"

/* ---- one DICOM file --------------------------------------------------------------------------- */

enum { DICOM_TEXT = 68 }; /* the longest UID has 64 characters */

/* What is read of its header. Texts are cut to DICOM_TEXT - 1 bytes, and empty where they lack. */
typedef struct {
    char study_uid[DICOM_TEXT], series_uid[DICOM_TEXT];
    char patient_id[DICOM_TEXT], patient_name[DICOM_TEXT]; /* never written anywhere */
    char modality[DICOM_TEXT], description[DICOM_TEXT], image_type[DICOM_TEXT];
    char study_date[DICOM_TEXT], series_number[DICOM_TEXT];
    char agent[DICOM_TEXT]; /* contrast agent; "yes" where a sequence alone tells of one */
    bool has_pixels;        /* pixel data follow */
    bool damaged;           /* DICOM, but its header cannot be followed to its end */
} dicom_header;

/* False where the bytes are not a DICOM file (PS3.10) whose header can be read: another format, a
 * header that ends early, a deflated one. bytes may be the whole file. */
bool dicom_parse(const uint8_t *bytes, size_t count, dicom_header *out);

/* ---- what a series is ------------------------------------------------------------------------- */

enum { SERIES_TEXT = 160 };

/* What headers and names tell of a series. Times in ms; NAN: not known. */
typedef struct {
    char description[SERIES_TEXT]; /* series description and protocol name; of NIfTI the file's */
    char sequence[SERIES_TEXT];    /* the sequence's names and variants: "SE\\IR", "*tfl3d1" */
    char image_type[SERIES_TEXT];  /* "ORIGINAL\\PRIMARY\\M_FFE" */
    char modality[16], body_part[64];
    char agent[DICOM_TEXT]; /* contrast agent, "" without */
    double echo_ms, repetition_ms, inversion_ms, flip_degrees;
    double time_s;   /* of the acquisition, since midnight; NAN */
    int acquisition; /* 2 or 3 dimensions; 0: not known */
    bool diffusion;  /* it has b-values */
    bool dicom;      /* from a scanner's header, not of a name alone */
    int64_t shape[3], volumes;
    double spacing_mm[3];
} series_facts;

series_facts series_facts_none(void); /* all not known */

/* Values from T1 to FLAIR are the modality's. */
enum { SERIES_ASIDE = MODALITIES, SERIES_DOUBTFUL };

typedef enum {
    CONTRAST_UNSAID,
    CONTRAST_BEFORE, /* the name says that there was none */
    CONTRAST_GIVEN,
    CONTRAST_BOTH, /* the name says that there was none, the header names an agent */
} series_contrast;

typedef struct {
    int kind;              /* a modality, SERIES_ASIDE or SERIES_DOUBTFUL; of T1 before contrast is
                            * settled: T1 */
    modality_set could_be; /* of a doubtful series */
    series_contrast contrast;
    char why[SERIES_TEXT]; /* of aside and doubtful: the reason; else what told it */
} series_verdict;

/* By one series alone. T1-weighted series are all T1 here; series_choose settles which of them were
 * made with contrast agent, from all of a study. */
series_verdict series_classify(const series_facts *f);

/* Why an image on that grid shows no whole head: a single slice, too few of them, too far apart,
 * several volumes. False, and why untouched, where nothing is wrong. */
bool series_grid_is_short(const series_facts *f, char why[SERIES_TEXT]);

/* Fills in what a JSON sidecar (BIDS, as dcm2niix writes it) tells. */
ts_status series_read_sidecar(const char *path, series_facts *f, ts_error *error);

/* ---- a folder --------------------------------------------------------------------------------- */

typedef struct {
    char label[96];       /* what --t1ce takes: the series' number, "7" or "7b"; a NIfTI's name */
    char *path;           /* NIfTI; NULL: dcm2niix made none of it */
    char uid[DICOM_TEXT]; /* of the DICOM series, else "" */
    series_facts facts;
    series_verdict verdict;
} series_item;

typedef struct {
    series_item *items; /* in the order of their labels */
    size_t count;
    bool dicom;
} series_list;

/* Which patient and which study of a folder, by the letter that messages give them or by the
 * DICOM's patient ID; NULL: there must be one alone. */
typedef struct {
    const char *patient, *study;
} series_pick;

/* All series of a folder and its subfolders, of DICOM (by dcm2niix, which writes into the folder
 * `scratch`) or of NIfTI files, each with its verdict. Refused: a folder with neither or with both,
 * with several patients or studies of which none is picked. Messages name no patient. Release with
 * series_list_free, also after an error. */
ts_status series_read(const char *folder, const series_pick *pick, const char *scratch,
                      series_list *out, ts_error *error);
void series_list_free(series_list *l);

/* The DICOM files of a series in a folder and its subfolders. */
ts_status series_files(const char *folder, const char *uid, string_list *files, ts_error *error);

/* Of each modality the series to take, an index of items or -1, from the verdicts, which it
 * completes: which T1 was made with contrast agent, which of several of a kind is the finest.
 * given: the user's choice for a modality by a label, "none", or NULL. What is in doubt and could
 * change the choice is an error that lists it with the options to give. */
ts_status series_choose(series_list *l, const char *const given[MODALITIES], int chosen[MODALITIES],
                        ts_error *error);

/* A table: series, name, grid, what it is taken for, why. */
void series_print(FILE *stream, const series_list *l, const int chosen[MODALITIES]);

#endif
