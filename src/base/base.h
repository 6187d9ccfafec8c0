/* base: what every room uses. Errors, memory, threads, order and random numbers, text, files that
 * appear whole or not at all, locks, ini, JSON and CSV, tables and the progress line.
 * Look here before writing a helper. JSON values are jansson's (<jansson.h>), used directly. */
#ifndef TWINSEG_BASE_H
#define TWINSEG_BASE_H

#include "twinseg.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PRINTF_LIKE(place, first) __attribute__((format(printf, place, first)))
#define COUNT_OF(array)           (sizeof(array) / sizeof((array)[0]))

#if defined(__wasm__)
#define EMBED_BEGIN(name) ".section .rodata." name ",\"\",@\n.type " name ",@object\n"
#define EMBED_END(name)   ".size " name ", . - " name "\n.text\n"
#else
#define EMBED_BEGIN(name) ".section .rodata\n"
#define EMBED_END(name)   ".previous\n"
#endif

/* The bytes of a file under src/ from `skip` on, and a NUL, as `const char name[]` in the program.
 * The assembler looks for the file in the include path, as the compiler for a header. */
#define EMBED(name, file, skip)                                                                    \
    __asm__(EMBED_BEGIN(#name) ".globl " #name "\n" #name ":\n.incbin \"" file "\", " #skip        \
                               "\n.byte 0\n" EMBED_END(#name));                                    \
    extern const char name[]

/* ---- errors ---------------------------------------------------------------------------- */

/* Fills *error (may be NULL) and returns status, so that a caller writes
 * `return error_set(error, TS_IO, "cannot read '%s': %s", path, strerror(errno));`
 * Control characters of the sentence are escaped (see "foreign text"); arguments may point into
 * error->text. */
ts_status error_set(ts_error *error, ts_status status, const char *format, ...) PRINTF_LIKE(3, 4);
#ifdef __clang_analyzer__ /* reads one file at a time: show it that the status comes back */
#define error_set(error, status, ...) ((void)error_set(error, status, __VA_ARGS__), status)
#endif

/* ---- memory ---------------------------------------------------------------------------- */

/* *product = a * b; false (product untouched) where it overflows. */
bool size_multiply(size_t a, size_t b, size_t *product);

/* count * size zeroed bytes, aligned to 64, to be released by free(). NULL with *error filled
 * (TS_MEMORY) on overflow or exhaustion; never NULL otherwise, also for zero bytes.
 * what: a noun for the sentence, such as "the image". */
void *memory_allocate(size_t count, size_t size, const char *what, ts_error *error);

/* The same, for what will be overwritten whole: not zeroed, so that the threads that write it share
 * the work of getting its pages. */
void *memory_take(size_t count, size_t size, const char *what, ts_error *error);

/* For a program's main: arrays of 8 MiB and more get pages of their own, which go back to the
 * machine when freed, and smaller ones are kept for the next. glibc by itself keeps freed ones of
 * up to 32 MiB in an arena for each thread, where preprocessing a case took three times the
 * memory. */
void memory_begin(void);

/* The first of bytes begin..end-1 that is not 0; end where all are. (Masks mostly are 0.) */
int64_t bytes_next_set(const uint8_t *bytes, int64_t begin, int64_t end);

/* Are all of these 0? (Label volumes mostly are, and this is as fast as memory.) */
bool bytes_are_zero(const void *bytes, size_t count);

/* Bytes that this process may still allocate: the machine's free memory, bounded by the limits of
 * its cgroups. */
size_t memory_available_bytes(void);
/* The least that the limits of a process's cgroup and of those above it leave, v1 or v2, in bytes;
 * SIZE_MAX where there is no limit. Arguments as of processor_quota. */
size_t memory_quota(const char *membership, const char *root);

/* Largest resident size of this process so far (VmHWM). */
size_t memory_peak_bytes(void);

/* ---- threads --------------------------------------------------------------------------- */

typedef struct pool pool;

/* threads >= 1, counting the caller's own; of more threads than processor_count() as many work at a
 * time as there are processors. Destroy with pool_destroy. */
ts_status pool_create(int threads, pool **out, ts_error *error);
void pool_destroy(pool *p);
int pool_threads(const pool *p);

/* Calls task(context, index, thread) once for every index of 0..count-1, on all threads, and
 * returns when all are done. thread is 0..threads-1 (for scratch memory). Which thread takes
 * which index is not fixed, so a result must not depend on it: an index writes its own output,
 * and sums over indices are added by the caller in index order. Not reentrant: a task must not
 * call pool_run on the same pool. A NULL pool runs everything on the caller's thread. */
void pool_run(pool *p, void (*task)(void *context, int64_t index, int thread), void *context,
              int64_t count);

/* From now on all jobs run on the caller's thread, and each task's seconds are told after it ran: a
 * job's in the order of their indices, from 0 to count - 1. For benchmarks; NULL ends it. */
typedef void (*pool_observer)(void *context, int64_t index, int64_t count, double seconds);
void pool_observe(pool *p, pool_observer observer, void *context);

/* The same as pool_run for tasks that can fail (error is never NULL there). The status and *error (may be NULL)
 * are those of the lowest index that failed, with any number of threads. Every index below it has
 * run; indices above it may be left out, so what a task allocates must start from NULL. */
typedef ts_status (*pool_task)(void *context, int64_t index, int thread, ts_error *error);
ts_status pool_run_status(pool *p, pool_task task, void *context, int64_t count, ts_error *error);

/* Processors that this process may use, at least 1: those of its affinity, bounded by the CPU quota
 * of its cgroups. */
int processor_count(void);
/* The least CPU quota, in processors rounded up, of a process's cgroup and of those above it, v1 or
 * v2; INT_MAX where there is none. membership: /proc/self/cgroup; root: where the cgroups are
 * mounted. */
int processor_quota(const char *membership, const char *root);

/* The machine, for records: the processor's name ("" where it is unknown), how many processors this
 * process may use, the kernel's name and release. */
typedef struct {
    char processor[128], system[192];
    int processors;
} machine_facts;
machine_facts machine_describe(void);

/* Seconds of a monotonic clock. */
double clock_seconds(void);

/* ---- ranks ----------------------------------------------------------------------------------
 * Processes that train one run together, started by mpirun; only the main thread may call these.
 * Alone, and in a program that was not built with MPI=1, there is one rank and nothing happens. */

bool ranks_built(void); /* with MPI? */
void ranks_begin(void);
/* A status other than 0 ends the other ranks too, which would wait for this one for ever. */
void ranks_end(int status);
int ranks_self(void); /* 0..count-1; only rank 0 writes files and prints */
int ranks_count(void);

/* Fills all [ranks][own] with the parts of all ranks; each has filled its own part before. */
void ranks_gather(float *all, int64_t own);
/* values [total]: their sums over the ranks, added in rank order, with the same bits on all. */
ts_status ranks_sum(float *values, int64_t total, ts_error *error);
void ranks_broadcast(void *bytes, size_t size); /* from rank 0 */
bool ranks_any(bool mine);

/* ---- order ----------------------------------------------------------------------------- */

/* Ascending, in place; none may be NaN. */
void sort_doubles(double *values, size_t count);
void sort_floats(float *values, size_t count);
/* Sorts values; the mean of the middle two where count is even. NaN of none. */
double median_of_doubles(double *values, size_t count);
/* Of sorted values, linear between neighbours as numpy's default: q = 0 is the least, 1 the
 * greatest. NaN of none. */
double quantile_of_doubles(const double *sorted, size_t count, double q);
double quantile_of_floats(const float *sorted, size_t count, double q);

/* ---- random numbers -------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al. 2011): a draw is a function of (seed, purpose, a, b) and of its
 * place in the stream, never of order or thread. */
typedef struct {
    uint32_t key[2], counter[4], block[4];
    int used;
} random_stream;

/* What a stream is for; part of its key. Add a line for a new use, never renumber. */
enum {
    RANDOM_WEIGHTS = 1,
    RANDOM_SPLIT = 2,
    RANDOM_PATCH = 3,
    RANDOM_SPATIAL = 4,
    RANDOM_INTENSITY = 5,
    RANDOM_NOISE = 6,
    RANDOM_PHANTOM = 7,
    RANDOM_TEST = 8,
    RANDOM_STATISTICS = 9,
    RANDOM_SUBSET = 10,
    RANDOM_ALIGN = 11,
    RANDOM_HEAD = 12,
    RANDOM_KIND = 13,
};

random_stream random_open(uint64_t seed, uint32_t purpose, uint32_t a, uint32_t b);
uint32_t random_u32(random_stream *r);
double random_uniform(random_stream *r, double low, double high); /* [low, high) */
double random_normal(random_stream *r);                           /* mean 0, variance 1 */
int64_t random_below(random_stream *r, int64_t n);                /* 0..n-1, n >= 1, unbiased */
bool random_chance(random_stream *r, double probability);

/* 64-bit FNV-1a; of a string it keys weights by layer name, of bytes it fingerprints files. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count); /* start with HASH_START */
#define HASH_START 0xcbf29ce484222325ull

/* ---- text ------------------------------------------------------------------------------ */

/* A growing string; start from {0}. data is NUL-terminated once anything was appended. On
 * exhaustion `failed` is set and the text stays as it was. Release with text_free. */
typedef struct {
    char *data;
    size_t length, capacity;
    bool failed;
} text;

void text_append(text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_append_list(text *t, const char *format, va_list list);
void text_append_bytes(text *t, const char *bytes, size_t count);
void text_free(text *t);

/* sprintf into new memory, to be released with free; NULL when memory is out. */
char *string_format(const char *format, ...) PRINTF_LIKE(1, 2);
bool string_ends(const char *s, const char *suffix);        /* case matters */
bool string_ends_nocase(const char *s, const char *suffix); /* ASCII case ignored */
const char *string_file_name(const char *path);             /* after the last '/' */

/* Length of a UTF-8 byte-order mark at the start of a text file: 3 or 0. Every reader skips it. */
size_t text_mark(const char *bytes, size_t count);

/* Numbers that fill the whole string; false for anything else, and out of range. parse_double takes
 * finite numbers with a point, whatever the locale. */
bool parse_double(const char *s, double *value);
bool parse_integer(const char *s, int64_t *value);

/* ---- files ----------------------------------------------------------------------------- */

/* A file that appears whole or not at all: written beside its place under a temporary name,
 * flushed, renamed on commit. Every begun writer ends in file_commit or file_abort; a failed
 * file_write or file_commit has aborted already (file_abort is then harmless). file_begin removes
 * what processes that were killed left under temporary names of the same path; a path that is a
 * folder, a device or a pipe is an error (TS_BAD_INPUT). */
typedef struct {
    FILE *stream;
    char *path, *temporary;
} file_writer;

ts_status file_begin(file_writer *w, const char *path, ts_error *error);
ts_status file_write(file_writer *w, const void *bytes, size_t count, ts_error *error);
ts_status file_commit(file_writer *w, ts_error *error);
void file_abort(file_writer *w);

/* Can a file be written at path? To be called before long work, whose result would be lost. */
ts_status file_try(const char *path, ts_error *error);

/* Writes a whole small file at once, by rename. */
ts_status file_put(const char *path, const void *bytes, size_t count, ts_error *error);

/* The whole file, at most limit bytes, with a NUL behind it that count does not include; free
 * with free(). */
ts_status file_get(const char *path, size_t limit, uint8_t **bytes, size_t *count, ts_error *error);

/* A read-only memory map. An empty file maps to bytes NULL, count 0. */
typedef struct {
    const uint8_t *bytes;
    size_t count;
} file_map;
ts_status file_map_open(const char *path, file_map *map, ts_error *error);
void file_map_close(file_map *map);

/* "folder/name" (no second slash where folder ends in one), to be released with free. NULL with
 * *error filled (TS_MEMORY) when memory is out. */
char *path_join(const char *folder, const char *name, ts_error *error);
bool file_exists(const char *path);           /* anything by that name */
bool directory_exists(const char *path);      /* a directory (or a link to one) */
bool file_same(const char *a, const char *b); /* both exist and are the same file */
/* Size in bytes and modification time in ns; false where there is no such file. */
bool file_stamp(const char *path, int64_t *bytes, int64_t *modified_ns);

/* mkdir -p. */
ts_status directory_create(const char *path, ts_error *error);

/* Names within a directory, sorted bytewise, without "." and "..". Free with string_list_free. */
typedef struct {
    char **items;
    size_t count;
} string_list;
ts_status directory_list(const char *path, string_list *names, ts_error *error);
ts_status string_list_add(string_list *list, const char *s, ts_error *error); /* copies s */
void string_list_free(string_list *list);

/* ---- processes and locks --------------------------------------------------------------- */

/* A process, told apart from a later one with the same pid and from those of other machines. */
typedef struct {
    char host[64], machine[192]; /* machine: boot and pid namespace */
    int64_t pid, start;          /* start: clock ticks after the boot */
} process_name;
enum { PROCESS_LINE_BYTES = 320 };

process_name process_self(void);
void process_print(const process_name *p, char line[PROCESS_LINE_BYTES]); /* with a newline */
bool process_parse(const char *line, process_name *p);
bool process_same_machine(const process_name *a, const process_name *b);
bool process_lives(const process_name *p); /* p is a process of this machine */

/* A lock file at path that dies with its process, however that ends (flock; over NFS the server
 * keeps the lock). Never waits: out->held is false where another process holds the lock, and
 * *holder is that process (host "an unknown machine" and pid 0 where the file does not tell). Where
 * the file system has no locks, the file's content decides, for processes of this machine alone.
 * Release removes the file; a file that a killed process left does not block. */
typedef struct {
    int fd;
    char *path;
    bool held;
} process_lock;
ts_status process_lock_take(const char *path, process_lock *out, process_name *holder,
                            ts_error *error);
void process_lock_release(process_lock *l); /* of {0}: does nothing */

/* Waits until no other process holds the folder, and holds it until folder_release or the end of
 * the process: for the moment in which a file in it is read, changed and written. Where the file
 * system has no locks, nothing is held and nobody waits. */
int folder_hold(const char *path);
void folder_release(int hold);

/* Runs a program to its end, in a process group of its own, without input. words: its name and
 * arguments, the last NULL; it is looked for on the PATH. What it prints is appended to the file
 * `log`, and goes to stderr where log is NULL. *found false: there is no such program; *good: it
 * ended with status 0. TS_STOPPED after an interrupt, which ends the program and all that it
 * started. */
ts_status program_run(const char *const *words, const char *log, bool *found, bool *good,
                      ts_error *error);

/* A folder for other programs' files: FOLDER/.prepare-XXXXXX, readable by its owner alone. */
typedef struct {
    char *path; /* owned; NULL: none */
    int lock;   /* an open descriptor of it, locked while this process lives */
} scratch_folder;

/* Makes one within folder, and removes those that processes left there that are gone. */
ts_status scratch_open(const char *folder, scratch_folder *s, ts_error *error);
/* Removes it and all that it holds. Of one without a path: does nothing. */
void scratch_close(scratch_folder *s);

/* ---- ini ------------------------------------------------------------------------------- */

/* `key = value` lines, `[section]` lines, '#' or ';' comments. Calls entry for every pair in
 * order (section "" before the first header); a status other than TS_OK ends the reading. name is
 * what messages call the file. Malformed lines are errors that name the line. */
typedef ts_status (*ini_entry)(void *context, const char *section, const char *key,
                               const char *value, int line, ts_error *error);
ts_status ini_parse(const char *content, size_t count, const char *name, ini_entry entry,
                    void *context, ts_error *error);
ts_status ini_read(const char *path, ini_entry entry, void *context, ts_error *error);

/* ---- JSON ------------------------------------------------------------------------------ */

/* *out: the file's content, to be released with json_decref; NULL after an error. A key that occurs
 * twice is an error. */
typedef struct json_t json_t;
#define JSON_BYTES_MAX ((size_t)1 << 28) /* far more than a file that this program writes */
ts_status json_read(const char *path, size_t limit, json_t **out, ts_error *error);

/* ---- CSV (RFC 4180) -------------------------------------------------------------------- */

/* A field of a row, in quotes where it holds a comma, a quote or a line break. */
void text_append_field(text *t, const char *field);
/* The same for a name that others chose (a case's id). A spreadsheet takes what begins with one of
 * = + - @ TAB CR for a formula: such a name gets an apostrophe in front, as does one that begins
 * with an apostrophe before one of these or before another apostrophe. csv_id takes it off
 * again. */
void text_append_id(text *t, const char *id);

/* A table in memory: a header of names, then rows of as many cells. Cells are unquoted; they and
 * the names live until csv_free. An empty file has no columns and no rows. */
typedef struct {
    size_t columns, rows;
    const char **names; /* [columns] */
    const char **cells; /* [rows][columns] */
    int64_t *lines;     /* [rows]: where in the file a row begins, from 1; for messages */
    char *content;
} csv_table;

/* Errors (TS_BAD_INPUT) name the file and the line: a row with another number of cells than the
 * header, an open quote, a NUL byte. growing: a last line without its newline is being written by
 * another process or was cut by a kill, and is left out. *out needs no csv_free after an error. */
ts_status csv_parse(const char *content, size_t count, const char *name, bool growing,
                    csv_table *out, ts_error *error);
ts_status csv_read(const char *path, size_t limit, bool growing, csv_table *out, ts_error *error);
void csv_free(csv_table *t);
int csv_column(const csv_table *t, const char *name); /* -1: there is none of that name */
const char *csv_cell(const csv_table *t, size_t row, int column);
const char *csv_id(const csv_table *t, size_t row, int column); /* written by text_append_id */
/* False where the cell is empty or not a finite number. */
bool csv_number(const csv_table *t, size_t row, int column, double *value);

/* ---- foreign text ---------------------------------------------------------------------- */

/* File names, ids and a model's metadata come from others, and a terminal obeys the control
 * characters in them. These show C0 and C1 controls, DEL and bytes that are not UTF-8 as \x1b (or
 * \n \r \t); escaping twice changes nothing more. error_set, warn, note, progress_show, cli_fail
 * and table_print do it by themselves; whatever else is printed for people goes through these. */
void escape_into(char *out, size_t size, const char *s); /* cut where it does not fit */
void text_append_escaped(text *t, const char *s);
void print_escaped(FILE *stream, const char *s);
/* printf, escaped as a whole, and a newline. */
void print_line(FILE *stream, const char *format, ...) PRINTF_LIKE(2, 3);
void print_line_list(FILE *stream, const char *format, va_list list);
/* Bytes of the UTF-8 character at s; 0, and *code untouched, where it is not one. */
int utf8_decode(const char *s, uint32_t *code);

/* ---- what people see ------------------------------------------------------------------- */

/* A table on a stream: columns aligned by width, the first left, the others right.
 * cells: rows * columns strings, row by row; the first row is the header, underlined. */
void table_print(FILE *stream, const char *const *cells, size_t rows, size_t columns);

/* The progress line: one line on stderr, redrawn in place on a terminal at most ten times a
 * second; elsewhere a plain line every 30 s, the first after 30 s. */
void progress_show(const char *format, ...) PRINTF_LIKE(1, 2);
/* What every line begins with until the next call: "step 2 of 5: "; NULL: nothing more. */
void progress_stage(const char *format, ...) PRINTF_LIKE(1, 2);
void progress_end(void);   /* ends the line, if there is one, with its latest text */
void progress_clear(void); /* removes it: what is printed next says more */

/* "warning: ..." and "note: ..." on stderr, each on a line of its own; the progress line stays. */
void warn(const char *format, ...) PRINTF_LIKE(1, 2);
void note(const char *format, ...) PRINTF_LIKE(1, 2);

/* After interrupt_install, Ctrl-C and SIGTERM request that long work stops at its next safe point;
 * a second one ends the process at once. */
void interrupt_install(void);
bool interrupt_requested(void);

#endif
