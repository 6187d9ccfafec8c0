/* One case from its files: decoded in parallel, one file a thread; then judged: grids that agree,
 * finite voxels, content, labels within the map. */
#include "dataset/load.h"
#include "voxels/voxels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *path;
    volume_file *image; /* NULL: the file is the truth */
    volume_header *header;
    uint8_t **labels;
    ts_status status;
    ts_error error;
} file_job;

static void read_file(void *context, int64_t index, int thread)
{
    (void)thread;
    file_job *job = (file_job *)context + index;
    job->status = job->image ? volume_open(job->path, job->image, &job->error)
                             : volume_read_labels(job->path, job->header, job->labels, &job->error);
}

/* Where findings go, and the first problem's status. */
typedef struct {
    finding_sink sink;
    void *context;
    ts_status status;
    volume_doubts doubts; /* of a header that were reported: once a case */
} judge;

static void found(judge *j, finding kind, ts_status status, const char *format, ...)
    PRINTF_LIKE(4, 5);

static void found(judge *j, finding kind, ts_status status, const char *format, ...)
{
    char sentence[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    if (kind == FINDING_PROBLEM && j->status == TS_OK)
        j->status = status;
    j->sink(j->context, kind, status, sentence);
}

/* ---- facts of the voxels ---------------------------------------------------------------- */

typedef struct {
    int64_t nonzero, nonfinite, begin[2], end[2]; /* the box in x and y */
    float value;                                  /* of the first voxel that is not 0 */
    bool varies;                                  /* and others have another */
} plane_facts;

typedef struct {
    const case_data *data;
    plane_facts *planes; /* [MODALITIES][nz] */
    float *rows;         /* [thread][nx] */
} scan_job;

/* Bits without the sign: 0 for 0 and -0, from 0x7f800000 on for Inf and NaN. */
static inline uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

static void scan_plane(void *context, int64_t index, int thread)
{
    const scan_job *job = context;
    const int64_t nx = job->data->header.shape[0], ny = job->data->header.shape[1];
    const int64_t nz = job->data->header.shape[2], m = index / nz, z = index % nz;
    const volume_voxels *image = &job->data->image[m];
    float *row = job->rows + thread * nx;
    if (!image->bytes)
        return;
    plane_facts f = {.begin = {nx, ny}};
    for (int64_t y = 0; y < ny; y++) {
        const int64_t first_voxel = (z * ny + y) * nx;
        uint32_t nonzero = 0, nonfinite = 0;
        if (volume_values_are_zero(image, first_voxel, nx)) /* most are */
            continue;
        volume_values(image, first_voxel, 1, nx, row);
        for (int32_t x = 0; x < (int32_t)nx; x++) {
            const uint32_t bits = magnitude_bits(row[x]);
            nonzero += bits != 0;
            nonfinite += bits >= 0x7f800000u;
        }
        if (!nonzero)
            continue;
        int64_t first = 0, last = nx - 1;
        while (row[first] == 0)
            first++;
        while (row[last] == 0)
            last--;
        f.begin[0] = first < f.begin[0] ? first : f.begin[0];
        f.end[0] = last + 1 > f.end[0] ? last + 1 : f.end[0];
        f.value = f.nonzero ? f.value : row[first];
        for (int64_t x = first; x <= last && !f.varies; x++)
            f.varies = row[x] != 0 && row[x] != f.value;
        f.begin[1] = f.nonzero ? f.begin[1] : y;
        f.end[1] = y + 1;
        f.nonzero += nonzero;
        f.nonfinite += nonfinite;
    }
    job->planes[index] = f;
}

/* The planes' facts added up in order. */
static image_facts join_planes(const plane_facts *planes, const int64_t n[7])
{
    image_facts all = {.begin = {n[0], n[1], n[2]}};
    for (int64_t z = 0; z < n[2]; z++) {
        const plane_facts *f = &planes[z];
        if (!f->nonzero)
            continue;
        for (int i = 0; i < 2; i++) {
            all.begin[i] = f->begin[i] < all.begin[i] ? f->begin[i] : all.begin[i];
            all.end[i] = f->end[i] > all.end[i] ? f->end[i] : all.end[i];
        }
        all.value = all.nonzero ? all.value : f->value;
        all.varies = all.varies || f->varies || f->value != all.value;
        all.begin[2] = all.nonzero ? all.begin[2] : z;
        all.end[2] = z + 1;
        all.nonzero += f->nonzero;
        all.nonfinite += f->nonfinite;
    }
    return all;
}

static ts_status scan_images(case_data *d, pool *p, ts_error *error)
{
    const size_t nx = (size_t)d->header.shape[0], nz = (size_t)d->header.shape[2];
    const size_t threads = p ? (size_t)pool_threads(p) : 1;
    plane_facts *planes = memory_allocate(nz, MODALITIES * sizeof *planes, "a plane table", error);
    float *rows = planes ? memory_take(threads * nx, sizeof *rows, "a row of voxels", error) : NULL;
    if (rows) {
        scan_job job = {.data = d, .planes = planes, .rows = rows};
        pool_run(p, scan_plane, &job, MODALITIES * (int64_t)nz);
        for (int m = 0; m < MODALITIES; m++)
            if (d->image[m].bytes)
                d->facts[m] = join_planes(planes + (size_t)m * nz, d->header.shape);
    }
    free(rows);
    free(planes);
    return rows ? TS_OK : TS_MEMORY;
}

/* ---- judgement -------------------------------------------------------------------------- */

/* "240x240x155 voxels of 1x1x1 mm" */
static const char *print_grid(const volume_header *h, char buffer[128])
{
    snprintf(buffer, 128, "%lldx%lldx%lld voxels of %.4gx%.4gx%.4g mm", (long long)h->shape[0],
             (long long)h->shape[1], (long long)h->shape[2], h->zooms[0], h->zooms[1], h->zooms[2]);
    return buffer;
}

static bool same_shape(const volume_header *a, const volume_header *b)
{
    return a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1] && a->shape[2] == b->shape[2];
}

