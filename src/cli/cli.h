/* cli: the table of commands and the one parser of arguments. Help, man page and completion are
 * made from the same tables. A command's file holds its tables, its messages, and calls into
 * rooms. */
#ifndef TWINSEG_CLI_H
#define TWINSEG_CLI_H

#include "base/base.h"
#include "evaluate/evaluate.h"
#include "plan/plan.h"

typedef struct {
    const char *name;  /* "student", written --student */
    char letter;       /* 'o' for -o, or 0 */
    const char *value; /* "NAMES"; NULL for a flag */
    const char *help;
} cli_option;

typedef struct cli_arguments cli_arguments;

typedef struct {
    const char *name, *summary;
    const char *usage;         /* what follows the name, one line a form, joined by '\n' */
    const char *details;       /* paragraphs after the options, or NULL */
    const cli_option *options; /* ends with a NULL name */
    int positional_min, positional_max;
    bool settings;                      /* accepts key=value, listed in --help from plan's table */
    const char *const *settings_only;   /* of these keys alone, ends with NULL; NULL: of all */
    int (*run)(const cli_arguments *a); /* the exit status: 0, 1 (input), 2 (usage) */
} cli_command;

#define CLI_OPTIONS_MAX 32
#define CLI_FOLDERS_MAX 64 /* of one data set */

struct cli_arguments {
    const cli_command *command;
    const char *values[CLI_OPTIONS_MAX]; /* by place in options; "" for a flag given; NULL absent */
    const char *const *positional;
    int positional_count;
    const char *const *settings; /* "key=value" */
    int settings_count;
};

extern const cli_command *const cli_commands[]; /* ends with NULL; in the order of the work */

/* The option's value, NULL where it was not given ("" for a flag). name must be in the table. */
const char *cli_value(const cli_arguments *a, const char *name);
bool cli_flag(const cli_arguments *a, const char *name);
/* Whole numbers with a range; a usage error is printed and false returned. */
bool cli_integer(const cli_arguments *a, const char *name, int64_t low, int64_t high,
                 int64_t *value);

/* "twinseg: <sentence>" on stderr; returns 1, so that a command writes `return cli_fail(&e);`
 * An interrupt (TS_STOPPED) returns 130. */
int cli_fail(const ts_error *e);
/* "twinseg COMMAND: <sentence>" and where help is; returns 2. */
int cli_usage_error(const cli_command *c, const char *format, ...) PRINTF_LIKE(2, 3);

/* The plan as the arguments say it: defaults, --preset, --config, --student, --seed, --threads,
 * --steps, --method, then key=value in order. 0, or the exit status after a
 * message. */
int cli_plan(const cli_arguments *a, plan *p);
/* The same, starting from the values in *p instead of the defaults. */
int cli_plan_over(const cli_arguments *a, plan *p);

/* --labels P,T: label maps of predictions and truths, and their names ("brats2021" is for both;
 * without the option both are auto). 0, or the exit status after a message. */
int cli_label_maps(const cli_arguments *a, label_map maps[2], char names[2][16]);

bool cli_takes_setting(const cli_command *c, const char *key);
extern const char cli_disclaimer[];

/* The manual page (roff) and bash's completion, of all commands: pages.c. */
void cli_print_manual(FILE *stream);
void cli_print_completion(FILE *stream);
int cli_main(int argc, char **argv);

#endif
