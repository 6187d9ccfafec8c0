/* The NIfTI-1 and -2 headers, either byte order. nifti.nimh.nih.gov, nifti1.h and nifti2.h; the
 * affine as nibabel takes it: sform, else qform, else zooms with x flipped, centred. */
#include "volume/nifti.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int code;
    size_t bytes; /* 0: known and not read */
    const char *name;
} datatypes[] = {
    {2, 1, "uint8"},       {4, 2, "int16"},         {8, 4, "int32"},         {16, 4, "float32"},
    {64, 8, "float64"},    {256, 1, "int8"},        {512, 2, "uint16"},      {768, 4, "uint32"},
    {1024, 8, "int64"},    {1280, 8, "uint64"},     {32, 0, "complex64"},    {128, 0, "rgb24"},
    {1536, 0, "float128"}, {1792, 0, "complex128"}, {2048, 0, "complex256"}, {2304, 0, "rgba32"},
};

const char *volume_datatype_name(int datatype)
{
    for (size_t i = 0; i < COUNT_OF(datatypes); i++)
        if (datatypes[i].code == datatype)
            return datatypes[i].name;
    return NULL;
}

size_t volume_datatype_bytes(int datatype)
{
    for (size_t i = 0; i < COUNT_OF(datatypes); i++)
        if (datatypes[i].code == datatype)
            return datatypes[i].bytes;
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------- */

/* Where the fields of a version lie, and how wide its numbers are. */
typedef struct {
    size_t dim, datatype, pixdim, vox_offset, slope, intercept, qform_code, sform_code, quaternion,
        offset, srow;
    bool wide; /* NIfTI-2: 64-bit integers and doubles, 32-bit codes */
} places;

static const places places_1 = {40, 70, 76, 108, 112, 116, 252, 254, 256, 268, 280, false};
static const places places_2 = {16, 12, 104, 168, 176, 184, 344, 348, 352, 376, 400, true};

typedef struct {
    const uint8_t *bytes;
    bool swap;
    const places *at;
} fields;

static uint64_t get_bits(const fields *f, size_t at, size_t bytes)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes; i++)
        bits |= (uint64_t)f->bytes[at + i] << 8 * (f->swap ? bytes - 1 - i : i);
    return bits;
}

