/* The table of settings, and the presets (docs/method.md, "Presets"). */
#include "plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum { KEY_INTEGER, KEY_REAL, KEY_FLAG, KEY_CHOICE, KEY_WORD, KEY_PATCH, KEY_SET } key_type;

typedef struct {
    const char *name;
    key_type type;
    size_t offset;
    double low, high;    /* numbers: the range, both ends allowed */
    const char *choices; /* KEY_CHOICE: names joined by '|', the value is the place; ",x": x too.
                            Numbers: NULL, or the word for RULE_OF_MODEL */
    const char *help;
} key;

#define AT(field) offsetof(plan, field)
static const char loss_names[] = "ce|ce+dice|regions";
static const char of_model[] = "model";
static const char method_names[] =
    "single-stage|student-only|teacher|channel-dropout|two-stage|any-subset|any-image";

static const key keys[] = {
    {"preset", KEY_WORD, AT(preset), 0, 0, NULL, "the preset that the values started from"},
    {"method", KEY_CHOICE, AT(method), 0, 0, method_names,
     "single-stage (student beside teacher), student-only, teacher, channel-dropout, two-stage, "
     "any-subset or any-image"},
    {"student", KEY_SET, AT(student), 0, 0, NULL,
     "modalities that the student sees (channel-dropout and any-subset: always all four; "
     "any-image: "
     "any one)"},
    {"seed", KEY_INTEGER, AT(seed), 0, 4294967295.0, NULL, "of every random draw"},
    {"threads", KEY_INTEGER, AT(threads), 0, 1024, NULL, "threads; 0: all processors"},
    {"dtype", KEY_CHOICE, AT(dtype), 0, 0, "fp32|bf16", "storage of activations: fp32 or bf16"},
    {"winograd", KEY_FLAG, AT(winograd), 0, 0, NULL,
     "training in fp32 by Winograd's algorithm where layers are wide"},
    {"labels", KEY_CHOICE, AT(labels), 0, 0, LABEL_CHOICES,
     "meaning of the truth's values: " LABEL_NAMES},
    {"spacing", KEY_REAL, AT(spacing_mm), 0.1, 20, NULL, "voxel size of the network's grid, mm"},
    {"patch", KEY_PATCH, AT(patch), 8, 512, NULL, "voxels of a patch: one number or d,h,w"},
    {"base", KEY_INTEGER, AT(base), 1, 512, NULL, "channels of the first stage"},
    {"cap", KEY_INTEGER, AT(cap), 1, 2048, NULL, "most channels of a stage"},
    {"stages", KEY_INTEGER, AT(stages), 2, 8, NULL, "resolutions, the full one included"},
    {"batch", KEY_INTEGER, AT(batch), 1, 64, NULL, "patches a step"},
    {"steps", KEY_INTEGER, AT(steps), 1, 1e8, NULL, "length of the schedule"},
    {"epoch_steps", KEY_INTEGER, AT(epoch_steps), 1, 1e6, NULL, "steps that count as an epoch"},
    {"loss", KEY_CHOICE, AT(loss), 0, 0, loss_names, "ce, ce+dice or regions"},
    {"deep_supervision", KEY_FLAG, AT(deep_supervision), 0, 0, NULL,
     "a loss at every decoder stage"},
    {"barlow_weight", KEY_REAL, AT(barlow_weight), 0, 1e6, NULL, "weight of the Barlow Twins loss"},
    {"barlow_lambda", KEY_REAL, AT(barlow_lambda), 0, 1e3, NULL, "weight of its off-diagonal part"},
    {"barlow_stage", KEY_WORD, AT(barlow_stage), 0, 0, NULL,
     "bottleneck, encoderS or decoderS; several joined by '+'"},
    {"barlow_projector", KEY_INTEGER, AT(barlow_projector), 0, 4096, NULL,
     "width of the projector; 0: none"},
    {"barlow_warmup", KEY_INTEGER, AT(barlow_warmup), 0, 1e8, NULL,
     "steps over which the weight grows from 0"},
    {"teacher_gradient", KEY_FLAG, AT(teacher_gradient), 0, 0, NULL,
     "let the Barlow Twins loss train the teacher too"},
    {"soft_weight", KEY_REAL, AT(soft_weight), 0, 1e6, NULL,
     "single-stage, any-subset: weight of the teacher's softened labels; 0: off"},
    {"two_stage_soft_weight", KEY_REAL, AT(two_stage_soft_weight), 0, 1e6, NULL,
     "two-stage: weight of the teacher's softened labels; 0: off"},
    {"soft_temperature", KEY_REAL, AT(soft_temperature), 0.1, 100, NULL,
     "both networks' logits are divided by it before they are compared"},
    {"ema_decay", KEY_REAL, AT(ema_decay), 0, 0.999999, NULL,
     "single-stage, any-subset: the student learns from a moving average of the teacher; 0: off"},
    {"optimiser", KEY_CHOICE, AT(optimiser), 0, 0, "sgd|adamw",
     "adamw, or sgd (Nesterov; its learning_rate is 0.01)"},
    {"learning_rate", KEY_REAL, AT(learning_rate), 0, 100, NULL,
     "at the first step (poly 0.9 decay)"},
    {"momentum", KEY_REAL, AT(momentum), 0, 0.99999, NULL, "SGD's Nesterov momentum"},
    {"weight_decay", KEY_REAL, AT(weight_decay), 0, 1, NULL, "L2 on the weights"},
    {"weight_decay_norm", KEY_FLAG, AT(weight_decay_norm), 0, 0, NULL,
     "L2 on norms and biases too"},
    {"gradient_clip", KEY_REAL, AT(gradient_clip), 0, 1e9, NULL, "norm, per network; 0: off"},
    {"checkpoint_steps", KEY_INTEGER, AT(checkpoint_steps), 1, 1e8, NULL, "between checkpoints"},
    {"validate_steps", KEY_INTEGER, AT(validate_steps), 0, 1e8, NULL,
     "between validations of the held-out fold; 0: none"},
    {"foreground", KEY_REAL, AT(foreground), 0, 1, NULL,
     "share of a batch centred on a tumour voxel (at least one patch)"},
    {"partial_share", KEY_REAL, AT(partial_share), 0, 1, NULL,
     "share of the steps that cases which lack modalities get, at most; never more than theirs of "
     "the cases"},
    {"partial_teacher", KEY_FLAG, AT(partial_teacher), 0, 0, NULL,
     "such cases train the teacher too, zeros in place of what they lack"},
    {"augment", KEY_FLAG, AT(augment), 0, 0, NULL, "draw any augmentation at all"},
    {"p_rotation", KEY_REAL, AT(p_rotation), 0, 1, NULL, "probability of a rotation"},
    {"rotation_degrees", KEY_REAL, AT(rotation_degrees), 0, 180, NULL,
     "about each axis, either way"},
    {"p_scaling", KEY_REAL, AT(p_scaling), 0, 1, NULL, "probability of scaling"},
    {"scaling_low", KEY_REAL, AT(scaling_low), 0.1, 10, NULL, "least scale"},
    {"scaling_high", KEY_REAL, AT(scaling_high), 0.1, 10, NULL, "greatest scale"},
    {"p_noise", KEY_REAL, AT(p_noise), 0, 1, NULL, "probability of Gaussian noise"},
    {"noise_variance", KEY_REAL, AT(noise_variance), 0, 100, NULL,
     "greatest variance of the noise"},
    {"p_blur", KEY_REAL, AT(p_blur), 0, 1, NULL, "probability of a blur (then half the channels)"},
    {"blur_low", KEY_REAL, AT(blur_low), 0.01, 10, NULL, "least sigma, voxels"},
    {"blur_high", KEY_REAL, AT(blur_high), 0.01, 10, NULL, "greatest sigma, voxels"},
    {"p_brightness", KEY_REAL, AT(p_brightness), 0, 1, NULL, "probability of a brightness factor"},
    {"brightness_range", KEY_REAL, AT(brightness_range), 0, 1, NULL, "1 minus to 1 plus this"},
    {"p_contrast", KEY_REAL, AT(p_contrast), 0, 1, NULL, "probability of a contrast factor"},
    {"contrast_range", KEY_REAL, AT(contrast_range), 0, 1, NULL, "1 minus to 1 plus this"},
    {"p_low_resolution", KEY_REAL, AT(p_low_resolution), 0, 1, NULL,
     "probability of simulated low resolution (then half the channels)"},
    {"low_resolution_zoom", KEY_REAL, AT(low_resolution_zoom), 0.1, 1, NULL, "least zoom"},
    {"p_gamma_inverted", KEY_REAL, AT(p_gamma_inverted), 0, 1, NULL,
     "gamma on inverted intensities"},
    {"p_gamma", KEY_REAL, AT(p_gamma), 0, 1, NULL, "gamma on plain intensities"},
    {"gamma_low", KEY_REAL, AT(gamma_low), 0.01, 100, NULL, "least exponent"},
    {"gamma_high", KEY_REAL, AT(gamma_high), 0.01, 100, NULL, "greatest exponent"},
    {"mirror_augment", KEY_FLAG, AT(mirror_augment), 0, 0, NULL, "mirror each axis at random"},
    {"prediction", KEY_CHOICE, AT(prediction), 0, 0, "window|whole",
     "prediction: window (of the patch's size) or whole (the case in one pass)"},
    {"window_step", KEY_REAL, AT(window_step), 0.1, 1, NULL,
     "prediction: window step, of the patch"},
    {"mirror", KEY_FLAG, AT(mirror), 0, 0, NULL, "prediction: mean over the 8 mirrorings"},
    {"et_threshold", KEY_INTEGER, AT(et_threshold_voxels), 0, 1e9, of_model,
     "prediction: fewer ET voxels than this become NCR; 0: off; model: by the model's rule"},
    {"component_threshold", KEY_INTEGER, AT(component_voxels), 0, 1e9, of_model,
     "prediction: tumour components below this go, but the largest; 0: off; model: by its rule"},
    {"component_confidence", KEY_REAL, AT(component_confidence), 0, 1, of_model,
     "prediction: tumour components less sure than this share of the surest go; 0: off; model: by "
     "its rule"},
};

