/* twinseg: brain tumour segmentation on MRI when not all four modalities were acquired.
 * The public API of libtwinseg. Research use only; not a medical device.
 *
 * Every function that can fail returns a ts_status and, where it is not TS_OK, has filled the
 * caller's ts_error with one sentence that names the file and the cause. */
#ifndef TWINSEG_H
#define TWINSEG_H

#ifdef __cplusplus
extern "C" {
#endif

#define TS_VERSION_MAJOR 0
#define TS_VERSION_MINOR 1
#define TS_VERSION_PATCH 0
#define TS_VERSION "0.1.0"

typedef enum {
    TS_OK = 0,
    TS_BAD_INPUT, /* a file's or a setting's content is wrong; the user can mend it */
    TS_IO,        /* the operating system refused: missing, unreadable, disk full, read-only */
    TS_MEMORY,    /* not enough memory, or a size beyond what may be allocated */
    TS_STOPPED,   /* interrupted by the user (Ctrl-C); what was done is saved */
} ts_status;

/* Filled by the function that failed. text: one sentence, no trailing newline. */
typedef struct {
    ts_status status;
    char text[1024];
} ts_error;

/* The version as "MAJOR.MINOR.PATCH", a string that lives as long as the program. */
const char *ts_version(void);

#ifdef __cplusplus
}
#endif
#endif
