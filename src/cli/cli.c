/* The parser of arguments and the help that is made from the tables of commands. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char program[] = "twinseg";
const char cli_disclaimer[] =
    "Research use only: not a medical device, not for diagnosis or treatment.";

static int option_index(const cli_command *c, const char *name, size_t length)
{
    for (int i = 0; c->options[i].name; i++)
        if (strlen(c->options[i].name) == length && !strncmp(c->options[i].name, name, length))
            return i;
    return -1;
}

static int letter_index(const cli_command *c, char letter)
{
    for (int i = 0; c->options[i].name; i++)
        if (c->options[i].letter == letter)
            return i;
    return -1;
}

const char *cli_value(const cli_arguments *a, const char *name)
{
    const int i = option_index(a->command, name, strlen(name));
    return i < 0 ? NULL : a->values[i];
}

bool cli_flag(const cli_arguments *a, const char *name)
{
    return cli_value(a, name) != NULL;
}

bool cli_integer(const cli_arguments *a, const char *name, int64_t low, int64_t high,
                 int64_t *value)
{
    const char *given = cli_value(a, name);
    int64_t number;
    if (!given)
        return true;
    if (!parse_integer(given, &number) || number < low || number > high) {
        cli_usage_error(a->command, "--%s takes a whole number from %lld to %lld, not '%s'", name,
                        (long long)low, (long long)high, given);
        return false;
    }
    *value = number;
    return true;
}

int cli_fail(const ts_error *e)
{
    progress_end();
    print_line(stderr, "%s: %s", program, e->text);
    return e->status == TS_STOPPED ? 130 : 1;
}

int cli_usage_error(const cli_command *c, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    text t = {0};
    text_append_list(&t, format, list);
    va_end(list);
    print_line(stderr, "%s %s: %s", program, c->name, t.data ? t.data : "");
    fprintf(stderr, "Try '%s %s --help'.\n", program, c->name);
    text_free(&t);
    return 2;
}

static void print_help(FILE *stream)
{
    fprintf(stream,
            "%s %s: brain tumour segmentation on MRI when not all four modalities were acquired\n\n"
            "usage: %s COMMAND [ARGUMENTS]\n\n",
            program, ts_version(), program);
    for (size_t i = 0; cli_commands[i]; i++)
        fprintf(stream, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fprintf(stream,
            "\n'%s COMMAND --help' explains one command; '%s --version' prints the version.\n%s\n",
            program, program, cli_disclaimer);
}

static void print_usage_lines(FILE *stream, const cli_command *c)
{
    const char *line = c->usage;
    for (const char *lead = "usage: "; line; lead = "       ") {
        const char *end = strchr(line, '\n');
        const int length = end ? (int)(end - line) : (int)strlen(line);
        fprintf(stream, "%s%s %s %.*s\n", lead, program, c->name, length, line);
        line = end ? end + 1 : NULL;
    }
}

bool cli_takes_setting(const cli_command *c, const char *key)
{
    for (size_t i = 0; c->settings_only && c->settings_only[i]; i++)
        if (!strcmp(c->settings_only[i], key))
            return true;
    return !c->settings_only;
}

static void print_command_help(FILE *stream, const cli_command *c)
{
    print_usage_lines(stream, c);
    fprintf(stream, "\n%s\n", c->summary);
    if (c->options[0].name)
        fprintf(stream, "\n");
    for (int i = 0; c->options[i].name; i++) {
        const cli_option *o = &c->options[i];
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(stream, "  %-30s %s\n", left, o->help);
    }
    if (c->details)
        fprintf(stream, "\n%s\n", c->details);
    if (c->settings) {
        plan defaults;
        plan_defaults(&defaults);
        fprintf(stream, "\nSettings, given as key=value (default in brackets):\n");
        for (size_t i = 0; i < plan_keys(); i++) {
            char value[128];
            if (!cli_takes_setting(c, plan_key(i)))
                continue;
            plan_value(&defaults, i, value, sizeof value);
            fprintf(stream, "  %-22s %s [%s]\n", plan_key(i), plan_key_help(i), value);
        }
    }
    fprintf(stream, "\n%s\n", cli_disclaimer);
}

/* One option at argv[*i]; advances *i over its value. */
static int parse_option(const cli_command *c, cli_arguments *a, int argc, char **argv, int *i)
{
    const char *argument = argv[*i], *value = NULL;
    int index;
    if (argument[1] == '-') {
        const char *equals = strchr(argument, '=');
        const size_t length = equals ? (size_t)(equals - argument - 2) : strlen(argument + 2);
        index = option_index(c, argument + 2, length);
        value = equals ? equals + 1 : NULL;
    } else {
        index = letter_index(c, argument[1]);
        value = argument[2] ? argument + 2 : NULL;
    }
    if (index < 0)
        return cli_usage_error(c, "unknown option '%s'", argument);
    if (!c->options[index].value) {
        if (value)
            return cli_usage_error(c, "--%s takes no value", c->options[index].name);
        a->values[index] = "";
        return 0;
    }
    if (!value) {
        if (*i + 1 >= argc)
            return cli_usage_error(c, "--%s needs %s", c->options[index].name,
                                   c->options[index].value);
        value = argv[++*i];
    }
    if (a->values[index])
        return cli_usage_error(c, "--%s is given twice", c->options[index].name);
    a->values[index] = value;
    return 0;
}