const char *const modality_names[MODALITIES] = {"t1", "t1ce", "t2", "flair"};

int modality_count(modality_set set)
{
    return __builtin_popcount(set);
}

ts_status modality_parse(const char *names, modality_set *set, ts_error *error)
{
    static const char *const other_names[MODALITIES] = {"t1n", "t1c", "t2w", "t2f"};
    modality_set found = 0;
    for (const char *at = names; *at;) {
        const size_t length = strcspn(at, ",+");
        modality_set one = 0;
        for (int m = 0; m < MODALITIES; m++)
            if ((strlen(modality_names[m]) == length &&
                 !strncasecmp(at, modality_names[m], length)) ||
                (strlen(other_names[m]) == length && !strncasecmp(at, other_names[m], length)))
                one = 1u << m;
        if (!one || (found & one))
            return error_set(error, TS_BAD_INPUT,
                             "'%s' is not a list of modalities: t1, t1ce, t2, flair, each once, "
                             "joined by ','",
                             names);
        found |= one;
        at += length;
        if (*at && !*++at)
            found = 0; /* a separator with nothing behind it */
    }
    if (!found)
        return error_set(error, TS_BAD_INPUT, "'%s' names no modality (t1, t1ce, t2, flair)",
                         names);
    *set = found;
    return TS_OK;
}