/* The largest distance between the places that two headers give to the same voxel. */
static double corner_distance_mm(const volume_header *a, const volume_header *b)
{
    double farthest = 0;
    for (int corner = 0; corner < 8; corner++) {
        double square = 0;
        for (int i = 0; i < 3; i++) {
            double difference = a->affine[i][3] - b->affine[i][3];
            for (int k = 0; k < 3; k++)
                if (corner >> k & 1)
                    difference += (a->affine[i][k] - b->affine[i][k]) * (double)(a->shape[k] - 1);
            square += difference * difference;
        }
        if (!(sqrt(square) <= farthest)) /* NaN too */
            farthest = sqrt(square);
    }
    return farthest;
}

static void judge_grids(judge *j, const char *path, const volume_header *h, const char *other_path,
                        const volume_header *other)
{
    char a[128], b[128];
    if (!same_shape(h, other))
        found(
            j, FINDING_PROBLEM, TS_BAD_INPUT,
            "'%s' and '%s' differ in grid (%s against %s): resample one onto the other first, with "
            "3D Slicer's Resample Image or antsApplyTransforms",
            other_path, path, print_grid(other, a), print_grid(h, b));
    else if (!volume_same_grid(h, other))
        found(j, FINDING_PROBLEM, TS_BAD_INPUT,
              "'%s' and '%s' have the same shape but lie %.4g mm apart in space: register them, or "
              "copy the header of one to the other if they do match voxel by voxel",
              other_path, path, corner_distance_mm(h, other));
}

/* Does this header say where the voxels are? Damaged ones hold zeros, NaN or anything. */
static bool judge_geometry(judge *j, const char *path, const volume_header *h)
{
    for (int i = 0; i < 3; i++)
        if (!voxel_size_possible(h->zooms[i])) {
            found(j, FINDING_PROBLEM, TS_BAD_INPUT,
                  "'%s' says that its voxels measure %.4gx%.4gx%.4g mm: its header is damaged, "
                  "convert the image anew",
                  path, h->zooms[0], h->zooms[1], h->zooms[2]);
            return false;
        }
    if (volume_affine_possible(h->affine))
        return true;
    found(j, FINDING_PROBLEM, TS_BAD_INPUT,
          "'%s' does not say how its voxels lie in space: the %s of its header is damaged, copy it "
          "from another image of the case",
          path, h->sform_code > 0 ? "sform" : "qform");
    return false;
}

/* Doubts of a header; images of a case mostly share them. */
static void judge_header(judge *j, const char *path, const volume_header *h)
{
    ts_error error;
    string_list doubts = {0};
    const ts_status status = volume_header_doubts(h, path, &j->doubts, &doubts, &error);
    if (status != TS_OK)
        found(j, FINDING_PROBLEM, status, "%s", error.text);
    for (size_t i = 0; i < doubts.count; i++)
        found(j, FINDING_WARNING, TS_OK, "%s", doubts.items[i]);
    string_list_free(&doubts);
}

/* Brains of BraTS measure 1.1 to 1.7 litres and fill at most 55 % of their own box; a head with
 * scalp and neck measures 4, and air that is not 0 fills the volume. What lies on the outer faces
 * tells nothing: real fields of view cut brains (38 % of one face in BraTS 2018). */
bool dataset_looks_unstripped(int64_t nonzero, const volume_header *h, double *litres,
                              double *share)
{
    *litres = (double)nonzero * h->zooms[0] * h->zooms[1] * h->zooms[2] / 1e6;
    *share = (double)nonzero / (double)voxel_count(h->shape);
    return *litres > 2.5 || *share > 0.7;
}

