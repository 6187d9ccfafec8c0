/* A trained nnU-Net 2 model (PlainConvUNet), flattened by tools/nnunet_to_safetensors.py, as a
 * model of ours. The network is the same up to names and order: nnU-Net counts decoder stages from
 * the lowest, its input channels and classes are in dataset.json's order, and its lowest decoder
 * stage has a head that its loss leaves out, as there is none here. Everything that the engine does
 * not do is refused by name. */
#include "exchange/exchange.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What is being read: the file and the parsed metadata. */
typedef struct {
    const char *path;
    safetensors file;
    json_t *plans, *dataset;
    dataset_description about;
    int in[MODALITIES]; /* nnU-Net's channel of our i-th */
    int classes[4];     /* nnU-Net's output of our i-th (labels or regions) */
    ts_error *error;
} reading;

static ts_status refuse(const reading *r, const char *format, ...) PRINTF_LIKE(2, 3);
static ts_status refuse(const reading *r, const char *format, ...)
{
    char reason[512];
    va_list list;
    va_start(list, format);
    vsnprintf(reason, sizeof reason, format, list);
    va_end(list);
    return error_set(r->error, TS_BAD_INPUT, "'%s' cannot be imported: %s", r->path, reason);
}

/* ---- metadata ------------------------------------------------------------------------------- */

static ts_status open_file(reading *r)
{
    static const char how[] =
        "make it with tools/nnunet_to_safetensors.py from a trained nnU-Net 2 "
        "model";
    ts_status status = safetensors_read(r->path, &r->file, r->error);
    if (status != TS_OK)
        return status;
    const char *format = safetensors_metadata(&r->file, "nnunet.format");
    const char *plans = safetensors_metadata(&r->file, "nnunet.plans");
    const char *data_set = safetensors_metadata(&r->file, "nnunet.dataset");
    if (!format || !plans || !data_set)
        return refuse(r, "it has no description of nnU-Net's plans; %s", how);
    if (strcmp(format, "1"))
        return refuse(r, "its format '%.16s' is not known here; %s of this version", format, how);
    r->plans = json_loads(plans, 0, NULL);
    r->dataset = json_loads(data_set, 0, NULL);
    if (!json_is_object(r->plans) || !json_is_object(r->dataset))
        return refuse(r, "its description is not JSON; %s", how);
    return dataset_describe(data_set, strlen(data_set), r->path, &r->about, r->error);
}

static const json_t *argument(const reading *r, const char *name)
{
    return json_object_get(json_object_get(r->plans, "arguments"), name);
}

/* Is `list` of `count` elements (or their one value), each a number or a triple equal to
 * `value`? */
static bool all_equal(const json_t *list, size_t count, double value)
{
    size_t i;
    json_t *item;
    if (json_is_number(list))
        return json_number_value(list) == value;
    if (!json_is_array(list) || (count && json_array_size(list) != count))
        return false;
    json_array_foreach(list, i, item)
    {
        if (!all_equal(item, 0, value))
            return false;
    }
    return true;
}

/* The whole number at index i of a list; -1 where there is none. */
static int64_t integer_at(const json_t *list, size_t i)
{
    const json_t *item = json_array_get(list, i);
    return json_is_integer(item) ? json_integer_value(item) : -1;
}

/* ---- the network ----------------------------------------------------------------------------- */

static ts_status read_stages(const reading *r, plan *p)
{
    const json_t *features = argument(r, "features_per_stage"), *strides = argument(r, "strides");
    const size_t stages = json_array_size(features);
    if (stages < 2 || stages > 8 || json_integer_value(argument(r, "n_stages")) != (int64_t)stages)
        return refuse(r, "it has %zu stages where 2 to 8 are possible", stages);
    p->stages = (int64_t)stages;
    p->base = integer_at(features, 0);
    p->cap = integer_at(features, stages - 1);
    if (p->base < 1 || p->base > 512 || p->cap < 1 || p->cap > 2048)
        return refuse(r, "its stages have from %lld to %lld features", (long long)p->base,
                      (long long)p->cap);
    for (size_t s = 0; s < stages; s++) {
        const int64_t width = p->base << s < p->cap ? p->base << s : p->cap;
        if (integer_at(features, s) != width)
            return refuse(r,
                          "stage %zu has %lld features; here they double from stage to stage up "
                          "to a limit, which would make %lld",
                          s, (long long)integer_at(features, s), (long long)width);
        if (!all_equal(json_array_get(strides, s), 0, s ? 2 : 1))
            return refuse(r,
                          "the stride of stage %zu is not %d in all three axes (anisotropic data "
                          "set?)",
                          s, s ? 2 : 1);
    }
    return TS_OK;
}