const char *modality_print(modality_set set, char buffer[24])
{
    buffer[0] = '\0';
    for (int m = 0; m < MODALITIES; m++)
        if (set & 1u << m) {
            if (buffer[0])
                strcat(buffer, ",");
            strcat(buffer, modality_names[m]);
        }
    return buffer;
}

void plan_defaults(plan *p)
{
    *p = (plan){
        .method = METHOD_SINGLE_STAGE,
        .student = 1u << T1CE | 1u << FLAIR,
        .preset = "tiny",
        .seed = 1,
        .spacing_mm = 2,
        .patch = {64, 64, 64},
        .base = 8,
        .cap = 320,
        .stages = 4,
        .batch = 2,
        .steps = 1000,
        .epoch_steps = 250,
        .loss = LOSS_CE_DICE,
        .deep_supervision = true,
        .barlow_weight = 0.1,
        .barlow_lambda = 0.0051,
        .barlow_stage = "bottleneck",
        .two_stage_soft_weight = 1,
        .soft_temperature = 2,
        .optimiser = OPTIMISER_ADAMW,
        .learning_rate = 0.002,
        .momentum = 0.99,
        .weight_decay = 3e-5,
        .gradient_clip = 12,
        .checkpoint_steps = 250,
        .validate_steps = 250,
        .foreground = 0.33,
        .partial_share = 0.5,
        .augment = true,
        .p_rotation = 0.2,
        .rotation_degrees = 30,
        .p_scaling = 0.2,
        .scaling_low = 0.7,
        .scaling_high = 1.4,
        .p_noise = 0.1,
        .noise_variance = 0.1,
        .p_blur = 0.2,
        .blur_low = 0.5,
        .blur_high = 1,
        .p_brightness = 0.15,
        .brightness_range = 0.25,
        .p_contrast = 0.15,
        .contrast_range = 0.25,
        .p_low_resolution = 0.25,
        .low_resolution_zoom = 0.5,
        .p_gamma_inverted = 0.1,
        .p_gamma = 0.3,
        .gamma_low = 0.7,
        .gamma_high = 1.5,
        .mirror_augment = true,
        .window_step = 0.5,
        .et_threshold_voxels = RULE_OF_MODEL,
        .component_voxels = RULE_OF_MODEL,
        .component_confidence = RULE_OF_MODEL,
    };
}

