/* One series: what its physics says, what its name says, and whether both agree.
 *
 * The ranges hold for 1.5 and 3 tesla (Bernstein, King, Zhou: Handbook of MRI Pulse Sequences,
 * 2004, chapters 14 to 16; the protocols of Ellingson et al. 2015, "Consensus recommendations for
 * a standardized brain tumor imaging protocol"). They are wide, with gaps between them: a series in
 * a gap is in doubt. */
#include "series/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T1_BIT = 1u << T1, T2_BIT = 1u << T2, FLAIR_BIT = 1u << FLAIR, T1CE_BIT = 1u << T1CE };

series_facts series_facts_none(void)
{
    return (series_facts){.echo_ms = NAN,
                          .repetition_ms = NAN,
                          .inversion_ms = NAN,
                          .flip_degrees = NAN,
                          .time_s = NAN,
                          .volumes = 1};
}

static series_verdict aside(const char *format, ...) PRINTF_LIKE(1, 2);
static series_verdict aside(const char *format, ...)
{
    series_verdict v = {.kind = SERIES_ASIDE};
    va_list list;
    va_start(list, format);
    vsnprintf(v.why, sizeof v.why, format, list);
    va_end(list);
    return v;
}

/* ---- what is no image of a head at rest ------------------------------------------------------- */

/* Shorter than any head in one direction, in mm; slices farther apart lose what lies between. */
static const double coverage_min_mm = 80, gap_max_mm = 10;

static int axis_across_slices(const series_facts *f)
{
    int across = 0;
    for (int k = 1; k < 3; k++)
        if (f->spacing_mm[k] > f->spacing_mm[across] * 1.001)
            across = k;
    return across;
}

bool series_grid_is_short(const series_facts *f, char why[SERIES_TEXT])
{
    const int64_t *n = f->shape;
    const int across = axis_across_slices(f);
    if (n[0] == 0) /* not known */
        return false;
    if (f->volumes > 1)
        return snprintf(why, SERIES_TEXT, "%lld volumes, one after the other",
                        (long long)f->volumes) > 0;
    if (n[0] == 1 || n[1] == 1 || n[2] == 1)
        return snprintf(why, SERIES_TEXT, "a single slice") > 0;
    if (f->spacing_mm[across] > gap_max_mm)
        return snprintf(why, SERIES_TEXT, "its slices are %.0f mm apart", f->spacing_mm[across]) >
               0;
    for (int k = 0; k < 3; k++) {
        const double mm = (double)n[k] * f->spacing_mm[k];
        if (mm < coverage_min_mm && k == across)
            return snprintf(why, SERIES_TEXT, "%lld slices that cover %.0f mm of the head",
                            (long long)n[k], mm) > 0;
        if (mm < coverage_min_mm)
            return snprintf(why, SERIES_TEXT, "it covers %.0f mm of the head", mm) > 0;
    }
    return false;
}

