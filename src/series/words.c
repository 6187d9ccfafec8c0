/* Names of series, in the spellings of Siemens, GE, Philips and of hospitals (English, German,
 * French): which weighting, with contrast agent or not, what is no image to segment. */
#include "series/words.h"

#include <ctype.h>
#include <string.h>

void words_normalise(const char *name, char out[2 * SERIES_TEXT])
{
    size_t n = 0;
    out[n++] = ' ';
    for (; *name && n + 8 < 2 * SERIES_TEXT; name++) {
        const char c = *name;
        if (isalnum((unsigned char)c)) {
            out[n++] = (char)tolower((unsigned char)c);
            continue;
        }
        if (out[n - 1] != ' ')
            out[n++] = ' ';
        if (c == '+' || c == '*')
            n += (size_t)snprintf(out + n, 8, "%s ", c == '+' ? "+" : "star");
    }
    if (out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = '\0';
}

bool words_have(const char *normal, const char *list)
{
    char word[48];
    while (*list) {
        const size_t n = strcspn(list, "|");
        if (n > 0 && n < sizeof word) {
            memcpy(word, list, n);
            word[n] = '\0';
            if (strstr(normal, word))
                return true;
        }
        list += n + (list[n] == '|');
    }
    return false;
}

modality_set words_weighting(const char *normal)
{
    const bool flair = words_have(normal, "flair|dark fluid|darkfluid|t2f ");
    const bool t1 =
        words_have(normal, "t1|mprage|mp rage| bravo|spgr|tfl3d|vibe| thrive| ir fspgr");
    const bool t2 = words_have(normal, "t2");
    if (flair)
        return t1 && t2 ? 1u << T1 | 1u << FLAIR : t1 ? 1u << T1 : 1u << FLAIR;
    return (t1 ? 1u << T1 : 0) | (t2 ? 1u << T2 : 0);
}

series_contrast words_contrast(const char *normal)
{
    if (words_have(normal, " w wo | wwo | w and wo | with and without | pre post | pre and post "
                           "| pre + post | prepost "))
        return CONTRAST_UNSAID; /* of the whole examination */
    const bool none = words_have(
        normal, " pre | prec|pregd|pregad|non contrast|noncontrast|non con | noncon | without "
                "| w o | wo | woc |unenhanced| nativ| ohne | no contrast| no gad| t1n "
                "| sans | avant ");
    /* of what denies it, nothing is left that says that it was given */
    const bool given = words_have(
        normal,
        " post |postc|postg|postk| gd | gad|t1gd|t1 gd| + c| + gd| c + | + km| + k | ce |t1ce"
        "|t1wce|t1c | t1w c | t1 c |contrast| km |kontrast| mit |dotarem|gadov|magnevist|prohance"
        "|multihance|clariscan|omniscan|vueway|elucirem|enhanced| avec | apres | inj");
    const bool denied = words_have(
        normal, "non contrast|noncontrast|no contrast|without contrast|w o contrast|wo contrast|"
                "unenhanced|precontrast|pre contrast|pre gd|pregd|pre gad|pregad|no gad|ohne "
                "km|ohne kontrast|"
                "sans inj|avant inj|sans gad|avant gad|without gd|without gad");
    if (none && given && !denied)
        return CONTRAST_UNSAID;
    if (none)
        return CONTRAST_BEFORE;
    return given ? CONTRAST_GIVEN : CONTRAST_UNSAID;
}

const char *words_aside(const char *normal)
{
    static const struct {
        const char *list, *why;
    } kinds[] = {
        {"localizer|localiser|scout|survey| loc |3 plane|3plane|triplane|tri plane|3pl | pilot "
         "|smartbrain|lokalisation|locator|3 pl ",
         "a localiser"},
        {"calib|asset| ref scan|refscan|senseref|sense ref|coil sens|prescan|shim|field "
         "map|fieldmap"
         "|b0map|b0 map|b1map|b1 map|field mapping",
         "a calibration or field map"},
        {"dwi|diff| dti| adc|adc |eadc|trace| b1000|b 1000|tensor|ivim| dki|resolve| hardi |tracew",
         "diffusion, or made from it"},
        {"perf| dsc| dce| asl |pcasl| pasl |cbv|cbf| mtt | ttp |tmax| pbp | gbp |ktrans|permeab| "
         "dyn",
         "perfusion, or made from it"},
        {"swi| swan|swip|venbold| qsm|t2star|t2 star|t2w star|hemo|heme| mip| minip| medic |t2 "
         "gre|gre t2",
         "susceptibility or T2*, or made from it"},
        {"projection| vrt |3d render| collapse| pjn", "a projection of other images"},
        {"subtract| sub | subs | minus ", "a difference of other images"},
        {" tof| mra | mrv | angio|venogr|phase contrast| pca |inhance| pc3d | cemra ",
         "an angiography"},
        {"spectro| mrs | svs | csi | press |steam", "spectroscopy"},
        {"bold|fmri|resting| rest | cest | apt |elastogr", "functional imaging"},
        {"ciss|fiesta|trufi|true fisp|truefisp|bffe|b ffe|balanced",
         "a balanced sequence for cisterns and nerves"},
        {" stir| tirm stir", "an inversion recovery that suppresses fat (STIR)"},
        {"t1 map|t2 map|t1map|t2map|pd map|synthetic|symri| magic |fingerprint| map ",
         "a map or a synthetic image"},
        {" inv1 | inv2 | inv 1 | inv 2 ", "a part of an MP2RAGE"},
        {"screen save|screensave|dose report|key image|presentation|summary|report| capture",
         "a picture of a screen, or a report"},
        {"mask| seg | segm| label| roi ", "a mask"},
    };
    static const char parts[] =
        "spine|cervical|lumbar|thoracic| neck|orbit|pituit|sella| iac|temporal bone"
        "| tmj|shoulder| knee|abdomen|pelvis|liver|prostate|breast|cardiac";
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (words_have(normal, kinds[i].list))
            return kinds[i].why;
    if (words_have(normal, parts) && !words_have(normal, "brain|head|schadel|kopf|cerebr"))
        return "of another part of the body";
    return NULL;
}
