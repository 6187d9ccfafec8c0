/* base: ini and CSV, numbers in text, foreign text on a terminal. */
#include "base/base.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void test_csv_fields(void **state)
{
    (void)state;
    static const char *const fields[] = {"case 1", "a,b", "6\" from 1", "two\nlines", ""};
    text t = {0};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        text_append(&t, i ? "|" : "");
        text_append_field(&t, fields[i]);
    }
    assert_string_equal(t.data, "case 1|\"a,b\"|\"6\"\" from 1\"|\"two\nlines\"|");
    text_free(&t);
}

static void test_csv_ids(void **state)
{
    (void)state;
    static const char *const ids[] = {"BraTS-1", "=1+1", "+2",    "-3",      "@sum",
                                      "\tx",     "\rx",  "'",     "'name",   "'=x",
                                      "''=x",    "''''", "a=b,c", "-4,\"5\""};
    text t = {0};
    for (const char *formula = "=+-@\t"; *formula; formula++) {
        text_append_id(&t, (char[]){*formula, '1', '\0'});
        assert_string_equal(t.data, ((char[]){'\'', *formula, '1', '\0'}));
        text_free(&t);
    }
    text_append(&t, "id\n");
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        text_append_id(&t, ids[i]);
        text_append(&t, "\n");
    }
    csv_table table;
    ts_error e;
    assert_int_equal(csv_parse(t.data, t.length, "f.csv", false, &table, &e), TS_OK);
    assert_int_equal(table.rows, COUNT_OF(ids));
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_string_equal(csv_id(&table, i, 0), ids[i]);
    csv_free(&table);
    text_free(&t);
}

static void test_csv_table(void **state)
{
    (void)state;
    static const char good[] = "\xEF\xBB\xBF"
                               "case,dice,\"a \"\"b\"\"\"\r\n"
                               "\"x, y\",0.5,\r\n"
                               "\n"
                               "\"two\nlines\",,-1.5\n"
                               "cut,1";
    csv_table t;
    ts_error e;
    double value;
    assert_int_equal(csv_parse(good, sizeof good - 1, "f.csv", true, &t, &e), TS_OK);
    assert_int_equal(t.columns, 3);
    assert_int_equal(t.rows, 2);
    assert_int_equal(csv_column(&t, "case"), 0);
    assert_int_equal(csv_column(&t, "a \"b\""), 2);
    assert_int_equal(csv_column(&t, "none"), -1);
    assert_string_equal(csv_cell(&t, 0, 0), "x, y");
    assert_string_equal(csv_cell(&t, 1, 0), "two\nlines");
    assert_true(csv_number(&t, 0, 1, &value) && value == 0.5);
    assert_true(csv_number(&t, 1, 2, &value) && value == -1.5);
    assert_false(csv_number(&t, 1, 1, &value));
    assert_int_equal(t.lines[0], 2);
    assert_int_equal(t.lines[1], 4);
    csv_free(&t);
    assert_int_equal(csv_parse(good, sizeof good - 1, "f.csv", false, &t, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'f.csv' line 6 has fewer cells than the 3 columns"));
    assert_int_equal(csv_parse("a,b\n1,", 6, "f.csv", false, &t, &e), TS_OK); /* no last newline */
    assert_string_equal(csv_cell(&t, 0, 1), "");
    csv_free(&t);
    assert_int_equal(csv_parse("", 0, "f.csv", false, &t, &e), TS_OK);
    assert_int_equal(t.columns + t.rows, 0);
    csv_free(&t);
    assert_int_equal(csv_parse("a\0b\n", 4, "f.csv", false, &t, &e), TS_BAD_INPUT);
    static const struct {
        const char *content, *sentence;
    } bad[] = {{"a,b\n1,2,3\n", "'f.csv' line 2 has more cells"},
               {"a,b\n1,2\n3\n", "'f.csv' line 3 has fewer cells"},
               {"a\n\"b\n\n", "'f.csv' line 2: a quote is not closed"},
               {"a\n\"b\"c\n", "'f.csv' line 2: text follows the closing quote"},
               {"a\nb\rc\n", "'f.csv' line 2: a carriage return within"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const char *content = bad[i].content;
        assert_int_equal(csv_parse(content, strlen(content), "f.csv", false, &t, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, bad[i].sentence));
    }
}

static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *foreign, *shown;
    } texts[] = {
        {"plain \\ \xC3\xA4\xE2\x82\xAC\xF0\x9F\xA7\xA0",
         "plain \\ \xC3\xA4\xE2\x82\xAC\xF0\x9F\xA7\xA0"},
        {"\x1b[31mred\x07\x7f", "\\x1b[31mred\\x07\\x7f"},
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\xC2\x9B;2J", "\\x9b;2J"},                           /* C1: CSI as UTF-8 */
        {"\x9B;2J\xC3", "\\x9b;2J\\xc3"},                      /* not UTF-8; cut */
        {"\xC0\x9B\xED\xA0\x80", "\\xc0\\x9b\\xed\\xa0\\x80"}, /* overlong; surrogate */
        {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},          /* beyond Unicode */
    };
    char out[64], again[64];
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        escape_into(out, sizeof out, texts[i].foreign);
        assert_string_equal(out, texts[i].shown);
        escape_into(again, sizeof again, out);
        assert_string_equal(again, out);
        text t = {0};
        text_append_escaped(&t, texts[i].foreign);
        assert_string_equal(t.data, out);
        text_free(&t);
    }
    escape_into(out, 5, "abc\x1b"); /* does not fit: cut before it, never within */
    assert_string_equal(out, "abc");
    escape_into(out, 4, "abc");
    assert_string_equal(out, "abc");
    ts_error e;
    error_set(&e, TS_IO, "cannot open '%s'", "a\x1b[2J\nb");
    assert_string_equal(e.text, "cannot open 'a\\x1b[2J\\nb'");
    error_set(&e, TS_IO, "case 1: %s", e.text); /* its own text as an argument */
    assert_string_equal(e.text, "case 1: cannot open 'a\\x1b[2J\\nb'");
}

