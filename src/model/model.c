/* A model file: weights by net_layout's names, and the metadata that makes it complete. Every value
 * of the metadata is a string; structured values are JSON. */
#include "model/model.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const normalisations[] = {
    [BRAIN_OWN] = "{\"kind\":\"z-score\",\"over\":\"non-zero voxels\",\"outside\":0}",
    [BRAIN_UNION] = "{\"kind\":\"z-score\",\"over\":\"non-zero voxels of any modality, holes "
                    "filled\",\"outside\":0}",
};
static const char labels_of_classes[] =
    "{\"0\":\"background\",\"1\":\"NCR\",\"2\":\"ED\",\"3\":\"ET\"}";
static const char labels_of_heads[] = "{\"0\":\"background\",\"1\":\"brain\"}"; /* any-image */
static const char labels_of_regions[] = "{\"0\":\"WT\",\"1\":\"TC\",\"2\":\"ET\"}";

static const char inputs_any[] = "any subset", inputs_all[] = "all";
static const char inputs_one[] = "any image";

void weights_fingerprint(const float *weights, int64_t count, char hex[20])
{
    const uint64_t print = hash_bytes(HASH_START, weights, (size_t)count * sizeof *weights);
    snprintf(hex, 20, "%016llx", (unsigned long long)print);
}

const char *model_name(const model *m)
{
    return m->name ? m->name : "the model";
}

bool model_any_subset(const model *m)
{
    return !strcmp(m->role, "student") && plan_any_subset(&m->plan);
}

bool model_any_image(const model *m)
{
    return plan_any_image(&m->plan);
}

/* What the inputs must be: all, any subset, or one image. */
static const char *inputs_written(const model *m)
{
    return model_any_subset(m) ? inputs_any : model_any_image(m) ? inputs_one : inputs_all;
}

static const char *labels_written(const plan *p)
{
    if (plan_any_image(p))
        return labels_of_heads;
    return p->loss == LOSS_REGIONS ? labels_of_regions : labels_of_classes;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The plan's keys and values as a JSON object of strings; free(). */
static char *plan_json(const plan *p)
{
    json_t *object = json_object();
    char value[128];
    bool good = object != NULL;
    for (size_t i = 0; good && i < plan_keys(); i++) {
        plan_value(p, i, value, sizeof value);
        good = json_object_set_new(object, plan_key(i), json_string(value)) == 0;
    }
    char *out = good ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return out;
}

static char *rules_json(const model_rules *r)
{
    return string_format("{\"cases\":%lld,\"et_mm3\":%.6g,\"component_mm3\":%.6g,"
                         "\"component_confidence\":%.6g}",
                         (long long)r->cases, r->et_mm3, r->component_mm3, r->component_confidence);
}

ts_status model_metadata_make(const model *m, model_metadata *out, ts_error *error)
{
    char channels[24];
    *out = (model_metadata){0};
    const struct {
        const char *key;
        bool there;
        char *value;
    } entries[METADATA_MAX] = {
        {"twinseg.format", true, string_format("%d", MODEL_FORMAT)},
        {"twinseg.version", true, string_format("%s", ts_version())},
        {"twinseg.role", true, string_format("%s", m->role)},
        {"twinseg.channels", true, string_format("%s", modality_print(m->channels, channels))},
        {"twinseg.inputs", true, string_format("%s", inputs_written(m))},
        {"twinseg.labels", true, string_format("%s", labels_written(&m->plan))},
        {"twinseg.plan", true, plan_json(&m->plan)},
        {"twinseg.normalisation", true, string_format("%s", normalisations[m->brain])},
        {"twinseg.provenance", m->provenance, m->provenance ? strdup(m->provenance) : NULL},
        {"twinseg.likeness", m->likeness.cases,
         m->likeness.cases ? likeness_print(&m->likeness) : NULL},
        {"twinseg.rules", m->rules.cases, m->rules.cases ? rules_json(&m->rules) : NULL},
    };
    bool good = true;
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        if (!entries[i].there)
            continue;
        out->keys[out->count] = entries[i].key;
        out->values[out->count++] = entries[i].value;
        good = good && entries[i].value;
    }
    if (good)
        return TS_OK;
    model_metadata_free(out);
    return error_set(error, TS_MEMORY, "out of memory for a model's metadata");
}

void model_metadata_free(model_metadata *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->values[i]);
    *d = (model_metadata){0};
}

safetensor model_tensor(const model *m, const net_parameter *p)
{
    safetensor t = {
        .dtype = "F32",
        .dimensions = p->dimensions,
        .data = m->weights + p->offset,
        .bytes = (size_t)p->count * sizeof(float),
    };
    snprintf(t.name, sizeof t.name, "%s", p->name);
    memcpy(t.shape, p->shape, sizeof p->shape);
    return t;
}

