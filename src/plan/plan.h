/* plan: every setting of a run in one struct, and the one table that names each key, its type,
 * range, default and help line. config.ini, key=value arguments, --help and the model file's
 * metadata are all made from that table (plan.c). */
#ifndef TWINSEG_PLAN_H
#define TWINSEG_PLAN_H

#include "labels/labels.h"

/* The order of channels everywhere inside the program, and of the bits of a modality_set. */
typedef enum { T1, T1CE, T2, FLAIR, MODALITIES } modality;
extern const char *const modality_names[MODALITIES]; /* "t1", "t1ce", "t2", "flair" */
typedef unsigned modality_set;                       /* bit m: modality m */
#define ALL_MODALITIES 15u

int modality_count(modality_set set);
/* "flair,t1ce" (also t1n, t1c, t2w, t2f; any case; '+' as well as ',') to a set. */
ts_status modality_parse(const char *names, modality_set *set, ts_error *error);
/* "t1ce,flair": in channel order; buffer of at least 24 bytes. */
const char *modality_print(modality_set set, char buffer[24]);

typedef enum {
    METHOD_SINGLE_STAGE, /* student beside its teacher, in the same iterations */
    METHOD_STUDENT_ONLY,
    METHOD_TEACHER,
    METHOD_CHANNEL_DROPOUT, /* any-subset's student without a teacher */
    METHOD_TWO_STAGE,       /* the teacher first, then frozen; then the student */
    METHOD_ANY_SUBSET, /* single-stage, the student's modalities zeroed as in channel-dropout */
    METHOD_ANY_IMAGE,  /* a student with one input, which takes any one of a case's images */
} method;
typedef enum { LOSS_CE, LOSS_CE_DICE, LOSS_REGIONS } loss_kind;
typedef enum { OPTIMISER_SGD, OPTIMISER_ADAMW } optimiser_kind;
typedef enum { DTYPE_FP32, DTYPE_BF16 } compute_dtype;
typedef enum { PREDICTION_WINDOW, PREDICTION_WHOLE } prediction_kind;

/* The voxels whose mean and deviation normalise a modality: its own that are not 0; or nnU-Net's
 * brain, those where any modality is not 0 and the holes within (what lies outside is 0 in
 * both). */
typedef enum { BRAIN_OWN, BRAIN_UNION } brain_mask;

/* Sizes of a patch are d, h, w = z, y, x. */
typedef struct {
    /* what and on what */
    int method; /* enum method */
    modality_set student;
    char preset[16];
    int64_t seed;
    int64_t threads; /* 0: all processors */
    int dtype;       /* enum compute_dtype */
    bool winograd;   /* in training (engine.h); prediction always takes it */
    int labels;      /* enum label_map */
    /* network */
    double spacing_mm;
    int64_t patch[3];
    int64_t base, cap, stages;
    /* training */
    int64_t batch, steps, epoch_steps;
    int loss; /* enum loss_kind */
    bool deep_supervision;
    double barlow_weight, barlow_lambda;
    char barlow_stage[64]; /* "bottleneck", "encoder0".., "decoder0"..; several joined by '+' */
    int64_t barlow_projector, barlow_warmup;
    bool teacher_gradient;
    double soft_weight, two_stage_soft_weight, soft_temperature;
    double ema_decay; /* 0: the student learns from the teacher itself */
    int optimiser;    /* enum optimiser_kind */
    double learning_rate, momentum, weight_decay;
    bool weight_decay_norm; /* decay norm and bias too */
    double gradient_clip;
    int64_t checkpoint_steps, validate_steps;
    /* sampling and augmentation */
    double foreground;    /* share of a batch centred on a foreground voxel */
    double partial_share; /* of the steps, at most, of cases that lack modalities */
    bool partial_teacher; /* such cases train the teacher too */
    bool augment;         /* false: nothing below is drawn */
    double p_rotation, rotation_degrees, p_scaling, scaling_low, scaling_high;
    double p_noise, noise_variance, p_blur, blur_low, blur_high, p_brightness, brightness_range;
    double p_contrast, contrast_range, p_low_resolution, low_resolution_zoom;
    double p_gamma_inverted, p_gamma, gamma_low, gamma_high;
    bool mirror_augment;
    /* prediction */
    int prediction;     /* enum prediction_kind */
    double window_step; /* of the patch */
    bool mirror;
    int64_t et_threshold_voxels, component_voxels; /* or RULE_OF_MODEL */
    double component_confidence;                   /* or RULE_OF_MODEL */
} plan;

/* "model": what the model's own rules say (model.h), in a prediction whose settings are silent. */
enum { RULE_OF_MODEL = -1 };

/* Defaults of preset `tiny`. */
void plan_defaults(plan *p);
/* Applies a preset's values (tiny, small, nnunet, demo). */
ts_status plan_preset(plan *p, const char *name, ts_error *error);
/* Sets one key; the error names the key, the value, what is allowed, and the nearest known key
 * where the key is unknown. `source` names where it stood ("config.ini line 3", "command line"). */
ts_status plan_set(plan *p, const char *key, const char *value, const char *source,
                   ts_error *error);
/* Does the method train a student for whatever modalities a patient has? Such a network takes all
 * four, zeros in place of those that are missing. */
bool plan_any_subset(const plan *p);
/* Does it train a network with one input for an image of any contrast? Its channel counts as T1. */
bool plan_any_image(const plan *p);
/* The inputs of the student's network. */
modality_set plan_student_channels(const plan *p);
/* What a labelled case with these modalities trains of a run: nothing, the student alone (the
 * distillation needs all four), or every network that the method has. */
typedef enum { TRAINS_NOTHING, TRAINS_STUDENT, TRAINS_ALL } case_use;
case_use plan_case_use(const plan *p, modality_set present);
/* Reads an ini file of keys (sections are for the reader's eye; any is accepted). */
ts_status plan_read(plan *p, const char *path, ts_error *error);
/* Checks what single keys cannot: patch divisible by 2^(stages-1), barlow_stage exists, ... */
ts_status plan_check(const plan *p, ts_error *error);
/* The whole plan as ini text with help comments; read back, it gives the same plan bit for bit. */
void plan_print(const plan *p, text *out);
/* Keys and values one by one (for the model's metadata); index 0..plan_keys()-1. */
size_t plan_keys(void);
const char *plan_key(size_t index);
const char *plan_key_help(size_t index);
void plan_value(const plan *p, size_t index, char *buffer, size_t size);

#endif