static void test_table_escapes(void **state)
{
    (void)state;
    char printed[256] = "";
    FILE *f = tmpfile();
    assert_non_null(f);
    const char *const cells[] = {"case", "n", "\x1b[2J", "12"};
    table_print(f, cells, 2, 2);
    print_line(f, "%s: %d", "\x1b", 3);
    rewind(f);
    assert_int_not_equal(fread(printed, 1, sizeof printed - 1, f), 0);
    assert_string_equal(printed, "case      n\n-----------\n\\x1b[2J  12\n\\x1b: 3\n");
    fclose(f);
}

static ts_status collect(void *context, const char *section, const char *key, const char *value,
                         int line, ts_error *error)
{
    (void)error;
    text_append(context, "%s.%s=%s@%d;", section, key, value, line);
    return TS_OK;
}

static void test_ini(void **state)
{
    (void)state;
    ts_error e;
    text t = {0};
    const char good[] = "# c\na = 1\n\n[s t]\r\n b=x = y ; no comment here\n; c\nc =";
    assert_int_equal(ini_parse(good, sizeof good - 1, "f.ini", collect, &t, &e), TS_OK);
    assert_string_equal(t.data, ".a=1@2;s t.b=x = y ; no comment here@5;s t.c=@7;");
    text_free(&t);
    const char marked[] = "\xEF\xBB\xBF#\na = 1";
    assert_int_equal(ini_parse(marked, sizeof marked - 1, "f.ini", collect, &t, &e), TS_OK);
    assert_string_equal(t.data, ".a=1@2;");
    text_free(&t);
    const char *const bad[] = {"[open", "no equals", "= 1", "[a] b"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(ini_parse(bad[i], strlen(bad[i]), "f.ini", collect, &t, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "'f.ini' line 1"));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    double d;
    int64_t i;
    assert_true(parse_double("1e-3", &d) && d == 1e-3);
    assert_false(parse_double("1,5", &d) || parse_double("", &d) || parse_double("nan", &d) ||
                 parse_double("1x", &d) || parse_double(" 1", &d));
    assert_true(parse_integer("-42", &i) && i == -42);
    assert_false(parse_integer("1.0", &i) || parse_integer("99999999999999999999", &i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_fields),    cmocka_unit_test(test_csv_ids),
        cmocka_unit_test(test_csv_table),     cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_table_escapes), cmocka_unit_test(test_ini),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