ts_status model_write(const char *path, const model *m, ts_error *error)
{
    net_parameter *parameters;
    size_t count;
    int64_t weights;
    ts_status status = net_layout(&m->config, &parameters, &count, &weights, error);
    if (status != TS_OK)
        return status;
    model_metadata d = {0};
    safetensor *tensors = memory_allocate(count, sizeof *tensors, "a model's header", error);
    if (!tensors) {
        status = TS_MEMORY;
        goto done;
    }
    if (weights != m->weight_count) {
        status = error_set(error, TS_BAD_INPUT, "the model for '%s' has %lld weights, not %lld",
                           path, (long long)m->weight_count, (long long)weights);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        tensors[i] = model_tensor(m, &parameters[i]);
    status = model_metadata_make(m, &d, error);
    if (status == TS_OK)
        status = safetensors_write(path, tensors, count, d.keys, (const char *const *)d.values,
                                   d.count, error);
done:
    model_metadata_free(&d);
    free(tensors);
    free(parameters);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------ */

static ts_status read_plan(const char *content, const char *name, plan *p, ts_error *error)
{
    char source[512];
    const char *key;
    json_t *value, *object = json_loads(content, JSON_REJECT_DUPLICATES, NULL);
    ts_status status = TS_OK;
    plan_defaults(p);
    snprintf(source, sizeof source, "'%s' (its plan)", name);
    if (!json_is_object(object))
        status = error_set(error, TS_BAD_INPUT, "'%s': its plan is not a JSON object", name);
    json_object_foreach(object, key, value)
    {
        if (status == TS_OK && !json_is_string(value))
            status = error_set(error, TS_BAD_INPUT,
                               "'%s': the value of '%.64s' in its plan is not "
                               "a string",
                               name, key);
        if (status == TS_OK)
            status = plan_set(p, key, json_string_value(value), source, error);
    }
    json_decref(object);
    if (status != TS_OK)
        return status;
    ts_error cause;
    if (plan_check(p, &cause) != TS_OK)
        return error_set(error, TS_BAD_INPUT, "'%s' (its plan): %s", name, cause.text);
    return TS_OK;
}

/* The metadata that a model must have, or an error that names what is missing. */
static ts_status require(const safetensors *s, const char *name, const char *key,
                         const char **value, ts_error *error)
{
    *value = safetensors_metadata(s, key);
    if (*value)
        return TS_OK;
    return error_set(error, TS_BAD_INPUT,
                     "'%s' is not a model of twinseg: its metadata lack '%s'; give a "
                     "model.safetensors that 'twinseg train' wrote",
                     name, key);
}

static ts_status read_rules(const char *content, const char *name, model_rules *r, ts_error *error)
{
    json_int_t cases = 0;
    json_t *object = json_loads(content, JSON_REJECT_DUPLICATES, NULL);
    const bool good = object &&
                      json_unpack(object, "{s:I, s:F, s:F, s?F}", "cases", &cases, "et_mm3",
                                  &r->et_mm3, "component_mm3", &r->component_mm3,
                                  "component_confidence", &r->component_confidence) == 0 &&
                      cases > 0 && r->et_mm3 >= 0 && r->component_mm3 >= 0 &&
                      r->component_confidence >= 0 && r->component_confidence <= 1;
    r->cases = (int64_t)cases;
    json_decref(object);
    return good ? TS_OK
                : error_set(error, TS_BAD_INPUT, "'%s': its rules ('twinseg.rules') are damaged",
                            name);
}

static ts_status read_metadata(const safetensors *s, const char *name, model *m, ts_error *error)
{
    const char *format, *settings, *channels, *role, *labels, *scaling;
    int64_t number;
    ts_status status = require(s, name, "twinseg.format", &format, error);
    if (status != TS_OK)
        return status;
    if (!parse_integer(format, &number) || number < 1)
        return error_set(error, TS_BAD_INPUT, "'%s': its format version '%.32s' is not a number",
                         name, format);
    if (number > MODEL_FORMAT)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has format version %lld and was written by a newer twinseg (%.32s); "
                         "this is %s, which reads up to version %d: update it",
                         name, (long long)number,
                         safetensors_metadata(s, "twinseg.version") ?: "of unknown version",
                         ts_version(), MODEL_FORMAT);
    if ((status = require(s, name, "twinseg.plan", &settings, error)) != TS_OK ||
        (status = require(s, name, "twinseg.channels", &channels, error)) != TS_OK ||
        (status = require(s, name, "twinseg.role", &role, error)) != TS_OK ||
        (status = require(s, name, "twinseg.labels", &labels, error)) != TS_OK ||
        (status = require(s, name, "twinseg.normalisation", &scaling, error)) != TS_OK ||
        (status = read_plan(settings, name, &m->plan, error)) != TS_OK)
        return status;
    if (modality_parse(channels, &m->channels, NULL) != TS_OK)
        m->channels = 0; /* caught below: no role has none */
    if (strcmp(role, "student") && strcmp(role, "teacher"))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': its role '%.32s' is neither student nor teacher", name, role);
    strcpy(m->role, role);
    if (m->channels != (strcmp(role, "teacher") ? plan_student_channels(&m->plan) : ALL_MODALITIES))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': its channels '%.32s' disagree with its plan and role", name,
                         channels);
    const char *inputs = safetensors_metadata(s, "twinseg.inputs");
    if (inputs && strcmp(inputs, inputs_written(m)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': its inputs '%.32s' disagree with its method and role", name,
                         inputs);
    m->brain = strcmp(scaling, normalisations[BRAIN_UNION]) ? BRAIN_OWN : BRAIN_UNION;
    if (strcmp(scaling, normalisations[m->brain]) || strcmp(labels, labels_written(&m->plan)))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' needs a normalisation or labels that this "
                         "twinseg does not know",
                         name);
    const char *looks = safetensors_metadata(s, "twinseg.likeness");
    if (looks && (status = likeness_parse(looks, name, &m->likeness, error)) != TS_OK)
        return status;
    const char *rules = safetensors_metadata(s, "twinseg.rules");
    if (rules && (status = read_rules(rules, name, &m->rules, error)) != TS_OK)
        return status;
    const char *provenance = safetensors_metadata(s, "twinseg.provenance");
    if (provenance && !(m->provenance = strdup(provenance)))
        return error_set(error, TS_MEMORY, "out of memory while reading '%s'", name);
    return TS_OK;
}