static void judge_image(judge *j, const char *path, const case_data *d, int m)
{
    const image_facts *f = &d->facts[m];
    const int64_t *n = d->header.shape;
    double litres, share;
    const int64_t too_large =
        f->nonfinite ? volume_values_too_large(&d->image[m], voxel_count(n)) : 0;
    if (too_large)
        found(j, FINDING_PROBLEM, TS_BAD_INPUT,
              "'%s' holds %lld voxels beyond the range of float32 (3.4e38): divide its "
              "intensities, or "
              "set these voxels to 0",
              path, (long long)too_large);
    else if (f->nonfinite)
        found(
            j, FINDING_PROBLEM, TS_BAD_INPUT,
            "'%s' holds %lld NaN or infinite voxels: mend the step that made it, or set them to 0",
            path, (long long)f->nonfinite);
    else if (!f->nonzero)
        found(j, FINDING_PROBLEM, TS_BAD_INPUT,
              "'%s' is zero everywhere: export it again, or remove it to have the case count as "
              "lacking this modality",
              path);
    else if (!f->varies)
        found(
            j, FINDING_PROBLEM, TS_BAD_INPUT,
            "'%s' is %g in every voxel that is not 0: it is a mask, not an image; export it again, "
            "or remove it to have the case count as lacking this modality",
            path, (double)f->value);
    else if (!d->whole_head && dataset_looks_unstripped(f->nonzero, &d->header, &litres, &share))
        found(j, FINDING_WARNING, TS_OK,
              "'%s' does not look skull-stripped (%.3g litres, %.0f %% of its voxels, are not 0): "
              "cut "
              "the brain out and set all else to 0, as HD-BET or SynthStrip do",
              path, litres, 100 * share);
}

/* Some tools write the axes of one grid in another order or direction. */
static void found_turned(judge *j, const char *path, const char *first)
{
    found(j, FINDING_NOTE, TS_OK, "'%s' runs along other axes than '%s', on the same grid: turned",
          path, first);
}

/* A truth counts voxel by voxel: some of BraTS 2017 carry another origin than their images. */
static void judge_truth(judge *j, const dataset_case *c, case_data *d, const char *image_path)
{
    const volume_header *h = &d->truth_header;
    char a[128], b[128];
    ts_error error;
    bool turned;
    judge_header(j, c->truth, h);
    const ts_status turning =
        volume_turn_labels(&d->truth_header, &d->truth, &d->header, &turned, &error);
    if (turning != TS_OK)
        found(j, FINDING_PROBLEM, turning, "%s", error.text);
    else if (turned)
        found_turned(j, c->truth, image_path);
    if (!same_shape(h, &d->header)) {
        found(j, FINDING_PROBLEM, TS_BAD_INPUT,
              "'%s' does not have the shape of its images: %s against %s of '%s'", c->truth,
              print_grid(h, a), print_grid(&d->header, b), image_path);
        free(d->truth);
        d->truth = NULL;
        return;
    }
    if (!volume_same_grid(h, &d->header))
        found(j, FINDING_NOTE, TS_OK,
              "'%s' lies %.4g mm from its images by its header; the shape agrees, so it is taken "
              "voxel by voxel",
              c->truth, corner_distance_mm(h, &d->header));
    const size_t count = (size_t)voxel_count(h->shape);
    for (size_t i = 0; i < count; i++)
        d->values[d->truth[i]] = true;
    const ts_status status = labels_map(d->truth, count, c->labels, true, c->truth, &error);
    d->mapped = status == TS_OK;
    if (status != TS_OK)
        found(j, FINDING_PROBLEM, status, "%s", error.text);
}

