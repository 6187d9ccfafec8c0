/* study: study files and what is wrong with bad ones, claims that workers race for, score files,
 * statistics against scipy (golden/statistics.txt, made by tools/oracle/statistics.py), the table
 * from score files with known answers. */
#include "study/cell.h"
#include "study/lock.h"
#include "study/table.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_folder.h"

/* ---- study files ----------------------------------------------------------------------------- */

static const char head[] = "methods = single-stage, student-only\nsubsets = flair+t1ce, t1\n"
                           "seeds = 1, 7\nfolds = 3\n";

static ts_status open_text(const char *content, study *s, ts_error *error)
{
    const char *path = path_of("grid.ini");
    assert_int_equal(file_put(path, content, strlen(content), error), TS_OK);
    return study_open(path, s, error);
}

static void test_grid(void **state)
{
    study s;
    ts_error e;
    char content[1024];
    (void)state;
    snprintf(content, sizeof content,
             "%s[arm heavy]\nbarlow_weight = 4\n[settings]\nsteps = 9\npreset = small\n"
             "[arm lone]\nmethod = teacher\n",
             head);
    assert_int_equal(open_text(content, &s, &e), TS_OK);
    assert_string_equal(s.name, "grid");
    assert_int_equal(s.arm_count, 4);
    assert_string_equal(s.arms[s.reference].name, "student-only");
    /* 3 arms on 2 subsets and a teacher once, each with 2 seeds and 3 folds */
    assert_int_equal(s.cell_count, (3 * 2 + 1) * 2 * 3);
    assert_string_equal(s.cells[0].name, "single-stage-flair+t1ce-s1-f0");
    assert_string_equal(s.cells[2].name, "heavy-flair+t1ce-s1-f0");
    assert_string_equal(s.cells[3].name, "lone-all-s1-f0");
    assert_string_equal(s.cells[s.cell_count - 1].name, "heavy-t1-s7-f2");
    const plan *p = &s.cells[2].plan;
    assert_int_equal(p->method, METHOD_SINGLE_STAGE);
    assert_true(p->barlow_weight == 4 && p->base == 16 && p->steps == 9 && p->seed == 1);
    assert_int_equal(p->student, 1u << FLAIR | 1u << T1CE);
    assert_int_equal(s.cells[1].plan.method, METHOD_STUDENT_ONLY);
    assert_true(s.cells[1].plan.barlow_weight == 0.1);
    for (size_t i = 0; i < s.cell_count; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(s.cells[i].name, s.cells[k].name);
    study_close(&s);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *content, *words;
    } cases[] = {
        {"methods = single-stage\nsubsets = t1\nseeds = 1\n", "no 'folds'"},
        {"methods = single-stage\nsubsets = t1\nseeds = 1\nfolds = 1\n", "line 4: folds"},
        {"methods = singlestage\nsubsets = t1\nseeds = 1\nfolds = 2\n", "line 1: method is one of"},
        {"methods = teacher\nsubsets = t1+t1\nseeds = 1\nfolds = 2\n", "line 2: 't1+t1'"},
        {"methods = teacher\nsubsets = t1, t1\nseeds = 1\nfolds = 2\n", "line 2: the subset 't1'"},
        {"methods = teacher\nsubsets = t1\nseeds = 1, x\nfolds = 2\n", "line 3: 'x' is not a seed"},
        {"methods = teacher\nsubsets = t1\nseeds = 1, 1\nfolds = 2\n", "line 3: seed 1"},
        {"methods = teacher, teacher\nsubsets = t1\nseeds = 1\nfolds = 2\n", "two arms 'teacher'"},
        {"method = teacher\n", "line 1: 'method' is unknown"},
        {"folds = 2\nfolds = 2\n", "line 2: folds is given twice"},
        {"reference = none\nmethods = teacher\nsubsets = t1\nseeds = 1\nfolds = 2\n", "line 1"},
        {"[settings]\nseed = 1\n", "line 2: seed is set by 'seeds'"},
        {"[settings]\nmethod = teacher\n", "line 2: method is set by 'methods'"},
        {"[settings]\nlerning_rate = 1\n", "line 2: there is no setting 'lerning_rate'"},
        {"[settings]\npreset = huge\n", "line 2: there is no preset"},
        {"[setting]\nsteps = 1\n", "line 2: [setting] is unknown"},
        {"[arm a/b]\nsteps = 1\n", "line 2: 'a/b' cannot name an arm"},
        {"[arm a]\npreset = tiny\n", "line 2: preset"},
        {"methods = teacher\nsubsets = t1\nseeds = 1\nfolds = 2\n[arm teacher]\nsteps = 1\n",
         "line 6: there are two arms"},
        {"methods = teacher\nsubsets = t1\nseeds = 1\nfolds = 2\n[arm odd]\npatch = 20\n",
         "arm 'odd': patch 20"},
        {"nonsense\n", "line 1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        study s;
        ts_error e = {0};
        assert_int_equal(open_text(cases[i].content, &s, &e), TS_BAD_INPUT);
        if (!strstr(e.text, cases[i].words) || !strstr(e.text, "grid.ini'"))
            fail_msg("file %zu should say \"%s\", says: %s", i, cases[i].words, e.text);
    }
}

/* ---- claims ---------------------------------------------------------------------------------- */

/* The lock of a process that is gone: of a child that we have waited for. */
static void leave_dead_lock(const char *path)
{
    const pid_t child = fork();
    if (child == 0) {
        cell_lock l;
        char holder[128];
        _exit(lock_claim(path, &l, holder, NULL) == TS_OK && l.path ? 0 : 1);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
}

static void test_claim(void **state)
{
    cell_lock mine, other;
    char holder[128], expected[64];
    const char *path = path_of("one.lock");
    (void)state;
    assert_int_equal(lock_claim(path, &mine, holder, NULL), TS_OK);
    assert_non_null(mine.path);
    assert_int_equal(lock_claim(path, &other, holder, NULL), TS_OK);
    assert_null(other.path);
    snprintf(expected, sizeof expected, "pid %d on", (int)getpid());
    assert_non_null(strstr(holder, expected));
    assert_true(lock_held(path, holder));
    assert_true(lock_beat(&mine));
    lock_release(&mine);
    assert_false(lock_held(path, holder));
    assert_int_equal(lock_claim(path, &other, holder, NULL), TS_OK);
    assert_non_null(other.path);
    lock_release(&other);
}

static void test_dead_worker(void **state)
{
    cell_lock mine;
    char holder[128];
    const char *path = path_of("dead.lock");
    (void)state;
    leave_dead_lock(path);
    assert_false(lock_held(path, holder));
    assert_int_equal(lock_claim(path, &mine, holder, NULL), TS_OK);
    assert_non_null(mine.path);
    assert_false(file_exists(path_of("dead.lock.0"))); /* the dead one's is cleared away */
    lock_release(&mine);
}

/* A pid is used again: a process of the lock's pid that began at another time is not its owner. */
static void test_reused_pid(void **state)
{
    cell_lock mine;
    char holder[128], line[PROCESS_LINE_BYTES];
    const char *path = path_of("reused.lock"), *file = path_of("reused.lock.0");
    (void)state;
    for (int k = 0; k < 3; k++) {
        static const int64_t later[] = {0, 1, -1};
        process_name owner = process_self();
        owner.start += later[k];
        process_print(&owner, line);
        assert_int_equal(file_put(file, line, strlen(line), NULL), TS_OK);
        assert_int_equal(lock_held(path, holder), k == 0);
        assert_int_equal(lock_claim(path, &mine, holder, NULL), TS_OK);
        assert_int_equal(mine.path != NULL, k > 0);
        lock_release(&mine);
    }
}

/* A lock from another machine holds while it is touched, and no longer. */
static void test_other_machine(void **state)
{
    static const char line[] = "elsewhere boot/pid:[1] 12 34\n";
    cell_lock mine;
    char holder[128];
    const char *path = path_of("far.lock"), *file = path_of("far.lock.0");
    struct timespec times[2];
    (void)state;
    assert_int_equal(file_put(file, line, strlen(line), NULL), TS_OK);
    assert_int_equal(lock_claim(path, &mine, holder, NULL), TS_OK);
    assert_null(mine.path);
    assert_string_equal(holder, "pid 12 on elsewhere");
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= LOCK_STALE_SECONDS + 5;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    assert_int_equal(lock_claim(path, &mine, holder, NULL), TS_OK);
    assert_non_null(mine.path);
    lock_release(&mine);
}

/* Whose lock was taken over finds out at the next beat. */
static void test_taken_over(void **state)
{
    cell_lock mine;
    char holder[128];
    (void)state;
    assert_int_equal(lock_claim(path_of("lost.lock"), &mine, holder, NULL), TS_OK);
    unlink(mine.path);
    assert_false(lock_beat(&mine));
    lock_release(&mine);
}

/* A holder that dies: its lock stays, with the name of a process that is gone. */
static void die_holding(cell_lock *l)
{
    char machine[256], host[64];
    FILE *f = fopen(l->path, "r+");
    if (!f || fscanf(f, "%63s %255s", host, machine) != 2)
        _exit(3);
    rewind(f);
    fprintf(f, "%s %s 4194305 1\n", host, machine); /* beyond the greatest pid */
    fclose(f);
    free(l->path);
}

/* Claims again and again; whoever holds the cell creates a file exclusively and removes it before
 * it lets go, or dies. Returns how often two were inside. */
static int contend(const char *path, const char *inside, int *held)
{
    int failures = 0;
    for (int k = 0; k < 500; k++) {
        cell_lock l;
        char holder[128];
        if (lock_claim(path, &l, holder, NULL) != TS_OK)
            _exit(2);
        if (!l.path)
            continue;
        const int file = open(inside, O_CREAT | O_EXCL | O_WRONLY, 0600);
        failures += file < 0;
        close(file);
        failures += unlink(inside) != 0;
        ++*held;
        if (*held % 3)
            lock_release(&l);
        else
            die_holding(&l);
    }
    return failures;
}

/* Workers that race for free and for dead locks: never two hold the cell at once. */
static void test_race(void **state)
{
    enum { WORKERS = 6 };
    pid_t workers[WORKERS];
    char inside[256], path[256];
    int bad = 0, winners = 0;
    (void)state;
    snprintf(inside, sizeof inside, "%s", path_of("inside"));
    snprintf(path, sizeof path, "%s", path_of("race.lock"));
    leave_dead_lock(path);
    for (int i = 0; i < WORKERS; i++)
        if ((workers[i] = fork()) == 0) {
            int held = 0;
            const int failures = contend(path, inside, &held);
            _exit(failures ? 2 : held > 0);
        }
    for (int i = 0; i < WORKERS; i++) {
        int ended;
        waitpid(workers[i], &ended, 0);
        bad += !WIFEXITED(ended) || WEXITSTATUS(ended) > 1;
        winners += WIFEXITED(ended) && WEXITSTATUS(ended) == 1;
    }
    assert_int_equal(bad, 0);
    assert_true(winners > 1);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void test_statistics(void **state)
{
    char name[32];
    double differences[256];
    int wilcoxon = 0, bootstrap = 0;
    FILE *f = fopen("tests/golden/statistics.txt", "r");
    (void)state;
    assert_non_null(f);
    while (fscanf(f, "%31s", name) == 1) {
        double a, b = 0, low, high;
        int n;
        if (!strcmp(name, "#")) {
            assert_int_equal(fscanf(f, "%*[^\n]"), 0);
            continue;
        }
        const bool test = !strcmp(name, "wilcoxon");
        assert_int_equal(fscanf(f, "%lf", &a), 1);
        assert_true(test || fscanf(f, "%lf", &b) == 1);
        assert_int_equal(fscanf(f, "%d", &n), 1);
        for (int i = 0; i < n; i++)
            assert_int_equal(fscanf(f, "%lf", &differences[i]), 1);
        if (test) {
            const double p = study_wilcoxon(differences, (size_t)n);
            if (fabs(p - a) > 1e-12 + 1e-9 * a)
                fail_msg("wilcoxon %d (%d values): p %.12g, scipy %.12g", wilcoxon, n, p, a);
            wilcoxon++;
            continue;
        }
        /* 10 000 resamples know an end of the interval to about 2 % of its width */
        assert_int_equal(study_bootstrap(differences, (size_t)n, &low, &high, NULL), TS_OK);
        if (fabs(low - a) > 0.03 * (b - a) || fabs(high - b) > 0.03 * (b - a))
            fail_msg("bootstrap: [%g, %g], scipy [%g, %g]", low, high, a, b);
        bootstrap++;
    }
    fclose(f);
    assert_int_equal(wilcoxon, 48);
    assert_int_equal(bootstrap, 3);
    assert_true(study_wilcoxon((double[]){0, 0}, 2) == 1);
}

/* ---- score files and the table --------------------------------------------------------------- */

enum { PATIENTS = 7 };

/* Scores by a rule: student-only 0.5 + patient / 100, single-stage 0.1 more and the teacher 0.4
 * more; seed 7 is 0.02 above seed 1; TC and ET as WT. HD95 is 10 less ten times that. */
static void write_rule(const study *s, const char *scores, size_t cell, double above)
{
    static const char *const roles[] = {"student", "teacher"};
    const study_cell *c = &s->cells[cell];
    model_scores models[2] = {{.input = c->input}, {.input = ALL_MODALITIES}};
    case_scores cases[2][PATIENTS] = {0};
    char ids[PATIENTS][16];
    const cell_scores all = {.steps = 100,
                             .seconds = 50,
                             .models = models,
                             .count = c->plan.method == METHOD_STUDENT_ONLY ? 1 : 2};
    for (size_t m = 0; m < all.count; m++) {
        snprintf(models[m].role, sizeof models[m].role, "%s", roles[m]);
        models[m].cases = cases[m];
        for (int i = c->fold; i < PATIENTS; i += s->folds) {
            case_scores *one = &cases[m][models[m].count++];
            const double dice = 0.5 + i / 100.0 + (c->seed == 7 ? 0.02 : 0) + (m ? 0.4 : above);
            snprintf(ids[i], sizeof ids[i], "case%d", i);
            one->id = ids[i];
            for (int r = 0; r < REGIONS; r++) {
                one->legacy[r] = (region_scores){.dice = dice, .hd95 = 10 - 10 * dice};
                one->lesion[r] =
                    (region_scores){.lesion_dice = dice / 2, .lesion_hd95 = 1, .tp = 1};
            }
        }
    }
    assert_int_equal(scores_write(scores, s, c, &all, NULL), TS_OK);
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-9))
        fail_msg("%.12g is not %.12g", a, b);
}

static void test_table(void **state)
{
    study s;
    table t;
    ts_error e;
    size_t done;
    char scores[256];
    (void)state;
    snprintf(scores, sizeof scores, "%s", path_of("scores"));
    assert_int_equal(open_text(head, &s, &e), TS_OK);
    assert_int_equal(directory_create(scores, &e), TS_OK);
    assert_int_equal(study_table(&s, scores, &done, &e), TS_BAD_INPUT); /* nothing there yet */
    for (size_t i = 0; i < s.cell_count; i++)
        write_rule(&s, scores, i, s.cells[i].arm == 0 ? 0.1 : 0);
    assert_int_equal(table_compute(&s, scores, &t, &e), TS_OK);
    assert_int_equal(t.cells_done, s.cell_count);
    assert_int_equal(t.count, 2 * 3); /* by subset: single-stage, student-only, the teacher */
    const table_row *row = &t.rows[0];
    assert_string_equal(row->arm, "single-stage");
    assert_int_equal(row->patients, PATIENTS);
    assert_int_equal(row->pairs, PATIENTS);
    assert_int_equal(row->runs, 6);
    assert_near(row->seconds, 50);
    for (int g = 0; g < GROUPS; g++) {
        assert_near(row->figures[0][g].mean, 0.64); /* 0.5 + 0.03 + 0.01 + 0.1 */
        assert_near(row->figures[0][g].median, 0.64);
        assert_true(row->figures[0][g].mean_low > 0.6 && row->figures[0][g].mean_low < 0.64);
        assert_true(row->figures[0][g].mean_high > 0.64 && row->figures[0][g].mean_high < 0.68);
        assert_near(row->figures[0][g].difference, 0.1);
        assert_near(row->figures[0][g].p, 2.0 / 128); /* all of 7 the same way */
        assert_near(row->figures[0][g].share, 0.25);
        assert_near(row->figures[1][g].difference, -1); /* HD95: less is better */
        assert_near(row->figures[1][g].share, 0.25);
        assert_near(row->figures[2][g].mean, 0.32);
        assert_true(isnan(row->figures[3][g].share)); /* the teacher does not lead */
    }
    assert_true(t.rows[1].is_reference && isnan(t.rows[1].figures[0][0].difference));
    assert_string_equal(t.rows[2].arm, "teacher of single-stage");
    assert_near(t.rows[2].figures[0][0].mean, 0.94);
    table_free(&t);
    assert_int_equal(study_table(&s, scores, &done, &e), TS_OK);
    assert_true(file_exists(path_of("scores/table.md")));
    snprintf(s.arms[0].name, sizeof s.arms[0].name, "+wide"); /* a formula to a spreadsheet */
    assert_int_equal(study_table(&s, scores, &done, &e), TS_OK);
    csv_table csv;
    assert_int_equal(csv_read(path_of("scores/table.csv"), 1 << 20, false, &csv, &e), TS_OK);
    assert_string_equal(csv_cell(&csv, 0, csv_column(&csv, "arm")), "'+wide");
    assert_string_equal(csv_id(&csv, 0, csv_column(&csv, "arm")), "+wide");
    csv_free(&csv);
    assert_true(file_exists(path_of("scores/differences.png")));

    /* Without one cell of the reference its patients drop out of the comparison, but in the seed
     * that has them they stay. */
    assert_string_equal(s.cells[1].name, "student-only-flair+t1ce-s1-f0");
    unlink(path_of("scores/student-only-flair+t1ce-s1-f0.json"));
    assert_int_equal(table_compute(&s, scores, &t, &e), TS_OK);
    assert_int_equal(t.rows[0].pairs, PATIENTS);
    assert_near(t.rows[0].figures[0][0].difference, 0.1);
    table_free(&t);
    unlink(path_of("scores/student-only-flair+t1ce-s7-f0.json"));
    assert_int_equal(table_compute(&s, scores, &t, &e), TS_OK);
    assert_int_equal(t.rows[0].patients, PATIENTS);
    assert_int_equal(t.rows[0].pairs, 4); /* fold 0 of 3 held patients 0, 3, 6 */
    assert_near(t.rows[0].figures[0][0].difference, 0.1);
    table_free(&t);
    study_close(&s);
}

static void test_score_files(void **state)
{
    study s;
    ts_error e;
    cell_scores scores;
    bool found;
    char path[300], from[128];
    (void)state;
    snprintf(from, sizeof from, "%s", path_of("files"));
    assert_int_equal(open_text(head, &s, &e), TS_OK);
    assert_int_equal(directory_create(from, &e), TS_OK);
    assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_OK);
    assert_false(found);
    write_rule(&s, from, 0, 0.1);
    assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_OK);
    assert_true(found);
    assert_int_equal(scores.count, 2);
    assert_int_equal(scores.models[0].count, 3);
    assert_near(scores.models[0].cases[1].legacy[REGION_TC].dice, 0.63);
    assert_int_equal(scores.models[0].cases[1].lesion[REGION_ET].tp, 1);
    cell_scores_free(&scores);

    s.cells[0].plan.threads = 5; /* changes no number */
    assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_OK);
    cell_scores_free(&scores);
    s.cells[0].plan.barlow_weight = 2;
    assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "barlow_weight = 0.1, the study says 2"));
    s.cells[0].plan.barlow_weight = 0.1;
    write_rule(&s, from, 1, 0); /* student-only has no Barlow Twins to weight */
    assert_int_equal(s.cells[1].plan.method, METHOD_STUDENT_ONLY);
    s.cells[1].plan.barlow_weight = 2;
    s.cells[1].plan.ema_decay = 0.5;
    assert_int_equal(scores_read(from, &s, &s.cells[1], &found, &scores, &e), TS_OK);
    assert_true(found);
    cell_scores_free(&scores);
    s.cells[1].plan.base = 4;
    assert_int_equal(scores_read(from, &s, &s.cells[1], &found, &scores, &e), TS_BAD_INPUT);
    s.folds = 5;
    assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_BAD_INPUT);
    s.folds = 3;

    /* cut anywhere, the file is an error and nothing worse */
    uint8_t *bytes;
    size_t count;
    snprintf(path, sizeof path, "%s/%s.json", from, s.cells[0].name);
    assert_int_equal(file_get(path, 1 << 20, &bytes, &count, &e), TS_OK);
    for (size_t cut = 0; cut + 2 < count; cut += 97) {
        assert_int_equal(file_put(path, bytes, cut, &e), TS_OK);
        assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_BAD_INPUT);
        assert_false(found);
    }
    /* lies: a region without its figures, a figure that is not a number */
    static const char *const lies[][2] = {{"\"ET\": [", "\"EX\": ["}, {"0.6", "\"x\""}};
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        char *at = strstr((char *)bytes, lies[i][0]);
        text t = {0};
        assert_non_null(at);
        text_append_bytes(&t, (char *)bytes, (size_t)(at - (char *)bytes));
        text_append(&t, "%s%s", lies[i][1], at + strlen(lies[i][0]));
        assert_int_equal(file_put(path, t.data, t.length, &e), TS_OK);
        assert_int_equal(scores_read(from, &s, &s.cells[0], &found, &scores, &e), TS_BAD_INPUT);
        text_free(&t);
    }
    free(bytes);
    study_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_claim),       cmocka_unit_test(test_dead_worker),
        cmocka_unit_test(test_reused_pid),  cmocka_unit_test(test_other_machine),
        cmocka_unit_test(test_taken_over),  cmocka_unit_test(test_race),
        cmocka_unit_test(test_statistics),  cmocka_unit_test(test_table),
        cmocka_unit_test(test_score_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
