/* libFuzzer target: a score file of a study, from any bytes. */
#include "study/cell.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char grid[] = "methods = student-only\nsubsets = t1\nseeds = 1\nfolds = 2\n";
    study s;
    cell_scores scores;
    ts_error error = {0};
    if (study_parse(grid, sizeof grid - 1, "grid", &s, &error) != TS_OK)
        abort();
    if (scores_parse(bytes, count, "scores.json", &s, &s.cells[0], &scores, &error) == TS_OK)
        cell_scores_free(&scores);
    else if (!error.text[0])
        abort();
    study_close(&s);
    return 0;
}