/* key=value with a key of lower-case letters, digits and '_': a setting, not a file. */
static bool looks_like_setting(const char *argument)
{
    const size_t key = strspn(argument, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return key > 0 && argument[key] == '=';
}

/* Sorts argv into a's values, positional and settings; words and settings have room for all. 0, or
 * the exit status after a message. *help: --help was found, and what follows it was not read. */
static int sort_arguments(int argc, char **argv, cli_arguments *a, const char **words,
                          const char **settings, bool *help)
{
    const cli_command *c = a->command;
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (options_end) {
            words[a->positional_count++] = argv[i];
            continue;
        }
        options_end = !strcmp(argv[i], "--");
        *help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
        if (*help)
            return 0;
        if (options_end)
            continue;
        if (argv[i][0] == '-' && argv[i][1]) {
            const int status = parse_option(c, a, argc, argv, &i);
            if (status)
                return status;
        } else if (c->settings && looks_like_setting(argv[i]))
            settings[a->settings_count++] = argv[i];
        else
            words[a->positional_count++] = argv[i];
    }
    if (a->positional_count < c->positional_min) {
        print_usage_lines(stderr, c);
        return cli_usage_error(c, "an argument is missing");
    }
    if (a->positional_count > c->positional_max)
        return cli_usage_error(c, "'%s' is one argument too many", words[c->positional_max]);
    return 0;
}

static int run_command(const cli_command *c, int argc, char **argv)
{
    const char **words = calloc((size_t)argc * 2 + 1, sizeof *words);
    if (!words) {
        fprintf(stderr, "%s: out of memory\n", program);
        return 1;
    }
    cli_arguments a = {.command = c, .positional = words, .settings = words + argc};
    bool help = false;
    int status = sort_arguments(argc, argv, &a, words, words + argc, &help);
    if (help)
        print_command_help(stdout, c);
    else if (!status)
        status = c->run(&a);
    free(words);
    return status;
}

int cli_plan(const cli_arguments *a, plan *p)
{
    plan_defaults(p);
    return cli_plan_over(a, p);
}

int cli_plan_over(const cli_arguments *a, plan *p)
{
    static const char *const as_settings[] = {"student", "method", "steps", "seed", "threads"};
    ts_error e;
    const char *preset = cli_value(a, "preset"), *config = cli_value(a, "config");
    if (preset && plan_preset(p, preset, &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    if (config && plan_read(p, config, &e) != TS_OK)
        return cli_fail(&e);
    for (size_t i = 0; i < COUNT_OF(as_settings); i++) {
        const char *value = cli_value(a, as_settings[i]);
        if (value && plan_set(p, as_settings[i], value, "command line", &e) != TS_OK)
            return cli_usage_error(a->command, "%s", e.text);
    }
    for (int i = 0; i < a->settings_count; i++) {
        char key[64];
        const char *equals = strchr(a->settings[i], '=');
        snprintf(key, sizeof key, "%.*s", (int)(equals - a->settings[i]), a->settings[i]);
        if (!cli_takes_setting(a->command, key))
            return cli_usage_error(a->command, "'%s' is not a setting of this command", key);
        if (plan_set(p, key, equals + 1, "command line", &e) != TS_OK)
            return cli_usage_error(a->command, "%s", e.text);
    }
    if (plan_check(p, &e) != TS_OK)
        return cli_usage_error(a->command, "%s", e.text);
    return 0;
}

int cli_label_maps(const cli_arguments *a, label_map maps[2], char names[2][16])
{
    ts_error e;
    const char *given = cli_value(a, "labels"), *value = given ? given : "auto";
    const size_t first = strcspn(value, ",");
    for (int i = 0; i < 2; i++) {
        plan p;
        const char *from = i && value[first] ? value + first + 1 : value;
        snprintf(names[i], 16, "%.*s", (int)(from == value ? first : strlen(from)), from);
        plan_defaults(&p);
        if (plan_set(&p, "labels", names[i], "--labels", &e) != TS_OK)
            return cli_usage_error(a->command, "%s", e.text);
        maps[i] = (label_map)p.labels;
    }
    return 0;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("%s %s%s\n", program, ts_version(), ranks_built() ? " with MPI" : "");
        return 0;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--manual") || !strcmp(argv[1], "--completion")) {
        (argv[1][2] == 'm' ? cli_print_manual : cli_print_completion)(stdout);
        return 0;
    }
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strcmp(argv[1], cli_commands[i]->name))
            return run_command(cli_commands[i], argc - 2, argv + 2);
    print_line(stderr, "%s: unknown command '%s'; '%s --help' lists the commands", program, argv[1],
               program);
    return 2;
}