/* By the values of ImageType. */
static bool type_is_aside(const char *normal, series_verdict *out)
{
    static const struct {
        const char *list, *why;
    } types[] = {
        {" localizer ", "a localiser"},
        {" diffusion | adc | fa | trace | tracew | exponential | colfa | dwi ",
         "diffusion, or made from it"},
        {" perfusion | rcbv | rcbf | mtt | ttp | tmax | pbp | gbp | asl | cbf | cbv ",
         "perfusion, or made from it"},
        {" swi | swi m | minimum | mnip ", "susceptibility or T2*, or made from it"},
        {" mip | projection image | max ip | min ip | volren | csa mpr thin mip ",
         "a projection of other images"},
        {" subtraction | sub | division | mean | stddev ", "computed from other images"},
        {" p | phase | phase map | phase image | real | imaginary | r | i | b0 map | b1 map | "
         "field map ",
         "a phase, real or imaginary image"},
        {" f | fat | opp phase | out phase | op | opposed ",
         "fat or opposed phase of a Dixon sequence"},
        {" t1 map | t2 map | t2 star map | uni | inv1 | inv2 ", "a map, or a part of an MP2RAGE"},
        {" screen save | screen capture | secondary capture ", "a picture of a screen"},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (words_have(normal, types[i].list)) {
            *out = aside("%s", types[i].why);
            return true;
        }
    return false;
}

/* ---- physics ---------------------------------------------------------------------------------- */

/* Which weightings the physics allows; 0 with a reason: another kind of image; 0 without: a gap
 * between the ranges. */
typedef struct {
    bool known; /* echo and repetition time are there */
    modality_set may_be;
    const char *other;
} physics;

static bool is_gradient(const series_facts *f, const char *sequence)
{
    if (words_have(sequence, " se | tse| fse|spc| space | cube"))
        return false;
    return words_have(sequence, " gr |tfl| fl3d| fl2d|tfe|ffe|gre|spgr|bravo|mprage") ||
           (f->repetition_ms < 60 && f->echo_ms < 60);
}

static physics of_inversion(const series_facts *f, bool gradient)
{
    const double te = f->echo_ms, ti = f->inversion_ms;
    if (ti >= 1400 && te >= 60 && !gradient)
        return (physics){true, FLAIR_BIT, NULL};
    if (ti >= 300 && ti < 1400 && te <= 40)
        return (physics){true, T1_BIT, NULL};
    if (ti >= 80 && ti < 300 && !gradient)
        return (physics){true, 0, "an inversion recovery that suppresses fat (STIR)"};
    return (physics){.known = true};
}

static physics of_gradient(const series_facts *f, const char *sequence)
{
    const double te = f->echo_ms, tr = f->repetition_ms, flip = f->flip_degrees;
    if (te >= 13)
        return (physics){true, 0, "susceptibility or T2* (a gradient echo of long echo time)"};
    if (words_have(sequence, " tfi|fiesta|trufi|bffe|b ffe|ciss") ||
        (words_have(sequence, " ss ") && !words_have(sequence, " sp ") && tr < 15 && flip >= 30))
        return (physics){true, 0, "a balanced sequence for cisterns and nerves"};
    if (tr < 100 && flip < 6)
        return (physics){.known = true}; /* weighted by proton density */
    if (tr < 100 || tr >= 1200 || flip >= 50)
        return (physics){true, T1_BIT, NULL};
    return (physics){.known = true};
}

static physics of_spin_echo(const series_facts *f, const char *sequence)
{
    const double te = f->echo_ms, tr = f->repetition_ms;
    const bool inverted = words_have(sequence, " ir ");
    if (te <= 40 && tr <= 1500)
        return (physics){true, T1_BIT, NULL};
    if (te <= 40 && inverted) /* T1 FLAIR without its inversion time */
        return (physics){true, T1_BIT, NULL};
    if (te <= 50 && tr >= 1800)
        return (physics){true, 0, "weighted by proton density"};
    if (te >= 60 && tr >= 1400)
        return (physics){true,
                         tr < 4000  ? T2_BIT
                         : inverted ? FLAIR_BIT
                                    : T2_BIT | FLAIR_BIT,
                         NULL};
    return (physics){.known = true};
}

static physics physics_of(const series_facts *f)
{
    char sequence[2 * SERIES_TEXT];
    words_normalise(f->sequence, sequence);
    if (isnan(f->echo_ms) || isnan(f->repetition_ms) || f->echo_ms <= 0 || f->repetition_ms <= 0)
        return (physics){.known = false};
    if (words_have(sequence, " ep |epi| ep2d|epse") && !words_have(sequence, " ir "))
        return (physics){true, 0, "echo-planar: diffusion, perfusion or functional imaging"};
    const bool gradient = is_gradient(f, sequence);
    if (f->inversion_ms > 0)
        return of_inversion(f, gradient);
    return gradient ? of_gradient(f, sequence) : of_spin_echo(f, sequence);
}

/* ---- both together ---------------------------------------------------------------------------- */

static void name_weightings(modality_set set, char out[24])
{
    static const char *const words[MODALITIES] = {"T1", "T1CE", "T2", "FLAIR"};
    size_t n = 0;
    out[0] = '\0';
    for (int m = 0; m < MODALITIES; m++)
        if (set >> m & 1)
            n += (size_t)snprintf(out + n, 24 - n, "%s%s", n ? " or " : "", words[m]);
}

static int only_one(modality_set set)
{
    for (int m = 0; m < MODALITIES; m++)
        if (set == 1u << m)
            return m;
    return -1;
}

/* Times for people: "TE 90, TR 9000, TI 2500 ms". */
static void print_times(const series_facts *f, char out[64])
{
    size_t n = (size_t)snprintf(out, 64, "TE %.3g, TR %.4g", f->echo_ms, f->repetition_ms);
    if (f->inversion_ms > 0)
        n += (size_t)snprintf(out + n, 64 - n, ", TI %.4g", f->inversion_ms);
    snprintf(out + n, 64 - n, " ms");
}

static modality_set with_contrast(modality_set set)
{
    return set & T1_BIT ? set | T1CE_BIT : set;
}

static series_verdict doubt(modality_set could_be, const char *format, ...) PRINTF_LIKE(2, 3);
static series_verdict doubt(modality_set could_be, const char *format, ...)
{
    series_verdict v = {.kind = SERIES_DOUBTFUL, .could_be = with_contrast(could_be)};
    va_list list;
    va_start(list, format);
    vsnprintf(v.why, sizeof v.why, format, list);
    va_end(list);
    return v;
}

static series_verdict sure(int kind, const char *format, ...) PRINTF_LIKE(2, 3);
static series_verdict sure(int kind, const char *format, ...)
{
    series_verdict v = {.kind = kind};
    va_list list;
    va_start(list, format);
    vsnprintf(v.why, sizeof v.why, format, list);
    va_end(list);
    return v;
}

static series_verdict weigh(const series_facts *f, modality_set named)
{
    char said[24], times[64], may[24];
    const physics p = physics_of(f);
    print_times(f, times);
    name_weightings(named, said);
    name_weightings(p.may_be, may);
    const int name_alone = only_one(named), both = only_one(named & p.may_be);
    if (!p.known) {
        if (name_alone >= 0)
            return sure(name_alone, "by its name alone");
        return doubt(named,
                     named ? "its name may mean %s, and no header tells"
                           : "neither its name nor a header tells%s",
                     said);
    }
    if (p.other && !named)
        return aside("%s", p.other);
    if (p.other && named == T2_BIT && strstr(p.other, "T2*"))
        return aside("%s", p.other);
    if (both >= 0)
        return sure(both, "name and physics (%s)", times);
    if (named == T2_BIT && p.may_be == FLAIR_BIT) /* "t2_tirm": FLAIR is a T2 with inversion */
        return sure(FLAIR, "physics (%s)", times);
    if (!named &&
        only_one(p.may_be & ~(modality_set)FLAIR_BIT) >= 0) /* FLAIR without TI: by name */
        return sure(only_one(p.may_be & ~(modality_set)FLAIR_BIT), "physics (%s)", times);
    if (!named && p.may_be == FLAIR_BIT)
        return sure(FLAIR, "physics (%s)", times);
    if (!named)
        return doubt(0, "%s fit none of T1, T2 and FLAIR", times);
    if (p.other)
        return doubt(named, "its name says %s, and %s look like %s", said, times, p.other);
    if (p.may_be)
        return doubt(named | p.may_be, "its name says %s, and %s say %s", said, times, may);
    return doubt(named, "its name says %s, and %s fit none of T1, T2 and FLAIR", said, times);
}

static series_contrast contrast_of(const series_facts *f, const char *normal)
{
    const series_contrast named = words_contrast(normal);
    char agent[2 * SERIES_TEXT];
    words_normalise(f->agent, agent);
    const bool given =
        f->agent[0] && !words_have(agent, " no | none | not | na | n a | 0 | without "
                                          "| ohne | nil | keine | unknown ");
    if (named == CONTRAST_BEFORE)
        return given ? CONTRAST_BOTH : CONTRAST_BEFORE;
    return given ? CONTRAST_GIVEN : named;
}

series_verdict series_classify(const series_facts *f)
{
    char normal[2 * SERIES_TEXT], type[2 * SERIES_TEXT], part[2 * SERIES_TEXT];
    series_verdict v = {0};
    words_normalise(f->description, normal);
    words_normalise(f->image_type, type);
    words_normalise(f->body_part, part);
    if (f->modality[0] && strcmp(f->modality, "MR") != 0)
        return aside("not MR but %s", f->modality);
    const char *why = words_aside(normal);
    if (why)
        return aside("%s", why);
    if (f->diffusion)
        return aside("diffusion, or made from it");
    if (type_is_aside(type, &v))
        return v;
    if (series_grid_is_short(f, v.why)) {
        v.kind = SERIES_ASIDE;
        return v;
    }
    if (words_have(part, "spine|neck|breast|abdomen|pelvis|knee|shoulder|heart|liver|prostate"))
        return aside("of another part of the body");
    v = weigh(f, words_weighting(normal));
    if (words_have(type, " derived ")) {
        const modality_set set = v.kind < MODALITIES ? 1u << v.kind : v.could_be;
        v = doubt(set, "computed from other images (reformatted, or filtered)");
    }
    v.contrast = contrast_of(f, normal);
    if (v.could_be & T1_BIT && v.contrast == CONTRAST_GIVEN)
        v.could_be &= ~(modality_set)T1_BIT;
    if (v.could_be & T1CE_BIT && v.contrast == CONTRAST_BEFORE)
        v.could_be &= ~(modality_set)T1CE_BIT;
    return v;
}
