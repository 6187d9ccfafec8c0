/* twinseg study: a grid of runs and the table over their scores. */
#include "cli/cli.h"
#include "study/study.h"

#include <stdlib.h>
#include <string.h>

extern const cli_command study_command;

static const cli_option options[] = {
    {"out", 'o', "DIR", "folder of the runs, made here; several machines may share it"},
    {"scores", 0, "DIR",
     "score files and tables (default: OUT/scores); a cell is done where its "
     "score file is there"},
    {"workers", 0, "N",
     "cells to run at a time, each with its share of the processors (default 1)"},
    {"threads", 0, "N", "threads of each cell (default: processors / workers)"},
    {"cache", 0, "DIR", "folder of preprocessed cases, shared by the cells (default: OUT/cache)"},
    {"list", 0, NULL, "print the cells with their numbers and states, and run none"},
    {"cell", 0, "K", "run the cell of this number alone, or of the numbers A-B"},
    {"table", 0, NULL, "make the table from the score files that are there, and run none"},
    {0},
};

/* "K" or "A-B", counted from 1. */
static int parse_cells(const cli_arguments *a, const study *s, study_options *o)
{
    const char *value = cli_value(a, "cell");
    char first[24];
    int64_t from, to;
    o->first = 0;
    o->last = s->cell_count - 1;
    if (!value)
        return 0;
    const size_t length = strcspn(value, "-");
    snprintf(first, sizeof first, "%.*s", (int)length, value);
    const char *last = value[length] ? value + length + 1 : first;
    if (!parse_integer(first, &from) || !parse_integer(last, &to) || from < 1 || to < from ||
        to > (int64_t)s->cell_count)
        return cli_usage_error(a->command,
                               "--cell takes a number or a range A-B from 1 to %zu, not "
                               "'%s' (--list prints them)",
                               s->cell_count, value);
    o->first = (size_t)from - 1;
    o->last = (size_t)to - 1;
    return 0;
}

static int list_cells(const study *s, const study_options *o)
{
    static const char *const words[] = {"waiting", "begun", "running", "failed", "done"};
    for (size_t i = o->first; i <= o->last; i++) {
        char note_text[1024];
        const study_state state = study_cell_state(s, i, o, note_text);
        print_line(stdout, "%4zu  %-8s %s%s%s", i + 1, words[state], s->cells[i].name,
                   note_text[0] ? "  " : "", note_text);
    }
    return 0;
}

static int make_table(const study *s, const study_options *o)
{
    ts_error e;
    size_t done;
    if (study_table(s, o->scores, &done, &e) != TS_OK)
        return cli_fail(&e);
    print_line(stdout, "%s/table.md: %zu of %zu cells", o->scores, done, s->cell_count);
    return 0;
}

static int run_cells(const study *s, const study_options *o)
{
    ts_error e;
    study_counts counts;
    interrupt_install();
    if (study_run(s, o, &counts, &e) != TS_OK)
        return cli_fail(&e);
    printf("%zu done, %zu failed, %zu taken by other workers, of %zu cells\n", counts.done,
           counts.failed, counts.taken, o->last - o->first + 1);
    const bool whole_grid = o->first == 0 && o->last == s->cell_count - 1;
    const int status = whole_grid && counts.done ? make_table(s, o) : 0;
    return counts.failed ? 1 : status;
}

/* The options, and whether the form of the call has what it needs. */
static int read_options(const cli_arguments *a, const study *s, study_options *o)
{
    int64_t workers = 1, threads = 0;
    if (!cli_integer(a, "workers", 1, 1024, &workers) ||
        !cli_integer(a, "threads", 1, 1024, &threads))
        return 2;
    o->workers = (int)workers;
    o->threads = threads ? (int)threads : processor_count() / o->workers;
    o->threads = o->threads > 0 ? o->threads : 1;
    if (!o->out && !(cli_flag(a, "table") && o->scores))
        return cli_usage_error(a->command, "--out DIR is missing: the folder of the runs");
    if (!o->data_count && !cli_flag(a, "table") && !cli_flag(a, "list"))
        return cli_usage_error(a->command, "DATA is missing: the folder of the data set");
    return parse_cells(a, s, o);
}

static int run(const cli_arguments *a)
{
    study s;
    ts_error e;
    study_options o = {
        .data = a->positional + 1,
        .data_count = (size_t)a->positional_count - 1,
        .out = cli_value(a, "out"),
        .cache = cli_value(a, "cache"),
        .scores = cli_value(a, "scores"),
    };
    if (study_open(a->positional[0], &s, &e) != TS_OK)
        return cli_fail(&e);
    char *scores = o.scores ? NULL : path_join(o.out ? o.out : "", "scores", NULL);
    int status = read_options(a, &s, &o);
    o.scores = o.scores ? o.scores : scores;
    if (!status)
        status = cli_flag(a, "list")    ? list_cells(&s, &o)
                 : cli_flag(a, "table") ? make_table(&s, &o)
                                        : run_cells(&s, &o);
    free(scores);
    study_close(&s);
    return status;
}

const cli_command study_command = {
    .name = "study",
    .summary = "train and score a grid of runs, and compare them",
    .usage = "STUDY.ini DATA [DATA2 ...] --out DIR [--scores DIR] [--workers N] [--cell K]\n"
             "STUDY.ini --out DIR --list\n"
             "STUDY.ini --scores DIR --table",
    .details =
        "Every cell is a run of `train`, its held-out cases predicted and scored by both\n"
        "conventions. What is done is kept: the same command continues after an interrupt or a\n"
        "failure, also on another machine. docs/studies.md describes the study file.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1 + CLI_FOLDERS_MAX,
    .run = run,
};
