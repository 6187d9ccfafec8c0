/* model: a written file reads back bit for bit, its bytes are reproducible, the public safetensors
 * library reads it, and every lie of a header is refused with a sentence that names the file. */
#include "model/model.h"
#include "test_folder.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static model make_model(void)
{
    ts_error e;
    model m = {.channels = 1u << T1CE | 1u << FLAIR, .role = "student"};
    plan_defaults(&m.plan);
    m.plan.base = 4;
    m.plan.stages = 3;
    m.config = net_config_of(&m.plan, m.channels);
    net_parameter *parameters;
    size_t count;
    assert_int_equal(net_layout(&m.config, &parameters, &count, &m.weight_count, &e), TS_OK);
    free(parameters);
    m.weights = memory_allocate((size_t)m.weight_count, sizeof(float), "weights", &e);
    random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < m.weight_count; i++)
        m.weights[i] = (float)random_normal(&r);
    m.provenance = strdup("{\"cases\":7}");
    return m;
}

/* What only some models bring: the look of the training cases, and rules that were chosen. */
static void give_extras(model *m)
{
    m->likeness.cases = LIKENESS_CASES_MIN;
    m->likeness.known = 10;
    m->likeness.mean[T1CE][3] = 0.25;
    m->likeness.pair_precision[4][4] = 7;
    m->rules = (model_rules){
        .cases = 23, .et_mm3 = 200, .component_mm3 = 12.5, .component_confidence = 0.9};
}

