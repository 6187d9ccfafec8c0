/* One patient from raw images to images that prediction takes: read, registered to T1CE, on one
 * grid, the brain cut out, with a record and a picture of what was done. */
#include "align/align.h"
#include "align/strip.h"
#include "align/tools.h"
#include "picture/picture.h"
#include "voxels/voxels.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const align_request *request;
    align_result *result;
    pool *pool;
    scratch_folder scratch;
    volume source[MODALITIES];
    volume_header grid;
    volume_doubts doubts;     /* that were warned of */
    float *image[MODALITIES]; /* on the grid */
    uint8_t *mask;            /* of the brain; NULL where the skull is left */
} patient;

/* ---- reading --------------------------------------------------------------------------------- */

/* Are voxels as long as they can be, along three different directions? */
static bool has_place(const volume_header *h)
{
    const double(*a)[4] = h->affine;
    for (int k = 0; k < 3; k++)
        if (!voxel_size_possible(sqrt(a[0][k] * a[0][k] + a[1][k] * a[1][k] + a[2][k] * a[2][k])))
            return false;
    return volume_affine_possible(a);
}

static ts_status read_input(patient *p, const char *path, volume *out, ts_error *error)
{
    ts_status status = directory_exists(path) ? dicom_read(path, p->scratch.path, out, error)
                                              : volume_read(path, out, error);
    if (status != TS_OK)
        return status;
    if (out->channels != 1)
        return error_set(error, TS_BAD_INPUT, "'%s' holds %lld volumes; a single one is needed",
                         path, (long long)out->channels);
    volume_warn_doubts(&out->header, path, &p->doubts);
    if (!has_place(&out->header))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' does not say where its voxels are in space: its header is damaged",
                         path);
    bool some = false;
    for (size_t i = 0; i < (size_t)voxel_count(out->header.shape); i++) {
        if (!isfinite(out->data[i]))
            return error_set(error, TS_BAD_INPUT, "'%s' holds NaN or infinite voxels", path);
        some = some || out->data[i] != out->data[0];
    }
    return some ? TS_OK
                : error_set(error, TS_BAD_INPUT, "'%s' has the same value everywhere", path);
}

static ts_status read_inputs(patient *p, ts_error *error)
{
    static const modality order[MODALITIES] = {T1CE, T1, T2, FLAIR};
    ts_status status = TS_OK;
    bool reference = false;
    for (int i = 0; status == TS_OK && i < MODALITIES; i++) {
        const modality m = order[i];
        if (!p->request->input[m])
            continue;
        status = read_input(p, p->request->input[m], &p->source[m], error);
        p->result->steps[m].used = true;
        if (!reference)
            p->result->reference = m;
        reference = true;
    }
    if (status == TS_OK && !reference)
        status = error_set(error, TS_BAD_INPUT, "there is no image to prepare");
    return status;
}

/* ---- onto one grid --------------------------------------------------------------------------- */

static ts_status choose_grid(patient *p, ts_error *error)
{
    const modality m = p->result->reference;
    int64_t voxels;
    p->grid = align_grid(&p->source[m].header, p->request->spacing_mm);
    if (!voxel_count_checked(p->grid.shape, INT32_MAX, &voxels))
        return error_set(error, TS_BAD_INPUT, "'%s' would have too many voxels at %g mm",
                         p->request->input[m], p->request->spacing_mm);
    return TS_OK;
}

/* From its source, through the transform that was found, to the grid. */
static ts_status resample_image(patient *p, modality m, ts_error *error)
{
    const alignment *a = &p->result->steps[m].found;
    p->image[m] = memory_allocate((size_t)voxel_count(p->grid.shape), sizeof(float),
                                  "a resampled image", error);
    return p->image[m]
               ? align_resample(&p->source[m], a->transform, &p->grid, p->pool, p->image[m], error)
               : TS_MEMORY;
}

static ts_status place_image(patient *p, modality m, ts_error *error)
{
    const modality reference = p->result->reference;
    alignment *a = &p->result->steps[m].found;
    ts_status status = TS_OK;
    for (int i = 0; i < 4; i++)
        a->transform[i][i] = 1;
    if (m != reference) {
        progress_show("registering %s to %s", modality_names[m], modality_names[reference]);
        status = align_rigid(&p->source[reference], &p->source[m], p->pool, a, error);
    }
    return status == TS_OK ? resample_image(p, m, error) : status;
}

static ts_status strip(patient *p, ts_error *error)
{
    const modality reference = p->result->reference;
    const strip_job job = {.request = p->request,
                           .grid = &p->grid,
                           .reference_grid = &p->source[reference].header,
                           .reference = reference,
                           .images = p->image,
                           .scratch = p->scratch.path,
                           .pool = p->pool};
    return strip_images(&job, &p->result->brain, &p->mask, error);
}

/* ---- upright --------------------------------------------------------------------------------- */

