/* twinseg-bench: how fast the engine is, against the limits of the machine that it runs on. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

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

static const struct {
    const char *name;
    int (*run)(const bench_options *);
    const char *what;
} commands[] = {
    {"kernels", bench_kernels, "every layer's three passes, each beside the register roof"},
    {"step", bench_step, "a training step whole: teacher, student, losses, update"},
    {"window", bench_window, "one window's prediction"},
};

static int usage(const char *problem, const char *what)
{
    fprintf(stderr,
            "twinseg-bench: %s '%s'\nusage: twinseg-bench COMMAND [--base 8] [--cap 320] "
            "[--stages 4] [--patch 64] [--batch 2] [--dtype fp32|bf16] [--threads 2] "
            "[--repeats 7] [--json]\n",
            problem, what);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(stderr, "    %-8s %s\n", commands[i].name, commands[i].what);
    return 2;
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
    const struct {
        const char *name;
        int64_t *value, least, most;
    } numbers[] = {
        {"--base", &o.base, 1, 1024},     {"--cap", &o.cap, 1, 1024},
        {"--stages", &o.stages, 2, 8},    {"--patch", &o.patch, 4, 512},
        {"--batch", &o.batch, 1, 64},     {"--threads", &o.threads, 1, 1024},
        {"--repeats", &o.repeats, 1, 64},
    };
    if (argc < 2)
        return usage("no command after", argv[0]);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o.json = true;
            continue;
        }
        if (i + 1 >= argc)
            return usage("no value after", argv[i]);
        const char *name = argv[i], *value = argv[++i];
        if (strcmp(name, "--dtype") == 0) {
            if (strcmp(value, "fp32") != 0 && strcmp(value, "bf16") != 0)
                return usage("no such dtype:", value);
            o.dtype = strcmp(value, "bf16") == 0 ? DTYPE_BF16 : DTYPE_FP32;
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
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(&o);
    return usage("no such command:", argv[1]);
}
