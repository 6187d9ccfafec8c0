/* Steps 3 and 5: what can be measured in the labels, and the page that shows all. */
#include "measure/measure.h"
#include "report/report.h"
#include "segment/work.h"

#include <stdlib.h>
#include <string.h>

static ts_status read_labels(const segment_work *w, volume_header *h, uint8_t **labels,
                             uint8_t **brain, ts_error *error)
{
    volume_header of_brain;
    char *seg = work_input(w, "seg.nii.gz", error), *mask = work_input(w, "brain.nii.gz", error);
    ts_status status = seg && mask ? volume_read_labels(seg, h, labels, error) : TS_MEMORY;
    if (status == TS_OK)
        status = volume_read_labels(mask, &of_brain, brain, error);
    if (status == TS_OK && !volume_same_grid(h, &of_brain))
        status = error_set(error, TS_BAD_INPUT, "'%s' is damaged: remove it", mask);
    free(seg);
    free(mask);
    return status;
}

ts_status step_measures(segment_work *w, ts_error *error)
{
    static const char *const files[] = {"measures.json", "measures.csv"}, *const id = "case";
    volume_header h;
    uint8_t *labels = NULL, *brain = NULL;
    measures m = {0};
    progress_show("measuring");
    ts_status status = read_labels(w, &h, &labels, &brain, error);
    if (status == TS_OK)
        status = measure_labels(&h, labels, brain, &m, error);
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(files); i++) {
        char *path = work_output(w, files[i], error);
        status = path ? measure_write(path, &id, &m, 1, error) : TS_MEMORY;
        free(path);
    }
    measures_free(&m);
    free(labels);
    free(brain);
    return status;
}

ts_status step_report(segment_work *w, ts_error *error)
{
    const report_options o = {.pictures = 1};
    report_counts counts;
    char *path = work_output(w, "report.html", error);
    progress_show("writing the report");
    const ts_status status =
        path ? report_write(&w->request->folder, 1, &o, path, &counts, error) : TS_MEMORY;
    free(path);
    return status;
}