static ts_status read_network(const reading *r, plan *p)
{
    const json_t *network = json_object_get(r->plans, "network"), *norm, *slope;
    const char *name = json_is_string(network) ? json_string_value(network) : "without a name";
    ts_status status;
    if (strcmp(name, "PlainConvUNet"))
        return refuse(r, "its network is %.64s; only PlainConvUNet can be (no residual encoders)",
                      name);
    const json_t *operator= argument(r, "conv_op");
    if (!json_is_string(operator) || !string_ends(json_string_value(operator), "Conv3d"))
        return refuse(r, "it is not three-dimensional: take the configuration 3d_fullres");
    if ((status = read_stages(r, p)) != TS_OK)
        return status;
    if (!all_equal(argument(r, "kernel_sizes"), (size_t)p->stages, 3))
        return refuse(r, "its kernels are not 3x3x3 everywhere (anisotropic data set?)");
    if (!all_equal(argument(r, "n_conv_per_stage"), (size_t)p->stages, 2) ||
        !all_equal(argument(r, "n_conv_per_stage_decoder"), (size_t)p->stages - 1, 2))
        return refuse(r, "its stages do not have two convolutions each");
    if (!json_is_true(argument(r, "conv_bias")) || json_is_true(argument(r, "nonlin_first")))
        return refuse(r, "its convolutions lack a bias, or it normalises after the activation");
    norm = argument(r, "norm_op_kwargs");
    slope = json_object_get(argument(r, "nonlin_kwargs"), "negative_slope");
    if (!json_is_true(json_object_get(norm, "affine")) ||
        json_number_value(json_object_get(norm, "eps")) != 1e-5 ||
        !json_is_null(argument(r, "dropout_op")) || (slope && json_number_value(slope) != 0.01) ||
        !json_is_string(argument(r, "norm_op")) || !json_is_string(argument(r, "nonlin")) ||
        !strstr(json_string_value(argument(r, "norm_op")), "InstanceNorm3d") ||
        !string_ends(json_string_value(argument(r, "nonlin")), "LeakyReLU"))
        return refuse(r,
                      "its layers are not convolution, instance norm (affine, eps 1e-5) and leaky "
                      "ReLU (0.01), without dropout");
    return TS_OK;
}

/* ---- the images ------------------------------------------------------------------------------ */

static ts_status read_preparation(const reading *r, plan *p)
{
    const json_t *patch = json_object_get(r->plans, "patch_size");
    const json_t *spacing = json_object_get(r->plans, "spacing");
    const json_t *order = json_object_get(r->plans, "transpose_forward");
    const json_t *schemes = json_object_get(r->plans, "normalization_schemes");
    const json_t *masks = json_object_get(r->plans, "use_mask_for_norm");
    for (size_t i = 0; i < 3; i++) {
        p->patch[i] = integer_at(patch, i);
        if (integer_at(order, i) != (int64_t)i)
            return refuse(r, "its plans permute the axes");
    }
    p->spacing_mm = json_number_value(json_array_get(spacing, 0));
    if (!all_equal(spacing, 3, p->spacing_mm) || !(p->spacing_mm > 0))
        return refuse(r, "its voxels are not as long as they are wide and high");
    if (json_array_size(patch) != 3 || p->patch[0] < 1 || p->patch[1] < 1 || p->patch[2] < 1)
        return refuse(r, "its patch is not of three sizes");
    if (json_is_string(json_object_get(r->plans, "previous_stage")))
        return refuse(r, "it is the second stage of a cascade");
    for (int k = 0; k < r->about.channels; k++) {
        const json_t *scheme = json_array_get(schemes, (size_t)k);
        if (!json_is_string(scheme) || strcmp(json_string_value(scheme), "ZScoreNormalization") ||
            !json_is_true(json_array_get(masks, (size_t)k)))
            return refuse(r, "channel %d is not normalised by z-score within the brain", k);
    }
    return TS_OK;
}