ts_status plan_preset(plan *p, const char *name, ts_error *error)
{
    static const struct {
        const char *name;
        double spacing_mm;
        int64_t patch, base, stages, steps;
        compute_dtype dtype;
        bool augment;
    } presets[] = {
        {"tiny", 2, 64, 8, 4, 1000, DTYPE_FP32, true},
        {"small", 1.5, 96, 16, 5, 25000, DTYPE_FP32, true},
        {"nnunet", 1, 128, 32, 6, 250000, DTYPE_FP32, true},
        /* learns phantoms in minutes, and nothing else: no variety, small patches */
        {"demo", 2, 48, 8, 4, 900, DTYPE_BF16, false},
    };
    for (size_t i = 0; i < COUNT_OF(presets); i++)
        if (!strcmp(name, presets[i].name)) {
            snprintf(p->preset, sizeof p->preset, "%s", name);
            p->spacing_mm = presets[i].spacing_mm;
            p->patch[0] = p->patch[1] = p->patch[2] = presets[i].patch;
            p->base = presets[i].base;
            p->cap = 320;
            p->stages = presets[i].stages;
            p->batch = 2;
            p->steps = presets[i].steps;
            p->dtype = presets[i].dtype;
            p->augment = presets[i].augment;
            return TS_OK;
        }
    return error_set(error, TS_BAD_INPUT, "there is no preset '%s': tiny, small, nnunet, demo",
                     name);
}

/* Levenshtein distance of two short words, for "did you mean". */
static int word_distance(const char *a, const char *b)
{
    int row[64];
    const int n = (int)strlen(b);
    if (n >= (int)COUNT_OF(row))
        return 1000;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; *a; a++, i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[n];
}

static ts_status unknown_key(const char *name, const char *source, ts_error *error)
{
    const char *nearest = keys[0].name;
    int least = 1000;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const int distance = word_distance(name, keys[i].name);
        if (distance < least) {
            least = distance;
            nearest = keys[i].name;
        }
    }
    return error_set(error, TS_BAD_INPUT, "%s: there is no setting '%s'; the nearest is '%s'",
                     source, name, nearest);
}

static ts_status set_number(const key *k, void *field, const char *value, const char *source,
                            ts_error *error)
{
    double number;
    int64_t integer = 0;
    bool good =
        k->type == KEY_INTEGER ? parse_integer(value, &integer) : parse_double(value, &number);
    if (k->type == KEY_INTEGER)
        number = (double)integer;
    if (k->choices && !strcmp(value, k->choices)) {
        integer = RULE_OF_MODEL;
        number = RULE_OF_MODEL;
    } else if (!good || !(number >= k->low && number <= k->high))
        return error_set(error, TS_BAD_INPUT, "%s: %s takes %s from %.10g to %.10g%s%s, not '%s'",
                         source, k->name, k->type == KEY_INTEGER ? "a whole number" : "a number",
                         k->low, k->high, k->choices ? " or " : "", k->choices ? k->choices : "",
                         value);
    if (k->type == KEY_INTEGER)
        *(int64_t *)field = integer;
    else
        *(double *)field = number;
    return TS_OK;
}

/* Prints the first name of choice `place`, or of all, joined by '|'. */
static void print_choices(const char *choices, int place, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; choices && used < size; i++) {
        const char *end = strchr(choices, '|');
        if (place < 0 || i == place)
            used += (size_t)snprintf(buffer + used, size - used, "%s%.*s", used ? "|" : "",
                                     (int)strcspn(choices, "|,"), choices);
        choices = end ? end + 1 : NULL;
    }
}

