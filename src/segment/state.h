/* OUT/segment.json: which steps are done, from what, and which files they made (private to
 * segment/). */
#ifndef TWINSEG_SEGMENT_STATE_H
#define TWINSEG_SEGMENT_STATE_H

#include "segment/segment.h"

#include <jansson.h>

typedef struct {
    char *folder, *path;
    json_t *root;
} segment_state;

/* Reads OUT's record, or begins one where OUT is new or empty. An OUT that holds files and no record
 * is refused. Release with state_close. */
ts_status state_open(const char *folder, segment_state *r, ts_error *error);
bool state_is_empty(const segment_state *r); /* no step is done */
void state_close(segment_state *r);

/* Is the step done, from the same `of`, and are its files as it left them? Where it was done from
 * something else, a note names the first that differs. */
bool state_keeps(const segment_state *r, const char *step, const json_t *of);

/* Forgets a step, if it is recorded, and removes its files. */
ts_status state_forget(segment_state *r, const char *step, ts_error *error);

/* Notes that the step is done: from what, what it found (may be NULL), and its files in OUT. */
ts_status state_end(segment_state *r, const char *step, const json_t *of, json_t *found,
                    const string_list *files, ts_error *error);

/* What a step found; NULL: nothing. */
json_t *state_found(const segment_state *r, const char *step);

/* 64-bit FNV-1a of a file's bytes, in hexadecimal. */
ts_status state_fingerprint(const char *path, char hex[20], ts_error *error);

#endif