/* Content of every image; paths[m] is its name in the sentences. */
static void judge_images(judge *j, const char *const paths[MODALITIES], case_data *d, pool *p)
{
    ts_error error;
    const ts_status status = scan_images(d, p, &error);
    if (status != TS_OK)
        found(j, FINDING_PROBLEM, status, "%s", error.text);
    for (int m = 0; status == TS_OK && m < MODALITIES; m++)
        if (d->image[m].bytes)
            judge_image(j, paths[m], d, m);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* One job per file (a 4-D file serves several modalities); job_of[m]: the place of m's. */
static int list_jobs(const dataset_case *c, bool with_truth, case_data *d,
                     file_job jobs[MODALITIES + 1], int job_of[MODALITIES])
{
    int count = 0;
    for (int m = 0; m < MODALITIES; m++) {
        if (!(d->use >> m & 1))
            continue;
        int k = 0;
        while (k < count && strcmp(jobs[k].path, c->image[m]))
            k++;
        if (k == count)
            jobs[count++] = (file_job){.path = c->image[m], .image = &d->files[k]};
        job_of[m] = k;
    }
    if (with_truth && c->truth)
        jobs[count++] =
            (file_job){.path = c->truth, .header = &d->truth_header, .labels = &d->truth};
    return count;
}

/* Does the layout say that m's file holds other modalities too? */
static bool is_shared(const dataset_case *c, int m)
{
    for (int k = 0; k < MODALITIES; k++)
        if (k != m && c->image[k] && !strcmp(c->image[k], c->image[m]))
            return true;
    return c->channel[m] > 0;
}

/* Points image[m] into its file; the first one bound gives the case its grid. */
static void bind_image(judge *j, const dataset_case *c, int m, const volume_file *v, case_data *d,
                       int *first)
{
    const volume_header *h = &v->header;
    if (is_shared(c, m) ? c->channel[m] >= v->channels : v->channels != 1) {
        if (is_shared(c, m))
            found(j, FINDING_PROBLEM, TS_BAD_INPUT,
                  "'%s' holds %lld volumes, and %s should be number %d: does dataset.json belong "
                  "to it?",
                  c->image[m], (long long)v->channels, modality_names[m], c->channel[m] + 1);
        else
            found(j, FINDING_PROBLEM, TS_BAD_INPUT,
                  "'%s' holds %lld volumes where one is wanted, %s: split it", c->image[m],
                  (long long)v->channels, modality_names[m]);
        return;
    }
    volume_voxels voxels = volume_channel(v, c->channel[m]);
    if (*first < 0) {
        *first = m;
        d->header = *h;
    } else if (!volume_same_grid(h, &d->header) && volume_same_space(h, &d->header)) {
        ts_error error;
        found_turned(j, c->image[m], c->image[*first]);
        const size_t bytes = volume_datatype_bytes(voxels.datatype);
        const ts_status status =
            volume_turn(h, voxels.bytes, bytes, &d->header, &d->turned[m], &error);
        if (status != TS_OK)
            found(j, FINDING_PROBLEM, status, "%s", error.text);
        voxels.bytes = d->turned[m];
    } else {
        judge_grids(j, c->image[m], h, c->image[*first], &d->header);
        if (!same_shape(h, &d->header))
            return;
    }
    d->image[m] = voxels;
}

/* A file that could be read: its status becomes an error where its header is of no use. */
static void judge_file(judge *j, file_job *job)
{
    const volume_header *h = &job->image->header;
    if (judge_geometry(j, job->path, h))
        judge_header(j, job->path, h);
    else
        job->status = TS_BAD_INPUT;
}

ts_status case_load(const dataset_case *c, modality_set use, bool with_truth, pool *p,
                    case_data *out, finding_sink sink, void *context)
{
    *out = (case_data){.use = use & dataset_case_modalities(c), .whole_head = c->whole_head};
    judge j = {.sink = sink, .context = context};
    file_job jobs[MODALITIES + 1];
    int job_of[MODALITIES], first = -1;
    const int count = list_jobs(c, with_truth, out, jobs, job_of);
    pool_run(p, read_file, jobs, count);
    for (int i = 0; i < count; i++)
        if (jobs[i].status != TS_OK)
            found(&j, FINDING_PROBLEM, jobs[i].status, "%s", jobs[i].error.text);
        else if (jobs[i].image)
            judge_file(&j, &jobs[i]);
    for (int m = 0; m < MODALITIES; m++)
        if (out->use >> m & 1 && jobs[job_of[m]].status == TS_OK)
            bind_image(&j, c, m, jobs[job_of[m]].image, out, &first);
    if (first < 0) {
        char wanted[24];
        if (j.status == TS_OK)
            found(&j, FINDING_PROBLEM, TS_BAD_INPUT, "case %s has no image of %s", c->id,
                  modality_print(use, wanted));
        return j.status;
    }
    judge_images(&j, (const char *const *)c->image, out, p);
    if (out->truth)
        judge_truth(&j, c, out, c->image[first]);
    return j.status;
}

ts_status case_take(const volume_header *grid, const float *const images[MODALITIES], pool *p,
                    case_data *out, finding_sink sink, void *context)
{
    *out = (case_data){.header = *grid};
    judge j = {.sink = sink, .context = context};
    for (int m = 0; m < MODALITIES; m++) {
        out->image[m] = volume_voxels_of(images[m]);
        out->use |= images[m] ? 1u << m : 0;
    }
    if (judge_geometry(&j, "the grid", grid)) {
        judge_header(&j, "the grid", grid);
        judge_images(&j, modality_names, out, p);
    }
    return j.status;
}

void case_data_free(case_data *d)
{
    for (int m = 0; m < MODALITIES; m++)
        volume_close(&d->files[m]);
    for (int m = 0; m < MODALITIES; m++)
        free(d->turned[m]);
    free(d->truth);
    *d = (case_data){0};
}
