/* The rules of each method. */
#include "train/method.h"
#include "train/train.h"

#include <string.h>

const char *const role_names[ROLES] = {"student", "teacher"};

bool method_has(const plan *p, int role)
{
    switch ((method)p->method) {
    case METHOD_STUDENT_ONLY:
    case METHOD_CHANNEL_DROPOUT:
    case METHOD_ANY_IMAGE:
        return role == STUDENT;
    case METHOD_TEACHER:
        return role == TEACHER;
    default:
        return true;
    }
}

modality_set role_channels(const plan *p, int role)
{
    return role == TEACHER ? ALL_MODALITIES : plan_student_channels(p);
}

static bool has_both(const plan *p)
{
    return method_has(p, STUDENT) && method_has(p, TEACHER);
}

bool method_has_barlow(const plan *p)
{
    return has_both(p) && p->barlow_weight > 0;
}

double method_soft_weight(const plan *p)
{
    if (!has_both(p))
        return 0;
    return p->method == METHOD_TWO_STAGE ? p->two_stage_soft_weight : p->soft_weight;
}

bool method_averages(const plan *p)
{
    return has_both(p) && p->method != METHOD_TWO_STAGE && p->ema_decay > 0;
}

bool train_setting_is_free(const char *key)
{
    return !strcmp(key, "threads") || !strcmp(key, "checkpoint_steps");
}

bool train_setting_matters(const plan *p, const char *key)
{
    static const char *const distillation[] = {"barlow_", "teacher_gradient", "soft_",
                                               "two_stage_soft_weight", "ema_decay"};
    if (train_setting_is_free(key))
        return false;
    for (size_t i = 0; !has_both(p) && i < COUNT_OF(distillation); i++)
        if (!strncmp(key, distillation[i], strlen(distillation[i])))
            return false;
    return true;
}

int64_t train_steps(const plan *p)
{
    return p->method == METHOD_TWO_STAGE ? 2 * p->steps : p->steps;
}

int64_t method_schedule_step(const plan *p, int64_t step)
{
    return p->method == METHOD_TWO_STAGE && step >= p->steps ? step - p->steps : step;
}

bool method_learns(const plan *p, int role, int64_t step)
{
    if (p->method == METHOD_TWO_STAGE)
        return (step < p->steps) == (role == TEACHER);
    return method_has(p, role);
}

modality_set method_subset(const plan *p, int64_t step, int64_t patch, modality_set present)
{
    if (!plan_any_subset(p) && !plan_any_image(p))
        return p->student;
    random_stream r =
        random_open((uint64_t)p->seed, RANDOM_SUBSET, (uint32_t)step, (uint32_t)patch);
    /* of the place in `present`: for any-image of one bit, else of a mask that is not 0 */
    const int images = modality_count(present);
    unsigned drawn = plan_any_image(p) ? 1u << random_below(&r, images)
                                       : 1 + (unsigned)random_below(&r, (1 << images) - 1);
    modality_set seen = 0;
    for (int m = 0; m < MODALITIES; m++)
        if (present >> m & 1) {
            seen |= (drawn & 1) << m;
            drawn >>= 1;
        }
    return seen;
}

plan method_sampling(const plan *p, int64_t step)
{
    plan sampling = *p;
    if (!method_learns(p, STUDENT, step) && !p->partial_teacher)
        sampling.partial_share = 0;
    return sampling;
}
