/* Works through the grid. Each cell is a process, so that one that crashes or runs out of memory
 * does not end the others, and is claimed, so that several calls, here or on other machines, can
 * share the grid. */
#include "dataset/dataset.h"
#include "study/cell.h"
#include "study/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    pid_t pid; /* 0: idle */
    size_t cell;
    cell_lock lock;
    int words; /* the reading end of a pipe: the sentence that a failed cell ends with */
} worker;

typedef struct {
    const study *study;
    const study_options *options;
    study_counts *counts;
    dataset data;
    worker *workers;
    size_t next;   /* the cell to look at next */
    sigset_t mask; /* signals blocked before */
} grid;

static ts_status make_folders(const study_options *o, ts_error *error)
{
    static const char *const names[] = {"cells", "predictions", "logs", "locks"};
    ts_status status = directory_create(o->scores, error);
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(names); i++) {
        char *path = path_join(o->out, names[i], error);
        status = path ? directory_create(path, error) : TS_MEMORY;
        free(path);
    }
    return status;
}

/* ---- failures, kept for `study --list` ------------------------------------------------------- */

static void forget_failure(const study_options *o, const study_cell *c)
{
    char *path = cell_path(o->out, "logs", c, ".failed", NULL);
    if (path)
        unlink(path);
    free(path);
}

static void fail_cell(grid *g, const study_cell *c, const char *sentence)
{
    char *path = cell_path(g->options->out, "logs", c, ".failed", NULL);
    warn("cell %s: %s", c->name, sentence);
    g->counts->failed++;
    if (path)
        file_put(path, sentence, strlen(sentence), NULL); /* if this fails, the warning is there */
    free(path);
}

/* ---- the process of a cell ------------------------------------------------------------------- */

/* What the cell prints goes to logs/NAME.txt, behind the output of earlier calls. */
static void redirect_output(const study_options *o, const study_cell *c)
{
    char *path = cell_path(o->out, "logs", c, ".txt", NULL);
    const int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close(log);
    }
    free(path);
}

_Noreturn static void run_child(const grid *g, const study_cell *c, pid_t parent, int words)
{
    ts_error error;
    /* The parent holds the claim, so a cell must not outlive it. Its run can be resumed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpgid(0, 0); /* Ctrl-C reaches the parent alone, which passes it on once */
    sigprocmask(SIG_SETMASK, &g->mask, NULL);
    redirect_output(g->options, c);
    const ts_status status = cell_run(g->study, c, g->options, &error);
    progress_end();
    if (status != TS_OK) {
        fprintf(stderr, "%s\n", error.text);
        if (write(words, error.text, strlen(error.text)) < 0)
            _exit(1);
    }
    fflush(NULL);
    _exit(status == TS_OK ? 0 : status == TS_STOPPED ? 130 : 1);
}

static ts_status start_child(grid *g, worker *w, ts_error *error)
{
    int ends[2];
    const pid_t self = getpid();
    const study_cell *c = &g->study->cells[w->cell];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, TS_IO, "cannot start a process: %s", strerror(errno));
    forget_failure(g->options, c);
    fflush(NULL);
    w->pid = fork();
    if (w->pid == 0)
        run_child(g, c, self, ends[1]);
    close(ends[1]);
    if (w->pid < 0) {
        const int cause = errno;
        w->pid = 0;
        close(ends[0]);
        return error_set(error, TS_IO, "cannot start a process: %s", strerror(cause));
    }
    w->words = ends[0];
    return TS_OK;
}

/* A worker's process has ended with this wait status. */
static void finish_child(grid *g, worker *w, int ended)
{
    const study_cell *c = &g->study->cells[w->cell];
    char sentence[sizeof((ts_error *)0)->text] = "";
    const ssize_t length = read(w->words, sentence, sizeof sentence - 1);
    sentence[length > 0 ? length : 0] = '\0';
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0)
        g->counts->done++;
    else if (WIFSIGNALED(ended)) {
        snprintf(sentence, sizeof sentence, "ended by signal %d (%s)%s", WTERMSIG(ended),
                 strsignal(WTERMSIG(ended)),
                 WTERMSIG(ended) == SIGKILL ? ": was the memory exhausted?" : "");
        fail_cell(g, c, sentence);
    } else if (WEXITSTATUS(ended) != 130)
        fail_cell(g, c, sentence);
    close(w->words);
    lock_release(&w->lock);
    w->pid = 0;
}

