/* Tables as comma-separated values (RFC 4180): the reader of every such file, and fields as they
 * are written. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 4096 };

/* ---- writing -------------------------------------------------------------------------------- */

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

/* What makes a spreadsheet take a cell for a formula. */
static bool begins_formula(const char *field)
{
    return *field && strchr("=+-@\t\r", *field);
}

/* An apostrophe before what would be a formula, or before another such apostrophe. */
static bool is_marked(const char *cell)
{
    return *cell == '\'' && (begins_formula(cell + 1) || cell[1] == '\'');
}

void text_append_id(text *t, const char *id)
{
    if (!begins_formula(id) && !is_marked(id)) {
        text_append_field(t, id);
        return;
    }
    char *marked = string_format("'%s", id);
    if (marked)
        text_append_field(t, marked);
    else
        t->failed = true;
    free(marked);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Walks over content once; the cells are unquoted where they lie. */
typedef struct {
    char *at, *end;
    const char *name;
    int64_t line; /* of *at, from 1 */
} reader;

/* A quoted field, *at behind its opening quote: its content moves to the left over doubled quotes.
 * *at then is behind the closing quote; NULL where there is none. */
static char *read_quoted(reader *r)
{
    char *begin = r->at, *to = begin;
    for (; r->at < r->end; r->at++) {
        if (*r->at == '"') {
            if (r->at + 1 == r->end || r->at[1] != '"')
                break;
            r->at++;
        }
        r->line += *r->at == '\n';
        *to++ = *r->at;
    }
    if (r->at == r->end)
        return NULL;
    r->at++;
    *to = '\0';
    return begin;
}

/* The next cell, ended by a NUL. *last: it ends its row, and *at is at the next one. */
static ts_status read_cell(reader *r, const char **cell, bool *last, ts_error *error)
{
    const int64_t line = r->line;
    char *begin = r->at, *end;
    if (r->at < r->end && *r->at == '"') {
        r->at++;
        begin = read_quoted(r);
        if (!begin)
            return error_set(error, TS_BAD_INPUT, "'%s' line %lld: a quote is not closed", r->name,
                             (long long)line);
        end = r->at;
    } else {
        while (r->at < r->end && !strchr(",\r\n", *r->at))
            r->at++;
        end = r->at;
    }
    const char next = r->at < r->end ? *r->at : '\n';
    if (next == '\r' && !(r->at + 1 < r->end && r->at[1] == '\n') && r->at + 1 != r->end)
        return error_set(error, TS_BAD_INPUT, "'%s' line %lld: a carriage return within a cell",
                         r->name, (long long)line);
    if (!strchr(",\r\n", next))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' line %lld: text follows the closing quote of a cell", r->name,
                         (long long)line);
    *last = next != ',';
    r->line += *last;
    r->at += (r->at < r->end) + (next == '\r' && r->at + 1 < r->end);
    *end = '\0'; /* after the look at what stood there */
    *cell = begin;
    return TS_OK;
}