static ts_status read_weight(const safetensors *s, const char *name, const net_parameter *p,
                             float *weights, ts_error *error)
{
    const safetensor *t = safetensors_find(s, p->name);
    if (!t)
        return error_set(error, TS_BAD_INPUT, "'%s' lacks the weights '%s' that its plan requires",
                         name, p->name);
    bool same = !strcmp(t->dtype, "F32") && t->dimensions == p->dimensions;
    for (int i = 0; same && i < p->dimensions; i++)
        same = t->shape[i] == p->shape[i];
    if (!same)
        return error_set(error, TS_BAD_INPUT,
                         "'%s': the type or shape of '%s' disagrees with the model's plan", name,
                         p->name);
    memcpy(weights + p->offset, t->data, t->bytes);
    for (int64_t i = 0; i < p->count; i++)
        if (!isfinite(weights[p->offset + i]))
            return error_set(error, TS_BAD_INPUT, "'%s': '%s' holds a weight that is not finite",
                             name, p->name);
    return TS_OK;
}

static ts_status read_weights(const safetensors *s, const char *name, model *m, ts_error *error)
{
    net_parameter *parameters;
    size_t count;
    m->config = net_config_of(&m->plan, m->channels);
    ts_status status = net_layout(&m->config, &parameters, &count, &m->weight_count, error);
    if (status != TS_OK)
        return status;
    if (count != s->count) {
        status = error_set(error, TS_BAD_INPUT, "'%s' has %zu tensors where its plan requires %zu",
                           name, s->count, count);
        goto done;
    }
    /* The shapes first: nothing is allocated for weights that the file does not hold. */
    size_t bytes = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += s->tensors[i].bytes;
    if (bytes != (size_t)m->weight_count * sizeof(float)) {
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' holds %zu bytes of weights where its plan requires %zu", name,
                           bytes, (size_t)m->weight_count * sizeof(float));
        goto done;
    }
    m->weights = memory_allocate((size_t)m->weight_count, sizeof(float), name, error);
    status = m->weights ? TS_OK : TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < count; i++)
        status = read_weight(s, name, &parameters[i], m->weights, error);
done:
    free(parameters);
    return status;
}

ts_status model_decode(const safetensors *s, const char *name, model *out, ts_error *error)
{
    *out = (model){.name = strdup(name)};
    ts_status status = out->name ? read_metadata(s, name, out, error)
                                 : error_set(error, TS_MEMORY, "out of memory");
    if (status == TS_OK)
        status = read_weights(s, name, out, error);
    if (status != TS_OK)
        model_free(out);
    return status;
}

ts_status model_read(const char *path, model *out, ts_error *error)
{
    safetensors s;
    *out = (model){0};
    ts_status status = safetensors_read(path, &s, error);
    if (status != TS_OK)
        return status;
    status = model_decode(&s, path, out, error);
    safetensors_free(&s);
    return status;
}

void model_free(model *m)
{
    free(m->name);
    free(m->weights);
    free(m->provenance);
    *m = (model){0};
}
