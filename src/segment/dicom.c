/* Step 4: the reference image's labels as a DICOM segmentation object, by dcmqi's itkimage2segimage.
 * It takes patient, study and frame of reference from the series' own files, and a JSON with what
 * the segments are: codes of SNOMED CT from the DICOM standard's context groups 7150 and 7159. */
#include "labels/labels.h"
#include "segment/work.h"
#include "series/series.h"
#include "voxels/voxels.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *code(const char *value, const char *meaning)
{
    return json_pack("{s:s, s:s, s:s}", "CodeValue", value, "CodingSchemeDesignator", "SCT",
                     "CodeMeaning", meaning);
}

static json_t *segment_json(int label, const char *algorithm)
{
    static const struct {
        const char *words, *code, *meaning;
        int rgb[3];
    } kinds[LABELS] = {
        [LABEL_NCR] = {"Necrotic and non-enhancing tumour core",
                       "6574001",
                       "Necrosis",
                       {240, 228, 66}},
        [LABEL_ED] = {"Peritumoural edema", "79654002", "Edema", {86, 180, 233}},
        [LABEL_ET] = {"Enhancing tumour", "372087000", "Neoplasm, Primary", {213, 94, 0}},
    };
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:[i,i,i], s:o, s:o, s:o}", "labelID", label,
                     "SegmentLabel", kinds[label].words, "SegmentDescription", label_names[label],
                     "SegmentAlgorithmType", "AUTOMATIC", "SegmentAlgorithmName", algorithm,
                     "recommendedDisplayRGBValue", kinds[label].rgb[0], kinds[label].rgb[1],
                     kinds[label].rgb[2], "SegmentedPropertyCategoryCodeSequence",
                     code("49755003", "Morphologically Abnormal Structure"),
                     "SegmentedPropertyTypeCodeSequence",
                     code(kinds[label].code, kinds[label].meaning), "AnatomicRegionSequence",
                     code("12738006", "Brain"));
}

/* "twinseg 0.1: any-subset 0123456789abcdef", at most 64 characters */
static void name_algorithm(const segment_request *r, char out[65])
{
    char hex[20];
    weights_fingerprint(r->models[0].weights, r->models[0].weight_count, hex);
    const char *name = string_file_name(model_name(&r->models[0]));
    snprintf(out, 65, "twinseg %s: %.24s %s", ts_version(), name, hex);
}

static ts_status write_metadata(const segment_request *r, const bool present[LABELS],
                                const char *path, ts_error *error)
{
    char algorithm[65];
    json_t *segments = json_array();
    name_algorithm(r, algorithm);
    for (int label = 1; label < LABELS; label++)
        if (present[label])
            json_array_append_new(segments, segment_json(label, algorithm));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:[o]}", "ContentCreatorName", "twinseg",
                  "SeriesDescription", "Brain tumour segmentation", "SeriesNumber", "300",
                  "InstanceNumber", "1", "ContentLabel", "SEGMENTATION", "ContentDescription",
                  "Research use only", "segmentAttributes", segments);
    char *content = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    const ts_status status = content ? file_put(path, content, strlen(content), error)
                                     : error_set(error, TS_MEMORY, "out of memory");
    json_decref(root);
    free(content);
    return status;
}

/* ---- the labels in the order of the DICOM ------------------------------------------------------ */

/* dcm2niix turns the rows of every slice around. */
static void turn_axis(uint8_t *labels, volume_header *h, int axis)
{
    const int64_t *n = h->shape;
    const int64_t stride = axis == 1 ? n[0] : n[0] * n[1], outer = axis == 1 ? n[2] : 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < n[axis] / 2; i++)
            for (int64_t k = 0; k < stride; k++) {
                uint8_t *a = labels + o * n[0] * n[1] + i * stride + k;
                uint8_t *b = labels + o * n[0] * n[1] + (n[axis] - 1 - i) * stride + k;
                const uint8_t kept = *a;
                *a = *b;
                *b = kept;
            }
    for (int r = 0; r < 3; r++) {
        h->affine[r][3] += (double)(n[axis] - 1) * h->affine[r][axis];
        h->affine[r][axis] = -h->affine[r][axis];
    }
}

