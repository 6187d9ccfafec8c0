/* libFuzzer target: a table from any bytes. One that was accepted reads back as itself when it is
 * written again; as foreign text its bytes are safe for a terminal. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_equal(const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        abort();
}

static void write_again(const csv_table *t, text *out)
{
    text_append(out, "\xEF\xBB\xBF"); /* one is skipped, what follows is text */
    for (size_t c = 0; c < t->columns; c++) {
        text_append(out, c ? "," : "");
        text_append_field(out, t->names[c]);
    }
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        text_append(out, i % t->columns ? "," : "\n");
        text_append_id(out, t->cells[i]);
    }
    text_append(out, "\n");
}

static void check_table(const csv_table *t)
{
    text again = {0};
    csv_table back;
    if (t->columns < 2) /* an empty cell would be an empty line */
        return;
    write_again(t, &again);
    if (csv_parse(again.data, again.length, "again.csv", true, &back, NULL) != TS_OK ||
        back.columns != t->columns || back.rows != t->rows)
        abort();
    for (size_t c = 0; c < t->columns; c++)
        check_equal(back.names[c], t->names[c]);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++)
            check_equal(csv_id(&back, r, (int)c), csv_cell(t, r, (int)c));
    csv_free(&back);
    text_free(&again);
}

static void check_escape(const uint8_t *bytes, size_t count)
{
    text foreign = {0}, once = {0}, twice = {0};
    text_append_bytes(&foreign, (const char *)bytes, count);
    text_append_escaped(&once, foreign.data);
    text_append_escaped(&twice, once.data ? once.data : "");
    for (size_t i = 0; i < once.length; i++)
        if ((unsigned char)once.data[i] < 0x20 || once.data[i] == 0x7F)
            abort();
    if (once.length)
        check_equal(once.data, twice.data);
    text_free(&foreign);
    text_free(&once);
    text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    csv_table t;
    ts_error error = {0};
    check_escape(bytes, count);
    for (int growing = 0; growing < 2; growing++) {
        if (csv_parse((const char *)bytes, count, "x.csv", growing, &t, &error) == TS_OK) {
            check_table(&t);
            csv_free(&t);
        } else if (!error.text[0])
            abort(); /* an error without a sentence */
    }
    return 0;
}