static ts_status set_choice(const key *k, int *field, const char *value, const char *source,
                            ts_error *error)
{
    char names[128];
    int place = 0;
    for (const char *at = k->choices; *at;) {
        const size_t length = strcspn(at, "|,");
        if (strlen(value) == length && !strncmp(at, value, length)) {
            *field = place;
            return TS_OK;
        }
        place += at[length] == '|';
        at += length + (at[length] != '\0');
    }
    print_choices(k->choices, -1, names, sizeof names);
    return error_set(error, TS_BAD_INPUT, "%s: %s is one of %s, not '%s'", source, k->name, names,
                     value);
}

static ts_status set_patch(const key *k, int64_t patch[3], const char *value, const char *source,
                           ts_error *error)
{
    long long d, h, w;
    char rest;
    const int read = sscanf(value, "%lld,%lld,%lld%c", &d, &h, &w, &rest);
    if (read == 1 && strspn(value, "0123456789") == strlen(value))
        h = w = d;
    else if (read != 3)
        d = h = w = -1;
    const long long low = (long long)k->low, high = (long long)k->high;
    if (d < low || h < low || w < low || d > high || h > high || w > high)
        return error_set(error, TS_BAD_INPUT,
                         "%s: %s takes one number or d,h,w, each from %lld to %lld, not '%s'",
                         source, k->name, low, high, value);
    patch[0] = d;
    patch[1] = h;
    patch[2] = w;
    return TS_OK;
}

ts_status plan_set(plan *p, const char *name, const char *value, const char *source,
                   ts_error *error)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const key *k = &keys[i];
        void *field = (char *)p + k->offset;
        if (strcmp(name, k->name))
            continue;
        switch (k->type) {
        case KEY_INTEGER:
        case KEY_REAL:
            return set_number(k, field, value, source, error);
        case KEY_CHOICE:
            return set_choice(k, field, value, source, error);
        case KEY_PATCH:
            return set_patch(k, field, value, source, error);
        case KEY_SET:
            return modality_parse(value, field, error);
        case KEY_FLAG:
            if (strcmp(value, "on") && strcmp(value, "off"))
                return error_set(error, TS_BAD_INPUT, "%s: %s is on or off, not '%s'", source, name,
                                 value);
            *(bool *)field = !strcmp(value, "on");
            return TS_OK;
        case KEY_WORD: {
            const size_t room = k->offset == AT(preset) ? sizeof p->preset : sizeof p->barlow_stage;
            if (!*value || strlen(value) >= room)
                return error_set(error, TS_BAD_INPUT, "%s: %s takes a word of up to %zu characters",
                                 source, name, room - 1);
            snprintf(field, room, "%s", value);
            return TS_OK;
        }
        }
    }
    return unknown_key(name, source, error);
}

struct reading {
    plan *plan;
    const char *path;
};

static ts_status read_entry(void *context, const char *section, const char *name, const char *value,
                            int line, ts_error *error)
{
    const struct reading *r = context;
    char source[512];
    (void)section;
    snprintf(source, sizeof source, "'%s' line %d", r->path, line);
    return plan_set(r->plan, name, value, source, error);
}

ts_status plan_read(plan *p, const char *path, ts_error *error)
{
    struct reading r = {p, path};
    return ini_read(path, read_entry, &r, error);
}

/* Is `name` (of the given length) a stage of a U-Net of so many stages? The lowest encoder stage
 * is the bottleneck and has no other name. */
static bool stage_exists(const char *name, size_t length, int64_t stages)
{
    char word[64];
    int64_t number;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    if (!strcmp(word, "bottleneck"))
        return true;
    if (strncmp(word, "encoder", 7) && strncmp(word, "decoder", 7))
        return false;
    return parse_integer(word + 7, &number) && number >= 0 && number < stages - 1;
}