/* The mask on another grid of the same world: where most of a voxel is brain. */
static ts_status move_mask(patient *p, const volume_header *grid, ts_error *error)
{
    static const double identity[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    const size_t from = (size_t)voxel_count(p->grid.shape), to = (size_t)voxel_count(grid->shape);
    volume v = {.header = p->grid, .channels = 1};
    ts_status status = TS_MEMORY;
    float *moved = memory_take(to, sizeof *moved, "a brain mask", error);
    v.data = moved ? memory_take(from, sizeof *v.data, "a brain mask", error) : NULL;
    uint8_t *mask = v.data ? memory_take(to, 1, "a brain mask", error) : NULL;
    if (!mask)
        goto end;
    for (size_t i = 0; i < from; i++)
        v.data[i] = p->mask[i];
    status = align_resample(&v, identity, grid, p->pool, moved, error);
    for (size_t i = 0; i < to; i++)
        mask[i] = moved[i] > 0.5f;
    free(p->mask);
    p->mask = mask;
end:
    free(moved);
    free(v.data);
    return status;
}

/* Where the brain is tilted beside the atlas, all is resampled from the sources once more, to a grid
 * that stands upright. */
static ts_status stand_upright(patient *p, ts_error *error)
{
    const modality reference = p->result->reference;
    const volume brain = {.header = p->grid, .channels = 1, .data = p->image[reference]};
    volume_header grid;
    if (!p->mask)
        return TS_OK;
    progress_show("looking whether the head stands upright");
    ts_status status =
        align_upright(&brain, p->request->spacing_mm, p->pool, &p->result->pose, &grid, error);
    if (status != TS_OK || !p->result->pose.turned)
        return status;
    status = move_mask(p, &grid, error);
    p->grid = grid;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        free(p->image[m]);
        p->image[m] = NULL;
        if (p->result->steps[m].used)
            status = resample_image(p, (modality)m, error);
        for (int64_t i = 0; status == TS_OK && p->image[m] && i < voxel_count(grid.shape); i++)
            p->image[m][i] = p->mask[i] ? p->image[m][i] : 0;
    }
    return status;
}

/* ---- what is written ------------------------------------------------------------------------- */

/* Whole numbers stay whole, as int16. */
static ts_status write_image(const patient *p, modality m, ts_error *error)
{
    const volume *source = &p->source[m];
    const char *id = p->request->id, *name = modality_names[m], *folder = p->request->folder;
    char *path = id ? string_format("%s/%s_%s.nii.gz", folder, id, name)
                    : string_format("%s/images/%s.nii.gz", folder, name);
    if (!path)
        return error_set(error, TS_MEMORY, "out of memory");
    const bool whole = volume_is_whole(source->data, (size_t)voxel_count(source->header.shape));
    const ts_status status = volume_write_values(path, &p->grid, 1, p->image[m], whole, error);
    free(path);
    return status;
}

static json_t *similarity_json(const similarity *s)
{
    return json_pack("{s:f, s:f, s:f}", "mi_bits", s->mi, "nmi", s->nmi, "correlation", s->ncc);
}

static json_t *step_json(const alignment *a)
{
    json_t *rows = json_array();
    for (int i = 0; i < 4; i++)
        json_array_append_new(rows,
                              json_pack("[f, f, f, f]", a->transform[i][0], a->transform[i][1],
                                        a->transform[i][2], a->transform[i][3]));
    return json_pack("{s:o, s:f, s:f, s:f, s:o, s:o}", "transform", rows, "angle_degrees",
                     a->angle_degrees, "shift_mm", a->shift_mm, "disagreement_mm",
                     a->disagreement_mm, "before", similarity_json(&a->before), "after",
                     similarity_json(&a->after));
}

const char *align_brain_words(align_brain_source source)
{
    static const char *const words[] = {[ALIGN_BRAIN_LEFT] = "not cut out",
                                        [ALIGN_BRAIN_STRIPPED] = "stripped before",
                                        [ALIGN_BRAIN_GIVEN] = "mask given",
                                        [ALIGN_BRAIN_TOOL] = "tool",
                                        [ALIGN_BRAIN_FOUND] = "network"};
    return words[source];
}

static ts_status write_record(const patient *p, ts_error *error)
{
    json_t *steps = json_object();
    for (int m = 0; m < MODALITIES; m++)
        if (p->result->steps[m].used && m != (int)p->result->reference)
            json_object_set_new(steps, modality_names[m], step_json(&p->result->steps[m].found));
    const align_pose *pose = &p->result->pose;
    json_t *root = json_pack(
        "{s:s, s:s, s:f, s:b, s:s, s:f, s:{s:f, s:f, s:b}, s:o}", "twinseg", ts_version(),
        "reference", modality_names[p->result->reference], "spacing_mm", p->request->spacing_mm,
        "skull_stripped", p->result->brain.source != ALIGN_BRAIN_LEFT, "brain",
        align_brain_words(p->result->brain.source), "brain_ml", p->result->brain.millilitres,
        "pose", "tilt_degrees", pose->tilt_degrees, "nmi", pose->nmi, "turned", pose->turned,
        "registered", steps);
    char *content = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    ts_status status = content ? TS_OK : error_set(error, TS_MEMORY, "out of memory");
    char *path = content ? path_join(p->request->folder, "registration.json", error) : NULL;
    if (path)
        status = file_put(path, content, strlen(content), error);
    else if (content)
        status = TS_MEMORY;
    json_decref(root);
    free(content);
    free(path);
    return status;
}