static ts_status read_channels(reading *r, plan *p)
{
    p->student = 0;
    for (int k = 0; k < r->about.channels; k++) {
        if (r->about.role[k] < 0)
            return refuse(r, "its channel '%s' is not one of t1, t1ce, t2, flair",
                          r->about.name[k]);
        p->student |= 1u << r->about.role[k];
    }
    for (int k = 0; k < r->about.channels; k++)
        r->in[modality_count(p->student & ((1u << r->about.role[k]) - 1))] = k;
    return TS_OK;
}

/* ---- the classes ----------------------------------------------------------------------------- */

/* The set of our classes (bit c) that the values of one entry of "labels" stand for. */
static unsigned classes_of(const reading *r, const json_t *values)
{
    unsigned set = 0;
    const size_t count = json_is_array(values) ? json_array_size(values) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(values) ? json_array_get(values, i) : values;
        uint8_t value = (uint8_t)json_integer_value(item);
        if (labels_map(&value, 1, r->about.labels, false, r->path, NULL) == TS_OK)
            set |= 1u << value;
    }
    return set;
}

/* Regions: heads are the entries of "labels" in their order, and where they exceed one half their
 * values of regions_class_order overwrite each other; here that is WT, TC, ET with ED, NCR, ET. */
static ts_status read_regions(reading *r)
{
    static const unsigned written[REGIONS] = {1u << LABEL_ED, 1u << LABEL_NCR, 1u << LABEL_ET};
    const json_t *labels = json_object_get(r->dataset, "labels");
    const json_t *order = json_object_get(r->dataset, "regions_class_order");
    const char *key;
    json_t *values;
    size_t k = 0;
    json_object_foreach((json_t *)(uintptr_t)labels, key, values)
    {
        if (!strcmp(key, "background") || !strcmp(key, "ignore"))
            continue;
        if (k == REGIONS || classes_of(r, values) != region_labels[k] ||
            classes_of(r, json_array_get(order, k)) != written[k])
            return refuse(r,
                          "its regions are not whole tumour, tumour core and enhancing tumour in "
                          "this order (the %zuth is '%.64s')",
                          k + 1, key);
        r->classes[k] = (int)k;
        k++;
    }
    return k == REGIONS ? TS_OK : refuse(r, "it has %zu regions where WT, TC and ET are wanted", k);
}

static ts_status read_classes(reading *r, plan *p)
{
    const json_t *labels = json_object_get(r->dataset, "labels");
    const char *key;
    json_t *values;
    bool regions = false;
    unsigned seen = 0;
    if (r->about.labels == LABELS_AUTO)
        return refuse(r,
                      "its labels ('%s') are not an order of necrosis, edema and enhancing tumour "
                      "known here",
                      r->about.label_names);
    json_object_foreach((json_t *)(uintptr_t)labels, key, values) regions |=
        json_array_size(values) > 1;
    p->loss = regions ? LOSS_REGIONS : LOSS_CE_DICE;
    if (regions)
        return read_regions(r);
    json_object_foreach((json_t *)(uintptr_t)labels, key, values)
    {
        const json_t *item = json_is_array(values) ? json_array_get(values, 0) : values;
        const unsigned set = classes_of(r, item);
        const int64_t value = json_integer_value(item);
        if (!strcmp(key, "ignore"))
            continue;
        if (value < 0 || value > 3 || seen & set)
            return refuse(r,
                          "its labels must be 0 to 3, one each for background, necrosis, edema "
                          "and enhancing tumour ('%.64s' is %lld)",
                          key, (long long)value);
        seen |= set;
        r->classes[__builtin_ctz(set)] = (int)value;
    }
    return seen == 15
               ? TS_OK
               : refuse(r, "it does not name background, necrosis, edema and enhancing tumour");
}

/* ---- the weights ----------------------------------------------------------------------------- */

/* nnU-Net's name of one of our parameters; room for 64 characters. */
static void foreign_name(const char *name, int stages, char out[64])
{
    int stage = 0, index;
    char part[16] = "";
    sscanf(name, "%*[a-z].%d", &stage);
    const int from_below = stages - 2 - stage;
    const char *last = strrchr(name, '.') + 1;
    if (!strncmp(name, "head.", 5))
        snprintf(out, 64, "decoder.seg_layers.%d.%s", from_below, last);
    else if (strstr(name, ".up."))
        snprintf(out, 64, "decoder.transpconvs.%d.%s", from_below, last);
    else if (sscanf(name, "encoder.%*d.%4[a-z]%d", part, &index) == 2)
        snprintf(out, 64, "encoder.stages.%d.0.convs.%d.%s.%s", stage, index, part, last);
    else if (sscanf(name, "decoder.%*d.%4[a-z]%d", part, &index) == 2)
        snprintf(out, 64, "decoder.stages.%d.convs.%d.%s.%s", from_below, index, part, last);
}