/* ---- choosing cells -------------------------------------------------------------------------- */

/* Scores made with other data may include cases that this fold trains on, or one case twice. */
static ts_status check_cases(const grid *g, const study_cell *c, const cell_scores *scores,
                             ts_error *error)
{
    const dataset *d = &g->data;
    ts_status status = TS_OK;
    bool *held_out = memory_allocate(d->count, sizeof *held_out, "the split", error);
    if (!held_out)
        return TS_MEMORY;
    dataset_split(d, (uint64_t)c->seed, c->fold, g->study->folds, held_out);
    for (size_t m = 0; m < scores->count; m++)
        for (size_t k = 0; status == TS_OK && k < scores->models[m].count; k++) {
            const char *id = scores->models[m].cases[k].id;
            const dataset_case *one = dataset_find_case(d, id);
            if (!one || !held_out[one - d->cases])
                status = error_set(error, TS_BAD_INPUT,
                                   "its score file has case '%s', which '%s' does not hold out in "
                                   "this fold: it was made with other data",
                                   id, d->path);
        }
    free(held_out);
    return status;
}

static ts_status has_scores(const grid *g, const study_cell *c, bool *found, ts_error *error)
{
    cell_scores scores;
    ts_status status = scores_read(g->options->scores, g->study, c, found, &scores, error);
    if (status == TS_OK && *found) {
        status = check_cases(g, c, &scores, error);
        cell_scores_free(&scores);
    }
    return status;
}

/* Claims the cell unless it has scores (*found). It is to be run where w->lock.path is set and
 * *found is not. */
static ts_status claim_cell(const grid *g, worker *w, const study_cell *c, bool *found,
                            char holder[128], ts_error *error)
{
    ts_status status = has_scores(g, c, found, error);
    if (status != TS_OK || *found)
        return status;
    char *lock = cell_path(g->options->out, "locks", c, ".lock", error);
    if (!lock)
        return TS_MEMORY;
    status = lock_claim(lock, &w->lock, holder, error);
    free(lock);
    if (status != TS_OK || !w->lock.path)
        return status;
    return has_scores(g, c, found, error); /* finished between look and claim? */
}

/* Claims the cell if it is to be run here; else counts it as done, failed or taken. */
static bool take_cell(grid *g, worker *w, size_t index)
{
    const study_cell *c = &g->study->cells[index];
    ts_error error = {0};
    bool found = false;
    char holder[128] = "";
    w->cell = index;
    w->lock.path = NULL;
    const ts_status status = claim_cell(g, w, c, &found, holder, &error);
    if (status == TS_OK && w->lock.path && !found)
        return true;
    lock_release(&w->lock);
    if (status != TS_OK)
        fail_cell(g, c, error.text);
    else if (found)
        g->counts->done++;
    else {
        note("cell %s is taken by %s", c->name, holder);
        g->counts->taken++;
    }
    return false;
}

