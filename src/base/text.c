/* Strings, numbers in text, and ini files. */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool text_reserve(text *t, size_t more)
{
    if (t->failed || more > SIZE_MAX / 2 - t->length)
        return t->failed = true, false;
    if (t->length + more + 1 > t->capacity) {
        const size_t capacity = 2 * (t->length + more + 1);
        char *data = realloc(t->data, capacity);
        if (!data)
            return t->failed = true, false;
        t->data = data;
        t->capacity = capacity;
    }
    return true;
}

void text_append_bytes(text *t, const char *bytes, size_t count)
{
    if (!text_reserve(t, count))
        return;
    memcpy(t->data + t->length, bytes, count);
    t->length += count;
    t->data[t->length] = '\0';
}

void text_append(text *t, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (length >= 0 && text_reserve(t, (size_t)length)) {
        vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
        t->length += (size_t)length;
    }
    va_end(again);
}

void text_append_field(text *t, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        text_append(t, "%s", field);
        return;
    }
    text_append(t, "\"");
    for (; *field; field++) {
        text_append_bytes(t, field, 1);
        if (*field == '"')
            text_append(t, "\"");
    }
    text_append(t, "\"");
}

void text_free(text *t)
{
    free(t->data);
    *t = (text){0};
}

char *string_format(const char *format, ...)
{
    char *s = NULL;
    va_list list;
    va_start(list, format);
    if (vasprintf(&s, format, list) < 0)
        s = NULL;
    va_end(list);
    return s;
}

bool string_ends(const char *s, const char *suffix)
{
    const size_t a = strlen(s), b = strlen(suffix);
    return a >= b && !strcmp(s + a - b, suffix);
}

bool string_ends_nocase(const char *s, const char *suffix)
{
    const size_t a = strlen(s), b = strlen(suffix);
    return a >= b && !strcasecmp(s + a - b, suffix);
}

const char *string_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool parse_double(const char *s, double *value)
{
    static locale_t c_locale; /* numbers in files have a point, whatever the user's locale */
    if (!c_locale)
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char *end;
    if (!*s || isspace((unsigned char)*s))
        return false;
    const double number = strtod_l(s, &end, c_locale);
    if (*end || !isfinite(number))
        return false;
    *value = number;
    return true;
}

bool parse_integer(const char *s, int64_t *value)
{
    char *end;
    if (!*s || isspace((unsigned char)*s))
        return false;
    errno = 0;
    const long long number = strtoll(s, &end, 10);
    if (*end || errno)
        return false;
    *value = number;
    return true;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

ts_status ini_parse(const char *content, size_t count, const char *name, ini_entry entry,
                    void *context, ts_error *error)
{
    char section[128] = "", line[1024];
    int number = 0;
    for (size_t at = 0; at < count;) {
        const char *newline = memchr(content + at, '\n', count - at);
        const size_t length = newline ? (size_t)(newline - content) - at : count - at;
        number++;
        if (length >= sizeof line)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d is longer than %zu characters",
                             name, number, sizeof line - 1);
        memcpy(line, content + at, length);
        line[length] = '\0';
        at += length + 1;
        if (strlen(line) != length)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d holds a NUL byte: not a text file",
                             name, number);
        char *s = trim(line);
        if (*s == '\0' || *s == '#' || *s == ';')
            continue;
        if (*s == '[') {
            char *close = strchr(s, ']');
            if (!close || close[1] || (size_t)(close - s) > sizeof section)
                return error_set(error, TS_BAD_INPUT, "'%s' line %d: '%s' is not a [section]", name,
                                 number, s);
            *close = '\0';
            snprintf(section, sizeof section, "%s", s + 1);
            continue;
        }
        char *equals = strchr(s, '=');
        if (!equals)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d: '%s' is not 'key = value'", name,
                             number, s);
        *equals = '\0';
        char *key = trim(s);
        if (!*key)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d has no key before '='", name,
                             number);
        const ts_status status = entry(context, section, key, trim(equals + 1), number, error);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

ts_status ini_read(const char *path, ini_entry entry, void *context, ts_error *error)
{
    uint8_t *bytes;
    size_t count;
    ts_status status = file_get(path, 1 << 20, &bytes, &count, error);
    if (status != TS_OK)
        return status;
    status = ini_parse((const char *)bytes, count, path, entry, context, error);
    free(bytes);
    return status;
}

char *path_join(const char *folder, const char *name, ts_error *error)
{
    char *path =
        string_format(*folder && string_ends(folder, "/") ? "%s%s" : "%s/%s", folder, name);
    if (!path)
        error_set(error, TS_MEMORY, "out of memory while naming '%s/%s'", folder, name);
    return path;
}