/* Real number `index` of the array at `at`. */
static double get_real(const fields *f, size_t at, size_t index)
{
    if (f->at->wide) {
        const uint64_t bits = get_bits(f, at + 8 * index, 8);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    const uint32_t bits = (uint32_t)get_bits(f, at + 4 * index, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int64_t get_extent(const fields *f, size_t index)
{
    if (f->at->wide)
        return (int64_t)get_bits(f, f->at->dim + 8 * index, 8);
    return (int16_t)get_bits(f, f->at->dim + 2 * index, 2);
}

static int get_code(const fields *f, size_t at)
{
    return f->at->wide ? (int32_t)get_bits(f, at, 4) : (int16_t)get_bits(f, at, 2);
}

/* ---- affine ------------------------------------------------------------------------------- */

static double column_length(const double affine[4][4], int column)
{
    double square = 0;
    for (int i = 0; i < 3; i++)
        square += affine[i][column] * affine[i][column];
    return sqrt(square);
}

static void affine_of_sform(const fields *f, double affine[4][4])
{
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 4; j++)
            affine[i][j] = get_real(f, f->at->srow, 4 * i + j);
}

/* The rotation of the quaternion whose first part makes its length 1, times the zooms. */
static void affine_of_qform(const volume_header *h, double affine[4][4])
{
    const double b = h->quaternion[0], c = h->quaternion[1], d = h->quaternion[2];
    const double rest = 1 - (b * b + c * c + d * d), a = rest > 0 ? sqrt(rest) : 0;
    const double s = 2 / (a * a + b * b + c * c + d * d);
    const double r[3][3] = {
        {1 - s * (c * c + d * d), s * (b * c - a * d), s * (b * d + a * c)},
        {s * (b * c + a * d), 1 - s * (b * b + d * d), s * (c * d - a * b)},
        {s * (b * d - a * c), s * (c * d + a * b), 1 - s * (b * b + c * c)},
    };
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            affine[i][j] = r[i][j] * h->zooms[j] * (j == 2 ? h->qfac : 1);
        affine[i][3] = h->offset_mm[i];
    }
}

static void affine_of_zooms(const volume_header *h, double affine[4][4])
{
    for (int i = 0; i < 3; i++) {
        affine[i][i] = i == 0 ? -h->zooms[i] : h->zooms[i];
        affine[i][3] = -affine[i][i] * (double)(h->shape[i] - 1) / 2;
    }
}

/* Tools round pixdim and the sform to float32 or to two decimals, 1 % of half a millimetre; a
 * difference beyond that is a contradiction. */
static bool sizes_differ(const volume_header *h)
{
    for (int j = 0; j < 3 && j < h->dimensions; j++)
        if (fabs(column_length(h->affine, j) - h->zooms[j]) > 0.01 * h->zooms[j])
            return true;
    return false;
}

static ts_status read_space(const fields *f, const char *name, volume_header *h, ts_error *error)
{
    const double sign = get_real(f, f->at->pixdim, 0);
    h->qform_code = get_code(f, f->at->qform_code);
    h->sform_code = get_code(f, f->at->sform_code);
    h->qfac = sign == -1 ? -1 : 1; /* as nibabel: any other value counts as 1 */
    for (size_t i = 0; i < 3; i++) {
        h->quaternion[i] = get_real(f, f->at->quaternion, i);
        h->offset_mm[i] = get_real(f, f->at->offset, i);
    }
    memset(h->affine, 0, sizeof h->affine);
    h->affine[3][3] = 1;
    if (h->sform_code > 0)
        affine_of_sform(f, h->affine);
    else if (h->qform_code > 0)
        affine_of_qform(h, h->affine);
    else
        affine_of_zooms(h, h->affine);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            if (!isfinite(h->affine[i][j]) || !isfinite(h->zooms[i]))
                return error_set(error, TS_BAD_INPUT,
                                 "'%s': its voxel sizes or its place in space (qform, sform) are "
                                 "not finite numbers",
                                 name);
    h->guessed = h->sform_code <= 0 && h->qform_code <= 0;
    h->two_sizes = sizes_differ(h);
    return TS_OK;
}

/* ---- checks ------------------------------------------------------------------------------- */

static ts_status read_shape(const fields *f, const char *name, nifti_description *d,
                            ts_error *error)
{
    volume_header *h = &d->header;
    size_t voxels = 1, bytes;
    const int64_t dimensions = get_extent(f, 0);
    if (dimensions < 1 || dimensions > 7)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' says it has %lld dimensions (1 to 7 are possible)", name,
                         (long long)dimensions);
    h->dimensions = (int)dimensions;
    for (int i = 0; i < 7; i++) {
        h->shape[i] = i < h->dimensions ? get_extent(f, (size_t)i + 1) : 1;
        h->zooms[i] = i < h->dimensions ? fabs(get_real(f, f->at->pixdim, (size_t)i + 1)) : 1;
        if (h->shape[i] < 1)
            return error_set(error, TS_BAD_INPUT, "'%s': its axis %d has an extent of %lld", name,
                             i + 1, (long long)h->shape[i]);
        if (h->shape[i] > PTRDIFF_MAX || !size_multiply(voxels, (size_t)h->shape[i], &voxels))
            return error_set(error, TS_BAD_INPUT, "'%s': the number of its voxels overflows", name);
    }
    if (!size_multiply(voxels, 16, &bytes) || bytes > PTRDIFF_MAX)
        return error_set(error, TS_BAD_INPUT, "'%s': the number of its voxels overflows", name);
    d->voxels = (int64_t)voxels;
    return TS_OK;
}

