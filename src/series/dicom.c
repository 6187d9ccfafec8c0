/* The header of a DICOM file (PS3.10, PS3.5): the few elements that say whose and which series it
 * is. dcm2niix reads the rest; its sidecars do not name patient, series or contrast agent. */
#include "series/series.h"

#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t count, at;
    bool implicit, big; /* without value representations; most significant byte first */
} reader;

typedef struct {
    uint32_t tag, length; /* UINT32_MAX: up to a delimiter */
    bool nested;          /* a sequence, or unknown bytes that may be one */
    bool implicit;        /* what is nested has no value representations */
} element;

enum { DEPTH_MAX = 16 };
enum { ITEM = 0xFFFEE000u, ITEM_END = 0xFFFEE00Du, SEQUENCE_END = 0xFFFEE0DDu };

static uint32_t number(const reader *r, size_t at, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)r->bytes[at + (size_t)(r->big ? bytes - 1 - i : i)] << 8 * i;
    return value;
}

/* Has a value representation a length of four bytes behind two that are reserved? */
static bool is_long(const char vr[2])
{
    static const char list[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";
    for (const char *at = list; *at; at += 3)
        if (at[0] == vr[0] && at[1] == vr[1])
            return true;
    return false;
}

/* The next element's head; r->at is then at its value. */
static bool next_element(reader *r, element *e)
{
    if (r->count - r->at < 8)
        return false;
    e->tag = number(r, r->at, 2) << 16 | number(r, r->at + 2, 2);
    const char vr[2] = {(char)r->bytes[r->at + 4], (char)r->bytes[r->at + 5]};
    const bool bare = r->implicit || e->tag >> 16 == 0xFFFE;
    if (bare) {
        e->length = number(r, r->at + 4, 4);
        r->at += 8;
    } else if (!is_long(vr)) {
        e->length = number(r, r->at + 6, 2);
        r->at += 8;
    } else {
        if (r->count - r->at < 12)
            return false;
        e->length = number(r, r->at + 8, 4);
        r->at += 12;
    }
    const bool unknown = !bare && vr[0] == 'U' && vr[1] == 'N';
    e->nested = e->length == UINT32_MAX || (!bare && vr[0] == 'S' && vr[1] == 'Q');
    e->implicit = r->implicit || unknown; /* PS3.5 6.2.2, note 2 */
    return true;
}

static bool value_is_there(const reader *r, const element *e)
{
    return e->length != UINT32_MAX && e->length <= r->count - r->at;
}

static bool skip_items(reader *r, uint32_t end, int depth);

/* Over the value of an element. */
static bool skip_value(reader *r, const element *e, int depth)
{
    if (e->length != UINT32_MAX) {
        const bool there = value_is_there(r, e);
        r->at += there ? e->length : 0;
        return there;
    }
    const bool was = r->implicit;
    r->implicit = e->implicit;
    const bool good = skip_items(r, e->tag == ITEM ? ITEM_END : SEQUENCE_END, depth + 1);
    r->implicit = was;
    return good;
}

/* Over all elements up to the delimiter. */
static bool skip_items(reader *r, uint32_t end, int depth)
{
    element e;
    while (depth < DEPTH_MAX && next_element(r, &e)) {
        if (e.tag == end)
            return true;
        if (!skip_value(r, &e, depth))
            return false;
    }
    return false;
}

/* The value as text, without the padding around it. */
static void take_text(const reader *r, uint32_t length, char out[DICOM_TEXT])
{
    const char *from = (const char *)r->bytes + r->at;
    size_t n = strnlen(from, length);
    for (; n > 0 && *from == ' '; n--)
        from++;
    while (n > 0 && from[n - 1] == ' ')
        n--;
    n = n < DICOM_TEXT - 1 ? n : DICOM_TEXT - 1;
    memcpy(out, from, n);
    out[n] = '\0';
}

static void take_element(const reader *r, const element *e, dicom_header *h)
{
    const struct {
        uint32_t tag;
        char *text;
    } wanted[] = {
        {0x00080008, h->image_type},    {0x00080020, h->study_date},   {0x00080060, h->modality},
        {0x0008103E, h->description},   {0x00100010, h->patient_name}, {0x00100020, h->patient_id},
        {0x00180010, h->agent},         {0x0020000D, h->study_uid},    {0x0020000E, h->series_uid},
        {0x00200011, h->series_number},
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (e->tag == wanted[i].tag && value_is_there(r, e))
            take_text(r, e->length, wanted[i].text);
    /* ContrastBolusAgentSequence of enhanced objects; empty where there was none */
    if (e->tag == 0x00180012 && e->length > 0 && !h->agent[0] &&
        !(e->length == UINT32_MAX && r->count - r->at >= 4 &&
          (number(r, r->at, 2) << 16 | number(r, r->at + 2, 2)) == SEQUENCE_END))
        memcpy(h->agent, "yes", 4);
}

/* The group of meta elements (0002,...), always explicit and least significant byte first: sets how
 * the rest is written. */
static bool read_meta(reader *r)
{
    element e;
    char syntax[DICOM_TEXT] = "";
    while (r->count - r->at >= 2 && number(r, r->at, 2) == 2) {
        if (!next_element(r, &e))
            return false;
        if (e.tag == 0x00020010 && value_is_there(r, &e))
            take_text(r, e.length, syntax);
        if (!skip_value(r, &e, 0))
            return false;
    }
    r->implicit = !strcmp(syntax, "1.2.840.10008.1.2");
    r->big = !strcmp(syntax, "1.2.840.10008.1.2.2");
    return syntax[0] && strcmp(syntax, "1.2.840.10008.1.2.1.99") != 0;
}

/* All elements up to the pixels. False where one does not end within the file. */
static bool read_elements(reader *r, dicom_header *out)
{
    enum { PIXELS = 0x7FE0 };
    element e;
    while (next_element(r, &e)) {
        if (e.tag >> 16 >= PIXELS) {
            out->has_pixels = e.tag >> 16 == PIXELS;
            return true;
        }
        take_element(r, &e, out);
        if (!skip_value(r, &e, 0))
            return false;
    }
    return r->at == r->count;
}

bool dicom_parse(const uint8_t *bytes, size_t count, dicom_header *out)
{
    enum { PREAMBLE = 128 };
    reader r = {.bytes = bytes, .count = count, .at = PREAMBLE + 4};
    *out = (dicom_header){0};
    if (count < PREAMBLE + 4 || memcmp(bytes + PREAMBLE, "DICM", 4) != 0)
        return false;
    out->damaged = !read_meta(&r) || !read_elements(&r, out);
    if (out->modality[0] && !out->series_uid[0]) /* cut between elements; a DICOMDIR has neither */
        out->damaged = true;
    return !out->damaged && out->series_uid[0] != '\0';
}
