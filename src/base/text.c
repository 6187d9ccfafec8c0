/* Strings, and numbers in text. */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
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

void text_append_list(text *t, const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, format, list);
    if (length >= 0 && text_reserve(t, (size_t)length)) {
        vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
        t->length += (size_t)length;
    }
    va_end(again);
}

void text_append(text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    text_append_list(t, format, list);
    va_end(list);
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

size_t text_mark(const char *bytes, size_t count)
{
    return count >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
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

/* Numbers in files have a point, whatever the user's locale. */
static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool parse_double(const char *s, double *value)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
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
