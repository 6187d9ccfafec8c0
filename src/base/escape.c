/* Text of others (file names, names of cases, a model's metadata) made safe for a terminal, which
 * would obey its control characters. */
#include "base/base.h"

#include <string.h>

/* Not one: a stray or missing continuation byte, a longer form than needed, a surrogate, beyond
 * U+10FFFF. */
int utf8_decode(const char *character, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)character;
    const int bytes = s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    uint32_t c = bytes == 1 ? s[0] : s[0] & (0xFFu >> (bytes + 1));
    for (int i = 1; i < bytes; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    if (bytes > 1 && (s[0] < 0xC2 || s[0] > 0xF4 || c < least[bytes] || c > 0x10FFFF ||
                      (c >= 0xD800 && c <= 0xDFFF)))
        return 0;
    *code = c;
    return bytes;
}

static bool is_control(const unsigned char *s)
{
    return s[0] < 0x20 || s[0] == 0x7F || (s[0] == 0xC2 && s[1] < 0xA0); /* C0, DEL, C1 */
}

/* What a terminal may be shown of the character at *s, which advances; at most 8 bytes and a
 * NUL. */
static size_t next_shown(const char **s, char shown[9])
{
    const unsigned char *at = (const unsigned char *)*s;
    uint32_t ignored;
    const int bytes = utf8_decode(*s, &ignored);
    if (bytes && !is_control(at)) {
        memcpy(shown, *s, (size_t)bytes);
        *s += bytes;
        return (size_t)bytes;
    }
    const int code = bytes == 2 ? at[1] : at[0]; /* C1 by its code, a stray byte by its value */
    *s += bytes ? bytes : 1;
    if (bytes && (code == '\n' || code == '\r' || code == '\t'))
        return (size_t)snprintf(shown, 9, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    return (size_t)snprintf(shown, 9, "\\x%02x", (unsigned)code);
}

void escape_into(char *out, size_t size, const char *s)
{
    char shown[9];
    size_t at = 0;
    while (*s) {
        const size_t count = next_shown(&s, shown);
        if (at + count >= size)
            break;
        memcpy(out + at, shown, count);
        at += count;
    }
    out[at] = '\0';
}

void text_append_escaped(text *t, const char *s)
{
    char shown[9];
    while (*s) {
        const size_t count = next_shown(&s, shown);
        text_append_bytes(t, shown, count);
    }
}

void print_escaped(FILE *stream, const char *s)
{
    char shown[9];
    while (*s) {
        const size_t count = next_shown(&s, shown);
        fwrite(shown, 1, count, stream);
    }
}

void print_line_list(FILE *stream, const char *format, va_list list)
{
    text t = {0};
    text_append_list(&t, format, list);
    if (t.data)
        print_escaped(stream, t.data);
    fputc('\n', stream);
    text_free(&t);
}

void print_line(FILE *stream, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print_line_list(stream, format, list);
    va_end(list);
}
