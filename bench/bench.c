/* twinseg-bench: how fast the engine is, against the limits of the machine that it runs on, and how
 * long whole cases take. bench/run.py sets each command beside its peers. */
#include "bench.h"

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
                    "[--prediction window|whole] [--winograd on|off]\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char name[48];
        snprintf(name, sizeof name, "%s%s", commands[i].name, commands[i].words);
        fprintf(stream, "    %-35s %s\n", name, commands[i].what);
    }
    fprintf(stream, "DIR holds one case in a folder of any layout. Times are medians of --repeats "
                    "runs, and the least\nand greatest; --clock cpu (kernels, step, window) counts "
                    "processor time per thread, for\nmachines that others use too; --json prints "
                    "one line of keys.\n");
}

static int usage(const char *problem, const char *what)
{
    fprintf(stderr, "twinseg-bench: %s '%s'\n", problem, what);
    print_help(stderr);
    return 2;
}

/* 0, or the exit status with the words said. */
static int parse_options(int argc, char **argv, int word_count, bench_options *o)
{
    const struct {
        const char *name;
        int64_t *value, least, most;
    } numbers[] = {
        {"--base", &o->base, 1, 1024},     {"--cap", &o->cap, 1, 1024},
        {"--stages", &o->stages, 2, 8},    {"--patch", &o->patch, 4, 512},
        {"--batch", &o->batch, 1, 64},     {"--threads", &o->threads, 1, 1024},
        {"--repeats", &o->repeats, 1, 64},
    };
    int words = 0;
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i];
        if (name[0] != '-' && words < word_count) {
            o->words[words++] = name;
            continue;
        }
        if (strcmp(name, "--json") == 0) {
            o->json = true;
            continue;
        }
        if (i + 1 >= argc)
            return usage("no value after", name);
        const char *value = argv[++i];
        if (strcmp(name, "--dtype") == 0) {
            if (strcmp(value, "fp32") != 0 && strcmp(value, "bf16") != 0)
                return usage("no such dtype:", value);
            o->dtype = strcmp(value, "bf16") == 0 ? DTYPE_BF16 : DTYPE_FP32;
            continue;
        }
        if (strcmp(name, "--prediction") == 0) {
            if (strcmp(value, "window") != 0 && strcmp(value, "whole") != 0)
                return usage("no such prediction:", value);
            o->prediction = strcmp(value, "whole") == 0 ? PREDICTION_WHOLE : PREDICTION_WINDOW;
            continue;
        }
        if (strcmp(name, "--clock") == 0) {
            if (strcmp(value, "wall") != 0 && strcmp(value, "cpu") != 0)
                return usage("no such clock:", value);
            o->cpu_clock = strcmp(value, "cpu") == 0;
            continue;
        }
        if (strcmp(name, "--winograd") == 0) {
            if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
                return usage("neither on nor off:", value);
            o->winograd = strcmp(value, "on") == 0;
            continue;
        }
        size_t k = 0;
        while (k < COUNT_OF(numbers) && strcmp(name, numbers[k].name) != 0)
            k++;
        if (k == COUNT_OF(numbers))
            return usage("no such option:", name);
        if (!parse_integer(value, numbers[k].value) || *numbers[k].value < numbers[k].least ||
            *numbers[k].value > numbers[k].most)
            return usage("not a number in range:", value);
    }
    return words == word_count ? 0 : usage("a word is missing after", argv[1]);
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