static double determinant(const double a[4][4])
{
    return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
           a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
           a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

static ts_status write_turned(const segment_work *w, modality reference, const char *path,
                              bool present[256], ts_error *error)
{
    char name[40];
    uint8_t *labels = NULL;
    volume_header h;
    snprintf(name, sizeof name, "native/%s_seg.nii.gz", modality_names[reference]);
    char *from = work_input(w, name, error);
    ts_status status = from ? volume_read_labels(from, &h, &labels, error) : TS_MEMORY;
    const size_t count = labels ? (size_t)voxel_count(h.shape) : 0;
    free(from);
    if (status == TS_OK) {
        turn_axis(labels, &h, 1);
        if (determinant((const double(*)[4])h.affine) <
            0) /* slices go up the normal of their plane */
            turn_axis(labels, &h, 2);
        for (size_t i = 0; i < count; i++)
            present[labels[i]] = true;
        const volume_header turned =
            volume_header_make(h.shape, h.zooms, (const double(*)[4])h.affine);
        status = volume_write_labels(path, &turned, labels, error);
    }
    free(labels);
    return status;
}

/* ---- dcmqi ------------------------------------------------------------------------------------ */

static ts_status link_series(const char *folder, const char *uid, const char *into, ts_error *error)
{
    string_list files = {0};
    ts_status status = directory_create(into, error);
    if (status == TS_OK)
        status = series_files(folder, uid, &files, error);
    for (size_t i = 0; status == TS_OK && i < files.count; i++) {
        char *target = realpath(files.items[i], NULL);
        char *name = string_format("%s/%06zu.dcm", into, i);
        if (!target || !name || symlink(target, name) != 0)
            status = error_set(error, TS_IO, "cannot write links into '%s'", into);
        free(target);
        free(name);
    }
    string_list_free(&files);
    return status;
}

static ts_status convert(const char *scratch, const char *out, ts_error *error)
{
    enum { WORDS = 5 };
    static const char *const names[WORDS] = {"series", "labels.nii", "metadata.json", "seg.dcm",
                                             "log"};
    char *paths[WORDS] = {NULL};
    bool found = false, good = false;
    ts_status status = TS_OK;
    for (int i = 0; i < WORDS; i++)
        if (!(paths[i] = path_join(scratch, names[i], error)))
            status = TS_MEMORY;
    const char *const words[] = {"itkimage2segimage",
                                 "--inputDICOMDirectory",
                                 paths[0],
                                 "--inputImageList",
                                 paths[1],
                                 "--inputMetadata",
                                 paths[2],
                                 "--outputDICOM",
                                 paths[3],
                                 NULL};
    if (status == TS_OK)
        status = program_run(words, paths[4], &found, &good, error);
    if (status == TS_OK && !found)
        status = error_set(error, TS_BAD_INPUT,
                           "--dicom-seg needs dcmqi's itkimage2segimage, which is not on the PATH: "
                           "'pip install dcmqi'; everything but seg.dcm and the report is made");
    else if (status == TS_OK && (!good || !file_exists(paths[3])))
        status =
            error_set(error, TS_BAD_INPUT,
                      "itkimage2segimage could not write the DICOM segmentation of this series");
    else if (status == TS_OK && rename(paths[3], out) != 0)
        status = error_set(error, TS_IO, "cannot write '%s'", out);
    for (int i = 0; i < WORDS; i++)
        free(paths[i]);
    return status;
}

static ts_status write_object(segment_work *w, modality reference, const char *scratch,
                              ts_error *error)
{
    const segment_request *r = w->request;
    bool present[256] = {false};
    char *labels = path_join(scratch, "labels.nii", error), *out = NULL;
    char *metadata = path_join(scratch, "metadata.json", error);
    char *series = path_join(scratch, "series", error);
    ts_status status = labels && metadata && series
                           ? write_turned(w, reference, labels, present, error)
                           : TS_MEMORY;
    if (status != TS_OK)
        goto end;
    if (!present[LABEL_NCR] && !present[LABEL_ED] && !present[LABEL_ET]) {
        work_warn(w, "no tumour was found in the reference image: there is no seg.dcm");
        goto end;
    }
    status = link_series(r->input[reference].dicom, r->input[reference].uid, series, error);
    if (status == TS_OK)
        status = write_metadata(r, present, metadata, error);
    if (status == TS_OK)
        status =
            (out = work_output(w, "seg.dcm", error)) ? convert(scratch, out, error) : TS_MEMORY;
end:
    free(labels);
    free(metadata);
    free(series);
    free(out);
    return status;
}

ts_status step_dicom(segment_work *w, ts_error *error)
{
    scratch_folder scratch;
    modality reference;
    double transforms[MODALITIES][4][4];
    ts_status status = read_registration(w, &reference, transforms, error);
    if (status != TS_OK)
        return status;
    progress_show("writing the DICOM segmentation");
    status = scratch_open(w->request->folder, &scratch, error);
    if (status != TS_OK)
        return status;
    status = write_object(w, reference, scratch.path, error);
    scratch_close(&scratch);
    return status;
}
