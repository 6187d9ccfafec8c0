/* What the names of a series say (private to series/). */
#ifndef TWINSEG_SERIES_WORDS_H
#define TWINSEG_SERIES_WORDS_H

#include "series/series.h"

/* Lower case, words separated and surrounded by single spaces, '+' a word of its own, '*' the word
 * "star": "T1W_3D +C" is " t1w 3d + c ". */
void words_normalise(const char *name, char out[2 * SERIES_TEXT]);

/* Does a normalised name hold one of these, separated by '|'? " mip " is a whole word, "flair" any
 * part. */
bool words_have(const char *normal, const char *list);

/* The weightings that a name speaks of: T1 (with contrast or without), T2, FLAIR. */
modality_set words_weighting(const char *normal);

series_contrast words_contrast(const char *normal);

/* Why a series of that name is no image to segment; NULL where the name says nothing. */
const char *words_aside(const char *normal);

#endif