static void test_round_trip(void **state)
{
    (void)state;
    ts_error e;
    model a = make_model(), b;
    give_extras(&a);
    assert_int_equal(model_write(path_of("a"), &a, &e), TS_OK);
    assert_int_equal(model_read(path_of("a"), &b, &e), TS_OK);
    assert_int_equal(b.weight_count, a.weight_count);
    assert_memory_equal(a.weights, b.weights, (size_t)a.weight_count * sizeof(float));
    assert_string_equal(b.role, "student");
    assert_string_equal(b.provenance, a.provenance);
    assert_int_equal(b.channels, a.channels);
    assert_memory_equal(&a.config, &b.config, sizeof a.config);
    assert_memory_equal(&a.likeness, &b.likeness, sizeof a.likeness);
    assert_true(b.rules.cases == 23 && b.rules.et_mm3 == 200 && b.rules.component_mm3 == 12.5 &&
                b.rules.component_confidence == 0.9);
    text s = {0}, t = {0};
    plan_print(&a.plan, &s);
    plan_print(&b.plan, &t);
    assert_string_equal(s.data, t.data);
    text_free(&s);
    text_free(&t);
    assert_int_equal(model_write(path_of("b"), &b, &e), TS_OK);
    uint8_t *x, *y;
    size_t n, m;
    assert_int_equal(file_get(path_of("a"), 1 << 26, &x, &n, &e), TS_OK);
    assert_int_equal(file_get(path_of("b"), 1 << 26, &y, &m, &e), TS_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    model_free(&a);
    model_free(&b);
}

/* Is the public library at hand? Debian has it not; any python with it will do. */
static const char *python_with_safetensors(void)
{
    const char *const candidates[] = {getenv("TWINSEG_PYTHON"), "python3"};
    char command[256];
    for (size_t i = 0; i < COUNT_OF(candidates); i++) {
        const char *python = candidates[i] ? candidates[i] : "python3";
        snprintf(command, sizeof command, "%s -c 'import safetensors.numpy' 2>/dev/null", python);
        if (system(command) == 0)
            return python;
    }
    return NULL;
}

static void test_public_reader(void **state)
{
    (void)state;
    ts_error e;
    const char *python = python_with_safetensors();
    if (!python) {
        puts("skip: no python with the safetensors library (TWINSEG_PYTHON names one)");
        skip();
    }
    model m = make_model();
    assert_int_equal(model_write(path_of("m.safetensors"), &m, &e), TS_OK);
    double sum = 0;
    for (int64_t i = 0; i < m.weight_count; i++)
        sum += m.weights[i];
    char *command =
        string_format("%s -c \"import safetensors, sys\n"
                      "f = safetensors.safe_open('%s', 'numpy')\n"
                      "names = list(f.keys())\n"
                      "total = sum(f.get_tensor(n).astype('float64').sum() for n in names)\n"
                      "assert abs(total - %.17g) < 1e-6, total\n"
                      "assert f.get_tensor('encoder.1.conv0.weight').shape == (8, 4, 3, 3, 3)\n"
                      "assert f.get_tensor('encoder.0.conv0.weight').flat[0] == %.9g\n"
                      "assert f.metadata()['twinseg.channels'] == 't1ce,flair'\"",
                      python, path_of("m.safetensors"), sum, m.weights[0]);
    assert_int_equal(system(command), 0);
    free(command);
    model_free(&m);
}

/* A file of the given header and so many data bytes, parsed; returns the sentence. */
static const char *parse(const char *header, size_t data_bytes)
{
    static ts_error e;
    safetensors s;
    const size_t length = strlen(header);
    uint8_t *bytes = calloc(1, 8 + length + data_bytes);
    bytes[0] = (uint8_t)length;
    bytes[1] = (uint8_t)(length >> 8);
    memcpy(bytes + 8, header, length);
    const ts_status status = safetensors_parse(bytes, 8 + length + data_bytes, "x.st", &s, &e);
    if (status == TS_OK) {
        e.text[0] = '\0';
        safetensors_free(&s);
    } else
        assert_int_equal(status, TS_BAD_INPUT);
    free(bytes);
    return e.text;
}

#define F32(shape, begin, end)                                                                     \
    "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void test_lying_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *word; /* "" where the file is fine */
    } cases[] = {
        {"{}", 0, ""},
        {"{\"a\":" F32("[2]", "0", "8") "}   ", 8, ""},
        {"{\"b\":" F32("[]", "8", "12") ",\"a\":" F32("[2]", "0", "8") "}", 12, ""},
        {"{\"b\":" F32("[0]", "0", "0") ",\"a\":" F32("[2]", "0", "8") "}", 8, ""},
        {"{\"__metadata__\":{\"k\":\"v\"},\"a\":" F32("[1]", "0", "4") "}", 4, ""},
        {"{\"__metadata__\":{\"k\":1}}", 0, "not a string"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"{\"a\":" F32("[2]", "0", "8") "}", 7, "cut short"},
        {"{\"a\":" F32("[2]", "0", "8") "}", 9, "belong to none"},
        {"{\"a\":" F32("[2]", "4", "12") "}", 12, "gap"},
        {"{\"a\":" F32("[2]", "0", "8") ",\"b\":" F32("[2]", "4", "12") "}", 12, "overlap"},
        {"{\"a\":" F32("[2]", "0", "8") ",\"b\":" F32("[2]", "12", "20") "}", 20, "gap"},
        {"{\"a\":" F32("[3]", "0", "8") "}", 8, "another number"},
        {"{\"a\":" F32("[-2]", "0", "8") "}", 8, "impossible"},
        {"{\"a\":" F32("[4294967296,4294967296,4]", "0", "8") "}", 8, "impossible"},
        {"{\"a\":" F32("[9223372036854775807]", "0", "8") "}", 8, "another number"},
        {"{\"a\":" F32("[4611686018427387904]", "0", "0") "}", 0, "another number"},
        {"{\"a\":" F32("[2305843009213693952,1]", "0", "0") "}", 0, "another number"},
        {"{\"a\":" F32("[2.0]", "0", "8") "}", 8, "impossible"},
        {"{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "at most 8"},
        {"{\"a\":" F32("2", "0", "8") "}", 8, "shape"},
        {"{\"a\":" F32("[2]", "8", "0") "}", 8, "in order"},
        {"{\"a\":" F32("[2]", "-8", "0") "}", 8, "in order"},
        {"{\"a\":" F32("[2]", "0", "18446744073709551624") "}", 8, "JSON"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'F31'"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "(none)"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "data_offsets"},
        {"{\"a\":7}", 8, "type"},
        {"{\"\":" F32("[2]", "0", "8") "}", 8, "name"},
        {"{\"a\":" F32("[1]", "0", "4") ",\"a\":" F32("[1]", "4", "8") "}", 8, "duplicate"},
        {"{\"\xff\":" F32("[2]", "0", "8") "}", 8, "JSON"},
        {" {}", 0, "begin with '{'"},
        {"[]", 0, "begin with '{'"},
        {"{", 0, "JSON"},
        {"{} x", 0, "JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *got = parse(cases[i].header, cases[i].data);
        if (*cases[i].word ? !strstr(got, cases[i].word) || !strstr(got, "x.st") : *got)
            fail_msg("%s: '%s' instead of '%s'", cases[i].header, got, cases[i].word);
    }
}

static void test_lying_length(void **state)
{
    (void)state;
    ts_error e;
    safetensors s;
    uint8_t bytes[16] = {8, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' ', ' ', ' ', ' ', ' '};
    assert_int_equal(safetensors_parse(bytes, 16, "x", &s, &e), TS_OK);
    safetensors_free(&s);
    assert_int_equal(safetensors_parse(bytes, 15, "x", &s, &e), TS_BAD_INPUT);
    assert_int_equal(safetensors_parse(bytes, 7, "x", &s, &e), TS_BAD_INPUT);
    assert_int_equal(safetensors_parse(NULL, 0, "x", &s, &e), TS_BAD_INPUT);
    memset(bytes, 255, 8);
    assert_int_equal(safetensors_parse(bytes, 16, "x", &s, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "18446744073709551615"));
    memset(bytes, 0, 8);
    assert_int_equal(safetensors_parse(bytes, 16, "x", &s, &e), TS_BAD_INPUT);
}

static ts_status read_changed(const model *m, void (*change)(safetensors *), ts_error *e)
{
    safetensors s;
    model back;
    assert_int_equal(model_write(path_of("c"), m, e), TS_OK);
    assert_int_equal(safetensors_read(path_of("c"), &s, e), TS_OK);
    change(&s);
    const ts_status status = model_decode(&s, "model-c", &back, e);
    safetensors_free(&s);
    model_free(&back);
    return status;
}

static void set_value(safetensors *s, const char *key, const char *value)
{
    for (size_t i = 0; i < s->metadata_count; i++)
        if (!strcmp(s->keys[i], key)) {
            free(s->values[i]);
            s->values[i] = strdup(value);
        }
}

static void newer(safetensors *s)
{
    set_value(s, "twinseg.format", "2");
}

static void other_channels(safetensors *s)
{
    set_value(s, "twinseg.channels", "t1,t2");
}

static void no_channels(safetensors *s)
{
    set_value(s, "twinseg.channels", "pet");
}

static void other_plan(safetensors *s)
{
    set_value(s, "twinseg.plan", "{\"base\":\"8\",\"stages\":\"3\",\"student\":\"t1ce,flair\"}");
}

static void other_depth(safetensors *s)
{
    set_value(s, "twinseg.plan", "{\"base\":\"4\",\"stages\":\"4\",\"student\":\"t1ce,flair\"}");
}

static void unknown_key(safetensors *s)
{
    set_value(s, "twinseg.plan", "{\"depth\":\"4\"}");
}

static void impossible_plan(safetensors *s)
{
    set_value(s, "twinseg.plan", "{\"patch\":\"60\"}");
}

static void broken_plan(safetensors *s)
{
    set_value(s, "twinseg.plan", "{\"depth\"");
}

static void other_inputs(safetensors *s)
{
    set_value(s, "twinseg.inputs", "any subset");
}

static void broken_rules(safetensors *s)
{
    set_value(s, "twinseg.rules", "{\"cases\":3,\"et_mm3\":-1,\"component_mm3\":0}");
}

static void broken_likeness(safetensors *s)
{
    set_value(s, "twinseg.likeness", "{}");
}

static void other_role(safetensors *s)
{
    set_value(s, "twinseg.role", "assistant");
}

static void other_scaling(safetensors *s)
{
    set_value(s, "twinseg.normalisation", "{\"kind\":\"none\"}");
}

static void other_shape(safetensors *s)
{
    s->tensors[0].shape[0]--;
}

static void lost_tensor(safetensors *s)
{
    strcpy(s->tensors[3].name, "stray");
}

static void lost_format(safetensors *s)
{
    s->keys[0][0] = 'T';
}

static void test_disagreement(void **state)
{
    (void)state;
    static const struct {
        void (*change)(safetensors *);
        const char *word;
    } cases[] = {
        {newer, "newer twinseg"},           {other_channels, "channels"},
        {no_channels, "channels"},          {other_plan, "plan requires"},
        {other_depth, "plan requires"},     {unknown_key, "'depth'"},
        {impossible_plan, "patch 60"},      {broken_plan, "JSON"},
        {other_role, "'assistant'"},        {other_inputs, "'any subset'"},
        {broken_rules, "its rules"},        {broken_likeness, "training images"},
        {other_scaling, "normalisation"},   {other_shape, "shape"},
        {lost_tensor, "lacks the weights"}, {lost_format, "not a model of twinseg"},
    };
    ts_error e;
    model m = make_model();
    give_extras(&m);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(read_changed(&m, cases[i].change, &e), TS_BAD_INPUT);
        if (!strstr(e.text, cases[i].word) || !strstr(e.text, "model-c"))
            fail_msg("'%s' lacks '%s'", e.text, cases[i].word);
    }
    m.weights[17] = 1.0f / 0.0f;
    assert_int_equal(model_write(path_of("d"), &m, &e), TS_OK);
    model back;
    assert_int_equal(model_read(path_of("d"), &back, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "not finite"));
    assert_int_equal(model_read(path_of("absent"), &back, &e), TS_IO);
    assert_int_equal(model_write("/nowhere/at/all", &m, &e), TS_IO);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_public_reader),
        cmocka_unit_test(test_lying_headers), cmocka_unit_test(test_lying_length),
        cmocka_unit_test(test_disagreement),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