/* The 99th percentile of what is not 0, by a histogram; for pictures. */
static float bright(const float *image, size_t count)
{
    enum { BINS = 1024 };
    size_t histogram[BINS] = {0}, nonzero = 0, below = 0;
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = image[i] > most ? image[i] : most;
    for (size_t i = 0; most > 0 && i < count; i++)
        if (image[i] > 0) {
            histogram[(int)(image[i] / most * (BINS - 1))]++;
            nonzero++;
        }
    int bin = 0;
    while (bin < BINS - 1 && (below += histogram[bin]) < nonzero / 100 * 99)
        bin++;
    return most > 0 ? most * (float)(bin + 1) / BINS : 1;
}

/* Squares of an image and of the head in turn, in place of the image. */
static void make_checkerboard(const patient *p, const float *head, float head_white, float *image)
{
    const size_t voxels = (size_t)voxel_count(p->grid.shape);
    const int64_t square = (int64_t)fmax(25 / p->request->spacing_mm, 1), *n = p->grid.shape;
    const float white = bright(image, voxels);
    for (size_t i = 0; i < voxels; i++) {
        const int64_t at = (int64_t)i, x = at % n[0], y = at / n[0] % n[1], z = at / n[0] / n[1];
        const bool other = (x / square + y / square + z / square) & 1;
        image[i] = other ? head[i] / head_white : image[i] / white;
    }
}

/* Where two images meet at the squares' borders, edges of the brain must go on unbroken. */
static ts_status draw(patient *p, ts_error *error)
{
    const int reference = (int)p->result->reference;
    const float *head = p->image[reference];
    const float head_white = bright(head, (size_t)voxel_count(p->grid.shape));
    ts_status status = TS_MEMORY;
    char *path = path_join(p->request->folder, "registration.png", error);
    char *title =
        string_format("%s%ssquares of each image and of %s", p->request->id ? p->request->id : "",
                      p->request->id ? ": " : "", modality_names[reference]);
    for (int m = 0; m < MODALITIES; m++)
        if (p->image[m] && m != reference)
            make_checkerboard(p, head, head_white, p->image[m]);
    if (path && title)
        status = picture_slices(path, title, &p->grid, (const float *const *)p->image, NULL, NULL,
                                error);
    else if (path)
        error_set(error, TS_MEMORY, "out of memory");
    free(path);
    free(title);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static ts_status place_images(patient *p, ts_error *error)
{
    for (int m = 0; m < MODALITIES; m++) {
        const ts_status status =
            p->result->steps[m].used ? place_image(p, (modality)m, error) : TS_OK;
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

static ts_status write_mask(const patient *p, ts_error *error)
{
    if (!p->mask)
        return TS_OK;
    char *path = path_join(p->request->folder, "brain.nii.gz", error);
    const ts_status status = path ? volume_write_labels(path, &p->grid, p->mask, error) : TS_MEMORY;
    free(path);
    return status;
}

static ts_status write_images(const patient *p, ts_error *error)
{
    for (int m = 0; m < MODALITIES; m++) {
        const ts_status status =
            p->result->steps[m].used ? write_image(p, (modality)m, error) : TS_OK;
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

static ts_status work(patient *p, ts_error *error)
{
    ts_status status = scratch_open(p->request->folder, &p->scratch, error);
    if (status != TS_OK)
        return status;
    status = read_inputs(p, error);
    if (status != TS_OK)
        return status;
    status = choose_grid(p, error);
    if (status != TS_OK)
        return status;
    status = place_images(p, error);
    if (status != TS_OK)
        return status;
    status = strip(p, error);
    if (status != TS_OK)
        return status;
    status = stand_upright(p, error);
    if (status != TS_OK)
        return status;
    if (interrupt_requested()) /* from here on all is written, or an error says why not */
        return error_set(error, TS_STOPPED, "stopped; no image was written");
    status = write_images(p, error);
    if (status != TS_OK)
        return status;
    status = write_mask(p, error);
    if (status != TS_OK)
        return status;
    status = write_record(p, error);
    return status == TS_OK ? draw(p, error) : status;
}

ts_status align_patient(const align_request *r, pool *threads, align_result *result,
                        ts_error *error)
{
    patient p = {.request = r, .result = result, .pool = threads, .scratch = {.lock = -1}};
    const bool was_there = directory_exists(r->folder);
    *result = (align_result){0};
    ts_status status = directory_create(r->folder, error);
    if (status == TS_OK)
        status = work(&p, error);
    progress_end();
    scratch_close(&p.scratch);
    if (status != TS_OK && !was_there)
        rmdir(r->folder); /* as it was, if nothing has been written */
    for (int m = 0; m < MODALITIES; m++) {
        volume_free(&p.source[m]);
        free(p.image[m]);
    }
    free(p.mask);
    return status;
}