/* Copies slices of a tensor whose axis `axis` (0 or 1) is taken in `order`. */
static void copy_ordered(float *out, const float *in, const net_parameter *p, int axis,
                         const int *order)
{
    const int64_t outer = axis ? p->shape[0] : 1, along = p->shape[axis];
    const int64_t slice = p->count / outer / along;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < along; i++)
            memcpy(out + (o * along + i) * slice, in + (o * along + order[i]) * slice,
                   (size_t)slice * sizeof *out);
}

static ts_status read_parameter(const reading *r, const net_parameter *p, int stages,
                                float *weights)
{
    char name[64] = "";
    foreign_name(p->name, stages, name);
    const safetensor *t = safetensors_find(&r->file, name);
    bool same = t && !strcmp(t->dtype, "F32") && t->dimensions == p->dimensions;
    for (int i = 0; same && i < p->dimensions; i++)
        same = t->shape[i] == p->shape[i];
    if (!same)
        return refuse(r, "the weights '%s' are missing or of another shape than its plans say",
                      name);
    float *out = weights + p->offset;
    float *plain = memory_allocate((size_t)p->count, sizeof *plain, r->path, r->error);
    if (!plain)
        return TS_MEMORY;
    memcpy(plain, t->data, t->bytes);
    if (!strcmp(p->name, "encoder.0.conv0.weight"))
        copy_ordered(out, plain, p, 1, r->in);
    else if (!strncmp(p->name, "head.", 5))
        copy_ordered(out, plain, p, 0, r->classes);
    else
        memcpy(out, plain, t->bytes);
    free(plain);
    return TS_OK;
}

static ts_status read_weights(const reading *r, model *m)
{
    net_parameter *parameters;
    size_t count, bytes = 0;
    ts_status status = net_layout(&m->config, &parameters, &count, &m->weight_count, r->error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < r->file.count; i++)
        bytes += r->file.tensors[i].bytes;
    /* nothing is allocated for weights that the file does not hold */
    if (bytes < (size_t)m->weight_count * sizeof(float)) {
        status = refuse(r, "it holds fewer weights than its plans need");
        goto done;
    }
    m->weights = memory_allocate((size_t)m->weight_count, sizeof(float), r->path, r->error);
    status = m->weights ? TS_OK : TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < count; i++)
        status = read_parameter(r, &parameters[i], m->config.stages, m->weights);
done:
    free(parameters);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The settings that the network and its images were made with. */
static ts_status read_plan(reading *r, plan *p)
{
    ts_error cause;
    ts_status status;
    plan_defaults(p);
    p->method = METHOD_STUDENT_ONLY;
    p->deep_supervision = true;
    if ((status = read_network(r, p)) != TS_OK || (status = read_preparation(r, p)) != TS_OK ||
        (status = read_channels(r, p)) != TS_OK || (status = read_classes(r, p)) != TS_OK)
        return status;
    return plan_check(p, &cause) == TS_OK ? TS_OK : refuse(r, "%s", cause.text);
}

static ts_status read_all(reading *r, model *m)
{
    const ts_status status = read_plan(r, &m->plan);
    if (status != TS_OK)
        return status;
    strcpy(m->role, "student");
    m->channels = m->plan.student;
    m->brain = BRAIN_UNION;
    m->config = net_config_of(&m->plan, m->channels);
    json_t *origin = json_pack("{s:s, s:O?}", "imported_from", "nnU-Net 2", "origin",
                               json_object_get(r->plans, "origin"));
    m->provenance = origin ? json_dumps(origin, JSON_COMPACT) : NULL;
    json_decref(origin);
    if (!m->provenance)
        return error_set(r->error, TS_MEMORY, "out of memory while reading '%s'", r->path);
    return read_weights(r, m);
}

ts_status exchange_import_nnunet(const char *path, model *out, ts_error *error)
{
    reading r = {.path = path, .error = error};
    *out = (model){0};
    ts_status status = open_file(&r);
    if (status == TS_OK)
        status = read_all(&r, out);
    if (status != TS_OK)
        model_free(out);
    json_decref(r.plans);
    json_decref(r.dataset);
    safetensors_free(&r.file);
    return status;
}
