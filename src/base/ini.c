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

ts_status ini_parse(const char *content, size_t count, const char *name, ini_entry entry,
                    void *context, ts_error *error)
{
    char section[128] = "", line[1024];
    int number = 0;
    for (size_t at = text_mark(content, count); at < count;) {
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