static ts_status read_values(const fields *f, const char *name, nifti_description *d,
                             ts_error *error)
{
    volume_header *h = &d->header;
    h->datatype = (int16_t)get_bits(f, f->at->datatype, 2);
    d->value_bytes = volume_datatype_bytes(h->datatype);
    if (!d->value_bytes) {
        const char *type = volume_datatype_name(h->datatype);
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has the data type %s (code %d), which is not read: real integer and "
                         "floating-point types are",
                         name, type ? type : "of an unknown kind", h->datatype);
    }
    h->slope = get_real(f, f->at->slope, 0);
    h->intercept = get_real(f, f->at->intercept, 0);
    if (h->slope == 0 || !isfinite(h->slope)) {
        h->slope = 1;
        h->intercept = 0;
    } else if (!isfinite(h->intercept))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': scl_slope is %g but scl_inter is not a finite number", name,
                         h->slope);
    return TS_OK;
}

static ts_status read_offset(const fields *f, const char *name, nifti_description *d,
                             ts_error *error)
{
    const double real = f->at->wide ? (double)(int64_t)get_bits(f, f->at->vox_offset, 8)
                                    : get_real(f, f->at->vox_offset, 0);
    const uint64_t least = !d->single ? 0 : f->at->wide ? NIFTI_2_HEADER + 4 : NIFTI_SINGLE_OFFSET;
    if (!(real >= 0 && real < 0x1p62))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': its header says that the voxels begin at byte %g", name, real);
    d->data_offset = (uint64_t)real < least ? least : (uint64_t)real;
    return TS_OK;
}

/* What a file is that does not begin like NIfTI, and the remedy. */
static const char *what_it_is(const uint8_t *bytes, size_t count)
{
    if (nifti_is_dicom(bytes, count))
        return "it is DICOM ('twinseg prepare' makes a case of a patient's DICOM folders)";
    if (count > 11 && !memcmp(bytes, "version http", 12))
        return "it is a pointer of Git LFS ('git lfs pull' fetches the file itself)";
    return "its first number is neither 348 nor 540";
}

bool nifti_is_dicom(const uint8_t *bytes, size_t count)
{
    return count >= 132 && !memcmp(bytes + 128, "DICM", 4);
}

ts_status nifti_parse(const uint8_t *bytes, size_t count, const char *name, nifti_description *d,
                      ts_error *error)
{
    static const uint8_t first_1[4] = {0x5c, 1, 0, 0}, first_2[4] = {0x1c, 2, 0, 0};
    static const uint8_t swapped_1[4] = {0, 0, 1, 0x5c}, swapped_2[4] = {0, 0, 2, 0x1c};
    fields f = {.bytes = bytes};
    *d = (nifti_description){0};
    if (count == 0)
        return error_set(error, TS_BAD_INPUT, "'%s' is empty", name);
    if (count < 4)
        return error_set(error, TS_BAD_INPUT, "'%s' is cut short: it has %zu bytes", name, count);
    if (!memcmp(bytes, first_1, 4) || !memcmp(bytes, swapped_1, 4))
        f.at = &places_1;
    else if (!memcmp(bytes, first_2, 4) || !memcmp(bytes, swapped_2, 4))
        f.at = &places_2;
    else
        return error_set(error, TS_BAD_INPUT, "'%s' is not a NIfTI file: %s", name,
                         what_it_is(bytes, count));
    f.swap = bytes[0] == 0;
    if (count < (size_t)(f.at->wide ? NIFTI_2_HEADER : NIFTI_1_HEADER))
        return error_set(error, TS_BAD_INPUT, "'%s' is cut short within its header", name);
    const char *magic = (const char *)bytes + (f.at->wide ? 4 : 344);
    const char digit = f.at->wide ? '2' : '1';
    if (magic[0] != 'n' || (magic[1] != '+' && magic[1] != 'i') || magic[2] != digit || magic[3])
        return error_set(
            error, TS_BAD_INPUT,
            "'%s' is not a NIfTI file: the magic word of its header is wrong (Analyze 7.5 "
            "files have none and are not read)",
            name);
    d->single = magic[1] == '+';
    d->swap = f.swap;
    d->header.version = f.at->wide ? NIFTI_2 : NIFTI_1;
    d->header.big_endian = f.swap;
    ts_status status = read_shape(&f, name, d, error);
    if (status != TS_OK)
        return status;
    status = read_values(&f, name, d, error);
    if (status != TS_OK)
        return status;
    status = read_offset(&f, name, d, error);
    return status == TS_OK ? read_space(&f, name, &d->header, error) : status;
}