ts_status plan_check(const plan *p, ts_error *error)
{
    const int64_t factor = (int64_t)1 << (p->stages - 1);
    for (int i = 0; i < 3; i++)
        if (p->patch[i] % factor || p->patch[i] / factor < 2)
            return error_set(error, TS_BAD_INPUT,
                             "patch %lld does not go through %lld stages: it must be a multiple of "
                             "%lld and at least %lld",
                             (long long)p->patch[i], (long long)p->stages, (long long)factor,
                             (long long)(2 * factor));
    for (const char *at = p->barlow_stage; at;) {
        const char *end = strchr(at, '+');
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        if (!stage_exists(at, length, p->stages))
            return error_set(error, TS_BAD_INPUT,
                             "barlow_stage '%.*s' is not a stage of this network: bottleneck, "
                             "encoder0 to encoder%lld, decoder0 to decoder%lld",
                             (int)length, at, (long long)p->stages - 2, (long long)p->stages - 2);
        at = end ? end + 1 : NULL;
    }
    if (p->ema_decay > 0 && p->teacher_gradient)
        return error_set(
            error, TS_BAD_INPUT,
            "ema_decay and teacher_gradient exclude each other: a moving average takes "
            "no gradient");
    if (p->scaling_low > p->scaling_high || p->blur_low > p->blur_high ||
        p->gamma_low > p->gamma_high)
        return error_set(error, TS_BAD_INPUT,
                         "of scaling, blur and gamma the low end must not exceed the high end");
    return TS_OK;
}

bool plan_any_subset(const plan *p)
{
    return p->method == METHOD_CHANNEL_DROPOUT || p->method == METHOD_ANY_SUBSET;
}

bool plan_any_image(const plan *p)
{
    return p->method == METHOD_ANY_IMAGE;
}

modality_set plan_student_channels(const plan *p)
{
    return plan_any_subset(p) ? ALL_MODALITIES : plan_any_image(p) ? 1u << T1 : p->student;
}

case_use plan_case_use(const plan *p, modality_set present)
{
    const bool any = plan_any_subset(p) || plan_any_image(p);
    const bool student =
        p->method != METHOD_TEACHER && (any ? present != 0 : !(p->student & ~present));
    const bool teacher = p->method == METHOD_SINGLE_STAGE || p->method == METHOD_TWO_STAGE ||
                         p->method == METHOD_ANY_SUBSET || p->method == METHOD_TEACHER;
    if (present == ALL_MODALITIES || (student && !teacher))
        return TRAINS_ALL;
    if (p->partial_teacher && (student || (p->method == METHOD_TEACHER && present)))
        return TRAINS_ALL;
    return student ? TRAINS_STUDENT : TRAINS_NOTHING;
}

size_t plan_keys(void)
{
    return COUNT_OF(keys);
}

const char *plan_key(size_t index)
{
    return keys[index].name;
}

const char *plan_key_help(size_t index)
{
    return keys[index].help;
}

/* The shortest decimal that reads back as the same double. */
static void print_double(double number, char *buffer, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) {
        double back;
        snprintf(buffer, size, "%.*g", digits, number);
        if (parse_double(buffer, &back) && memcmp(&back, &number, sizeof back) == 0)
            return;
    }
}

void plan_value(const plan *p, size_t index, char *buffer, size_t size)
{
    const key *k = &keys[index];
    const void *field = (const char *)p + k->offset;
    switch (k->type) {
    case KEY_INTEGER:
        if (k->choices && *(const int64_t *)field == RULE_OF_MODEL)
            snprintf(buffer, size, "%s", k->choices);
        else
            snprintf(buffer, size, "%lld", (long long)*(const int64_t *)field);
        break;
    case KEY_REAL:
        if (k->choices && *(const double *)field == RULE_OF_MODEL)
            snprintf(buffer, size, "%s", k->choices);
        else
            print_double(*(const double *)field, buffer, size);
        break;
    case KEY_FLAG:
        snprintf(buffer, size, "%s", *(const bool *)field ? "on" : "off");
        break;
    case KEY_CHOICE:
        print_choices(k->choices, *(const int *)field, buffer, size);
        break;
    case KEY_WORD:
        snprintf(buffer, size, "%s", (const char *)field);
        break;
    case KEY_PATCH: {
        const int64_t *patch = field;
        snprintf(buffer, size, "%lld,%lld,%lld", (long long)patch[0], (long long)patch[1],
                 (long long)patch[2]);
        break;
    }
    case KEY_SET: {
        char names[24];
        snprintf(buffer, size, "%s", modality_print(*(const modality_set *)field, names));
        break;
    }
    }
}

void plan_print(const plan *p, text *out)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char value[128];
        plan_value(p, i, value, sizeof value);
        text_append(out, "# %s\n%s = %s\n", keys[i].help, keys[i].name, value);
    }
}