static ts_status read_names(reader *r, csv_table *out, ts_error *error)
{
    const char **names = memory_allocate(COLUMNS_MAX, sizeof *names, "the columns", error);
    if (!names)
        return TS_MEMORY;
    out->names = names;
    for (bool last = false; !last;) {
        if (out->columns == COLUMNS_MAX)
            return error_set(error, TS_BAD_INPUT, "'%s' line 1 has more than %d columns", r->name,
                             COLUMNS_MAX);
        const ts_status status = read_cell(r, &names[out->columns++], &last, error);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

static ts_status read_row(reader *r, csv_table *out, const char **cells, ts_error *error)
{
    const int64_t line = r->line;
    bool last = false;
    size_t count = 0;
    for (; !last && count < out->columns; count++) {
        const ts_status status = read_cell(r, &cells[count], &last, error);
        if (status != TS_OK)
            return status;
    }
    if (!last || count < out->columns)
        return error_set(error, TS_BAD_INPUT, "'%s' line %lld has %s cells than the %zu columns",
                         r->name, (long long)line, last ? "fewer" : "more", out->columns);
    return TS_OK;
}

/* Blank lines are not rows; true at the end of the file. */
static bool skip_blank(reader *r)
{
    while (r->at < r->end && (*r->at == '\n' || *r->at == '\r')) {
        r->line += *r->at == '\n';
        r->at++;
    }
    return r->at == r->end;
}

static ts_status read_table(reader *r, csv_table *out, ts_error *error)
{
    size_t rows_most = 0;
    if (skip_blank(r))
        return TS_OK;
    ts_status status = read_names(r, out, error);
    if (status != TS_OK)
        return status;
    for (const char *c = r->at; c < r->end; c++)
        rows_most += *c == '\n';
    rows_most++; /* a last line may lack its newline */
    if (out->columns > SIZE_MAX / rows_most)
        return error_set(error, TS_MEMORY, "'%s' has too many cells", r->name);
    const char **cells =
        memory_take(rows_most * out->columns, sizeof *cells, "the cells of a table", error);
    int64_t *lines = memory_take(rows_most, sizeof *lines, "the rows of a table", error);
    out->cells = cells;
    out->lines = lines;
    if (!cells || !lines)
        return TS_MEMORY;
    while (!skip_blank(r)) {
        lines[out->rows] = r->line;
        status = read_row(r, out, cells + out->rows * out->columns, error);
        if (status != TS_OK)
            return status;
        out->rows++;
    }
    return TS_OK;
}

/* Takes bytes over, which end with a NUL that count does not include. */
static ts_status parse_owned(char *bytes, size_t count, const char *name, bool growing,
                             csv_table *out, ts_error *error)
{
    ts_status status;
    const size_t mark = text_mark(bytes, count);
    *out = (csv_table){.content = bytes};
    while (growing && count > mark && bytes[count - 1] != '\n')
        count--;
    bytes[count] = '\0';
    reader r = {.at = bytes + mark, .end = bytes + count, .name = name, .line = 1};
    if (strlen(bytes) != count)
        status =
            error_set(error, TS_BAD_INPUT, "'%s' holds a NUL byte: it is not a text file", name);
    else
        status = read_table(&r, out, error);
    if (status != TS_OK)
        csv_free(out);
    return status;
}

ts_status csv_parse(const char *content, size_t count, const char *name, bool growing,
                    csv_table *out, ts_error *error)
{
    *out = (csv_table){0};
    char *bytes = memory_take(count + 1, 1, name, error);
    if (!bytes)
        return TS_MEMORY;
    if (count)
        memcpy(bytes, content, count);
    return parse_owned(bytes, count, name, growing, out, error);
}

ts_status csv_read(const char *path, size_t limit, bool growing, csv_table *out, ts_error *error)
{
    uint8_t *bytes;
    size_t count;
    *out = (csv_table){0};
    const ts_status status = file_get(path, limit, &bytes, &count, error);
    if (status != TS_OK)
        return status;
    return parse_owned((char *)bytes, count, path, growing, out, error);
}

void csv_free(csv_table *t)
{
    free(t->content);
    free(t->names);
    free(t->cells);
    free(t->lines);
    *t = (csv_table){0};
}

int csv_column(const csv_table *t, const char *name)
{
    for (size_t c = 0; c < t->columns; c++)
        if (!strcmp(t->names[c], name))
            return (int)c;
    return -1;
}

const char *csv_cell(const csv_table *t, size_t row, int column)
{
    return t->cells[row * t->columns + (size_t)column];
}

const char *csv_id(const csv_table *t, size_t row, int column)
{
    const char *cell = csv_cell(t, row, column);
    return is_marked(cell) ? cell + 1 : cell;
}

bool csv_number(const csv_table *t, size_t row, int column, double *value)
{
    return parse_double(csv_cell(t, row, column), value);
}
