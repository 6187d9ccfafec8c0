/* What people see: tables, the progress line, notes and warnings; and Ctrl-C. */
#include "base/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Columns that a terminal shows of a UTF-8 string: its bytes less the continuation bytes. */
static int shown_width(const char *s)
{
    int width = 0;
    for (; *s; s++)
        width += ((unsigned char)*s & 0xC0) != 0x80;
    return width;
}

static void print_rows(FILE *stream, const text *cells, const int *widths, size_t rows,
                       size_t columns)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            const text *t = &cells[r * columns + c];
            const char *cell = t->data ? t->data : "";
            const int pad = widths[c] - shown_width(cell);
            if (c == 0)
                fprintf(stream, "%s%*s", cell, columns > 1 ? pad : 0, "");
            else
                fprintf(stream, "  %*s%s", pad, "", cell);
        }
        fputc('\n', stream);
        for (size_t c = 0; r == 0 && c < columns; c++) {
            for (int i = 0; i < widths[c] + (c ? 2 : 0); i++)
                fputc('-', stream);
            if (c + 1 == columns)
                fputc('\n', stream);
        }
    }
}

void table_print(FILE *stream, const char *const *cells, size_t rows, size_t columns)
{
    int *widths = calloc(columns, sizeof *widths);
    text *shown = calloc(rows * columns, sizeof *shown);
    for (size_t i = 0; widths && shown && i < rows * columns; i++) {
        text_append_escaped(&shown[i], cells[i]);
        const int width = shown[i].data ? shown_width(shown[i].data) : 0;
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    if (widths && shown)
        print_rows(stream, shown, widths, rows, columns);
    for (size_t i = 0; shown && i < rows * columns; i++)
        text_free(&shown[i]);
    free(widths);
    free(shown);
}

static pthread_mutex_t show_lock = PTHREAD_MUTEX_INITIALIZER;
static char progress_text[512], stage_text[64];
static bool progress_shown; /* from a job's first line to its end */
static double progress_time;

/* Off a terminal no line comes before a job has taken half a minute. */
void progress_show(const char *format, ...)
{
    const bool terminal = isatty(STDERR_FILENO);
    if (ranks_self() > 0)
        return;
    pthread_mutex_lock(&show_lock);
    char line[sizeof progress_text];
    const size_t n = (size_t)snprintf(line, sizeof line, "%s", stage_text);
    va_list list;
    va_start(list, format);
    vsnprintf(line + n, sizeof line - n, format, list);
    va_end(list);
    escape_into(progress_text, sizeof progress_text, line);
    const double now = clock_seconds();
    if (!progress_shown)
        progress_time = terminal ? -1e9 : now;
    if (now - progress_time >= (terminal ? 0.1 : 30.0)) {
        fprintf(stderr, terminal ? "\r%s\033[K" : "%s\n", progress_text);
        fflush(stderr);
        progress_time = now;
    }
    progress_shown = true;
    pthread_mutex_unlock(&show_lock);
}

void progress_stage(const char *format, ...)
{
    va_list list;
    pthread_mutex_lock(&show_lock);
    stage_text[0] = '\0';
    if (format) {
        va_start(list, format);
        const int n = vsnprintf(stage_text, sizeof stage_text - 2, format, list);
        va_end(list);
        if (n > 0)
            strcat(stage_text, ": ");
    }
    pthread_mutex_unlock(&show_lock);
}

void progress_end(void)
{
    pthread_mutex_lock(&show_lock);
    if (progress_shown)
        fprintf(stderr, isatty(STDERR_FILENO) ? "\r%s\033[K\n" : "%s\n", progress_text);
    progress_shown = false;
    pthread_mutex_unlock(&show_lock);
}

void progress_clear(void)
{
    pthread_mutex_lock(&show_lock);
    if (progress_shown && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    progress_shown = false;
    pthread_mutex_unlock(&show_lock);
}

static void say(const char *kind, const char *format, va_list list)
{
    if (ranks_self() > 0)
        return;
    pthread_mutex_lock(&show_lock);
    if (progress_shown && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    fprintf(stderr, "%s: ", kind);
    print_line_list(stderr, format, list);
    pthread_mutex_unlock(&show_lock);
}

void warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("warning", format, list);
    va_end(list);
}

void note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("note", format, list);
    va_end(list);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    if (interrupted)
        _exit(130); /* a second Ctrl-C does not wait */
    interrupted = 1;
}

void interrupt_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_requested(void)
{
    return interrupted != 0;
}