/* ---- doubts ------------------------------------------------------------------------------- */

static ts_status add_doubt(string_list *sentences, char *sentence, ts_error *error)
{
    const ts_status status = sentence ? string_list_add(sentences, sentence, error)
                                      : error_set(error, TS_MEMORY, "out of memory");
    free(sentence);
    return status;
}

ts_status volume_header_doubts(const volume_header *h, const char *path, volume_doubts *known,
                               string_list *sentences, ts_error *error)
{
    ts_status status = TS_OK;
    volume_doubts none = {0}, *k = known ? known : &none;
    const bool guessed = h->guessed && !k->guessed, two_sizes = h->two_sizes && !k->two_sizes;
    k->guessed = k->guessed || h->guessed;
    k->two_sizes = k->two_sizes || h->two_sizes;
    if (guessed)
        status = add_doubt(
            sentences,
            string_format("'%s' does not say how its voxels lie in space (qform_code and "
                          "sform_code are 0): its axes are taken to run to the patient's left, "
                          "front and top, and if that is wrong the image is mirrored or turned; "
                          "copy the header of another image of the case, or convert it anew",
                          path),
            error);
    if (status == TS_OK && two_sizes)
        status = add_doubt(
            sentences,
            string_format(
                "'%s' contradicts itself: its voxel sizes (pixdim) are %.4gx%.4gx%.4g mm, "
                "the columns of its affine (%s) %.4gx%.4gx%.4g mm long; the voxel sizes "
                "are taken, correct whichever is wrong",
                path, h->zooms[0], h->zooms[1], h->zooms[2], h->sform_code > 0 ? "sform" : "qform",
                column_length(h->affine, 0), column_length(h->affine, 1),
                column_length(h->affine, 2)),
            error);
    if (status == TS_OK && h->ignored_bytes > 0)
        status =
            add_doubt(sentences,
                      string_format("'%s': %lld bytes behind its gzip data are ignored; copy the "
                                    "file anew if they should be part of it",
                                    path, (long long)h->ignored_bytes),
                      error);
    return status;
}

void volume_warn_doubts(const volume_header *h, const char *path, volume_doubts *known)
{
    string_list doubts = {0};
    ts_error error;
    if (volume_header_doubts(h, path, known, &doubts, &error) != TS_OK)
        warn("%s", error.text);
    for (size_t i = 0; i < doubts.count; i++)
        warn("%s", doubts.items[i]);
    string_list_free(&doubts);
}

/* ---- grids -------------------------------------------------------------------------------- */

volume_header volume_header_make(const int64_t shape[3], const double spacing[3],
                                 const double affine[4][4])
{
    volume_header h = {.version = NIFTI_1,
                       .dimensions = 3,
                       .datatype = 16,
                       .sform_code = 1,
                       .qfac = 1,
                       .slope = 1};
    for (int i = 0; i < 7; i++) {
        h.shape[i] = i < 3 ? shape[i] : 1;
        h.zooms[i] = i < 3 ? spacing[i] : 1;
    }
    memcpy(h.affine, affine, sizeof h.affine);
    h.two_sizes = sizes_differ(&h);
    return h;
}

bool volume_same_grid(const volume_header *a, const volume_header *b)
{
    for (int i = 0; i < 3; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    for (int corner = 0; corner < 8; corner++)
        for (int i = 0; i < 3; i++) {
            double distance = a->affine[i][3] - b->affine[i][3];
            for (int j = 0; j < 3; j++)
                if (corner >> j & 1)
                    distance += (a->affine[i][j] - b->affine[i][j]) * (double)(a->shape[j] - 1);
            if (!(fabs(distance) <= 1e-3))
                return false;
        }
    return true;
}
