/* Settings files: [section] and key = value. */
#include "base/base.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    char *end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

typedef struct {
    const char *name;
    ini_entry entry;
    void *context;
    char section[128];
    int number; /* of the line, from 1 */
} ini_reader;

/* s: a line without blanks at its ends, which is taken apart. */
static ts_status read_line(ini_reader *r, char *s, ts_error *error)
{
    if (*s == '\0' || *s == '#' || *s == ';')
        return TS_OK;
    if (*s == '[') {
        char *close = strchr(s, ']');
        if (!close || close[1] || (size_t)(close - s) > sizeof r->section)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d: '%s' is not a [section]", r->name,
                             r->number, s);
        *close = '\0';
        snprintf(r->section, sizeof r->section, "%s", s + 1);
        return TS_OK;
    }
    char *equals = strchr(s, '=');
    if (!equals)
        return error_set(error, TS_BAD_INPUT, "'%s' line %d: '%s' is not 'key = value'", r->name,
                         r->number, s);
    *equals = '\0';
    const char *key = trim(s);
    if (!*key)
        return error_set(error, TS_BAD_INPUT, "'%s' line %d has no key before '='", r->name,
                         r->number);
    return r->entry(r->context, r->section, key, trim(equals + 1), r->number, error);
}

ts_status ini_parse(const char *content, size_t count, const char *name, ini_entry entry,
                    void *context, ts_error *error)
{
    ini_reader r = {.name = name, .entry = entry, .context = context};
    char line[1024];
    for (size_t at = text_mark(content, count); at < count;) {
        const char *newline = memchr(content + at, '\n', count - at);
        const size_t length = newline ? (size_t)(newline - content) - at : count - at;
        r.number++;
        if (length >= sizeof line)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d is longer than %zu characters",
                             name, r.number, sizeof line - 1);
        memcpy(line, content + at, length);
        line[length] = '\0';
        at += length + 1;
        if (strlen(line) != length)
            return error_set(error, TS_BAD_INPUT, "'%s' line %d holds a NUL byte: not a text file",
                             name, r.number);
        const ts_status status = read_line(&r, trim(line), error);
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
