/* twinseg-bench: how fast the engine is, against the limits of the machine that it runs on, and how
 * long whole cases take. bench/run.py sets each command beside its peers. */
#include "bench.h"
#include "scaling.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

spread spread_of(double *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    const double median = (times[(count - 1) / 2] + times[count / 2]) / 2;
    return (spread){.median = median, .least = times[0], .most = times[count - 1]};
}

static int64_t cpu_clock_threads; /* 0: the wall clock */

double bench_seconds(void)
{
    struct timespec t;
    if (cpu_clock_threads == 0)
        return clock_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / (double)cpu_clock_threads;
}

static const struct {
    const char *name, *words;
    int word_count;
    int (*run)(const bench_options *);
    const char *what;
} commands[] = {
    {"kernels", "", 0, bench_kernels, "every layer's three passes, each beside the register roof"},
    {"step", "", 0, bench_step, "a training step whole: teacher, student, losses, update"},
    {"window", "", 0, bench_window, "one window's prediction"},
    {"case", " DIR", 1, bench_case,
     "a case's files to its label file, by a network of random weights"},
    {"preprocess", " DIR", 1, bench_preprocess, "a case's files to the network's input"},
    {"score", " CONVENTION PREDICTION TRUTH", 3, bench_score,
     "two label files to scores, legacy, lesion or panoptic"},
};

static void print_help(FILE *stream)
{
    fprintf(stream, "usage: twinseg-bench COMMAND [--base 8] [--cap 320] [--stages 4] [--patch 64] "
                    "[--batch 2]\n                     [--dtype fp32|bf16] [--threads N] "
                    "[--repeats 7] [--clock wall|cpu] [--json]\n                     "
                    "[--prediction window|whole] [--winograd on|off] [--scaling]\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char name[48];
        snprintf(name, sizeof name, "%s%s", commands[i].name, commands[i].words);
        fprintf(stream, "    %-35s %s\n", name, commands[i].what);
    }
    fprintf(stream, "DIR holds one case in a folder of any layout. Times are medians of --repeats "
                    "runs, and the least\nand greatest; --clock cpu (kernels, step, window) counts "
                    "processor time per thread, for\nmachines that others use too; --json prints "
                    "one line of JSON. --scaling (kernels, step, window)\nmeasures every task on "
                    "one thread and "
                    "tells how much faster more threads are on paper.\n");
}

static int usage(const char *problem, const char *what)
{
    fprintf(stderr, "twinseg-bench: %s '%s'\n", problem, what);
    print_help(stderr);
    return 2;
}

/* An option whose value is one of two words. */
typedef struct {
    const char *name, *words[2];
    int value; /* which of them */
} word_option;

typedef struct {
    const char *name;
    int64_t *value, least, most;
} number_option;

/* All three return 0, or the exit status with the message printed. */
static int set_word(word_option *w, const char *value)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(value, w->words[i]) == 0) {
            w->value = i;
            return 0;
        }
    char problem[64];
    snprintf(problem, sizeof problem, "%s takes %s or %s, not", w->name, w->words[0], w->words[1]);
    return usage(problem, value);
}

static int set_number(const number_option *n, const char *value)
{
    if (parse_integer(value, n->value) && *n->value >= n->least && *n->value <= n->most)
        return 0;
    return usage("not a number in range:", value);
}

static int parse_options(int argc, char **argv, int word_count, bench_options *o)
{
    const number_option numbers[] = {
        {"--base", &o->base, 1, 1024},     {"--cap", &o->cap, 1, 1024},
        {"--stages", &o->stages, 2, 8},    {"--patch", &o->patch, 4, 512},
        {"--batch", &o->batch, 1, 64},     {"--threads", &o->threads, 1, 1024},
        {"--repeats", &o->repeats, 1, 64},
    };
    word_option choices[] = {
        {"--dtype", {"fp32", "bf16"}, 0},
        {"--prediction", {"window", "whole"}, 0},
        {"--clock", {"wall", "cpu"}, 0},
        {"--winograd", {"off", "on"}, 0},
    };
    int words = 0, code = 0;
    for (int i = 2; i < argc && code == 0; i++) {
        const char *name = argv[i];
        if (name[0] != '-' && words < word_count) {
            o->words[words++] = name;
            continue;
        }
        if (strcmp(name, "--json") == 0 || strcmp(name, "--scaling") == 0) {
            *(name[2] == 'j' ? &o->json : &o->scaling) = true;
            continue;
        }
        if (i + 1 >= argc)
            return usage("no value after", name);
        const char *value = argv[++i];
        size_t n = 0, w = 0;
        while (n < COUNT_OF(numbers) && strcmp(name, numbers[n].name) != 0)
            n++;
        while (w < COUNT_OF(choices) && strcmp(name, choices[w].name) != 0)
            w++;
        code = n < COUNT_OF(numbers)   ? set_number(&numbers[n], value)
               : w < COUNT_OF(choices) ? set_word(&choices[w], value)
                                       : usage("no such option:", name);
    }
    o->dtype = choices[0].value ? DTYPE_BF16 : DTYPE_FP32;
    o->prediction = choices[1].value ? PREDICTION_WHOLE : PREDICTION_WINDOW;
    o->cpu_clock = choices[2].value;
    o->winograd = choices[3].value;
    if (o->scaling)
        o->threads = SCALING_MOST;
    return code || words == word_count ? code : usage("a word is missing after", argv[1]);
}

int main(int argc, char **argv)
{
    bench_options o = {.base = 8,
                       .cap = 320,
                       .stages = 4,
                       .patch = 64,
                       .batch = 2,
                       .repeats = 7,
                       .threads = processor_count()};
    memory_begin();
    if (argc < 2)
        return usage("no command after", argv[0]);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            const int code = parse_options(argc, argv, commands[i].word_count, &o);
            cpu_clock_threads = o.cpu_clock ? o.threads : 0;
            return code ? code : commands[i].run(&o);
        }
    return usage("no such command:", argv[1]);
}