/* Gives the worker the next cell; false where none is left. */
static bool employ(grid *g, worker *w)
{
    ts_error error;
    while (g->next <= g->options->last && !interrupt_requested()) {
        if (!take_cell(g, w, g->next++))
            continue;
        if (start_child(g, w, &error) == TS_OK)
            return true;
        fail_cell(g, &g->study->cells[w->cell], error.text);
        lock_release(&w->lock);
    }
    return false;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void show_progress(const grid *g)
{
    text t = {0};
    for (int i = 0; i < g->options->workers; i++)
        if (g->workers[i].pid)
            text_append(&t, "%s%s", t.length ? ", " : "", g->study->cells[g->workers[i].cell].name);
    progress_show("%zu of %zu cells done%s%s", g->counts->done,
                  g->options->last - g->options->first + 1, t.length ? "; running: " : "",
                  t.length ? t.data : "");
    text_free(&t);
}

/* Renews our claims. A cell that another worker has taken over (after we were suspended for long)
 * is killed. */
static void beat(const grid *g)
{
    for (int i = 0; i < g->options->workers; i++) {
        const worker *w = &g->workers[i];
        if (w->pid && !lock_beat(&w->lock)) {
            warn("cell %s was taken over by another worker", g->study->cells[w->cell].name);
            kill(w->pid, SIGKILL);
        }
    }
}

static void collect(grid *g)
{
    for (int i = 0; i < g->options->workers; i++) {
        worker *w = &g->workers[i];
        int ended;
        if (w->pid && waitpid(w->pid, &ended, WNOHANG) == w->pid)
            finish_child(g, w, ended);
    }
}

static void work_through(grid *g)
{
    sigset_t child;
    bool told = false;
    double last_beat = clock_seconds();
    const struct timespec wait = {.tv_sec = LOCK_BEAT_SECONDS / 4};
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        int busy = 0;
        collect(g);
        for (int i = 0; i < g->options->workers; i++)
            busy += g->workers[i].pid || employ(g, &g->workers[i]);
        if (!busy)
            break;
        show_progress(g);
        sigtimedwait(&child, NULL, &wait);
        if (interrupt_requested() && !told) {
            for (int i = 0; i < g->options->workers; i++)
                if (g->workers[i].pid)
                    kill(g->workers[i].pid, SIGTERM);
            told = true;
        }
        if (clock_seconds() - last_beat >= LOCK_BEAT_SECONDS) {
            beat(g);
            last_beat = clock_seconds();
        }
    }
    progress_end();
}

/* With SIGCHLD blocked, for which work_through waits. */
static void run_grid(grid *g)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &g->mask);
    work_through(g);
    sigprocmask(SIG_SETMASK, &g->mask, NULL);
}

ts_status study_run(const study *s, const study_options *o, study_counts *counts, ts_error *error)
{
    grid g = {.study = s, .options = o, .counts = counts, .next = o->first};
    *counts = (study_counts){0};
    ts_status status = dataset_open_all(o->data, o->data_count, LABELS_AUTO, &g.data, error);
    if (status != TS_OK)
        return status;
    status = dataset_check_place(&g.data, o->out, error); /* predictions are written there */
    if (status != TS_OK)
        goto end;
    status = make_folders(o, error);
    if (status != TS_OK)
        goto end;
    g.workers = memory_allocate((size_t)o->workers, sizeof *g.workers, "the workers", error);
    if (!g.workers) {
        status = TS_MEMORY;
        goto end;
    }
    run_grid(&g);
    if (interrupt_requested())
        status = error_set(error, TS_STOPPED,
                           "stopped; the same command continues every cell where it stopped");
end:
    free(g.workers);
    dataset_close(&g.data);
    return status;
}

/* ---- the state of a cell --------------------------------------------------------------------- */

study_state study_cell_state(const study *s, size_t cell, const study_options *o,
                             char note_text[1024])
{
    const study_cell *c = &s->cells[cell];
    ts_error error = {0};
    cell_scores scores;
    char holder[128];
    bool found = false;
    study_state state = CELL_WAITING;
    char *lock = cell_path(o->out, "locks", c, ".lock", &error);
    char *run = cell_path(o->out, "cells", c, "/config.ini", &error);
    char *failed = cell_path(o->out, "logs", c, ".failed", &error);
    uint8_t *words = NULL;
    size_t count;
    note_text[0] = '\0';
    if (scores_read(o->scores, s, c, &found, &scores, &error) != TS_OK) {
        state = CELL_FAILED;
        snprintf(note_text, 1024, "%s", error.text);
    } else if (found) {
        state = CELL_DONE;
        cell_scores_free(&scores);
    } else if (lock && lock_held(lock, holder)) {
        state = CELL_RUNNING;
        snprintf(note_text, 1024, "%s", holder);
    } else if (failed && file_get(failed, 4096, &words, &count, &error) == TS_OK) {
        state = CELL_FAILED;
        snprintf(note_text, 1024, "%s", (const char *)words);
    } else if (run && file_exists(run))
        state = CELL_BEGUN;
    free(words);
    free(lock);
    free(run);
    free(failed);
    return state;
}
