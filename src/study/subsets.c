/* One model on all 15 subsets of the modalities, and the table that papers on missing modalities print
 * of it: filled circles for the images that were given, Dice in per cent, the mean over the subsets at
 * the end (for instance Ding et al., RFNet, ICCV 2021, table 1). */
#include "study/scoring.h"

#include <stdlib.h>
#include <string.h>

enum { A = 1 << T1, C = 1 << T1CE, B = 1 << T2, F = 1 << FLAIR };

const modality_set study_all_subsets[STUDY_ALL_SUBSETS] = {
    B,     C,     A,         F,         B | C,     A | C,     A | F,        A | B,
    B | F, C | F, A | C | F, A | B | F, B | C | F, A | B | C, A | B | C | F};

/* The columns of the circles. */
static const struct {
    modality modality;
    const char *name;
} columns[MODALITIES] = {{FLAIR, "FLAIR"}, {T1, "T1"}, {T1CE, "T1CE"}, {T2, "T2"}};

/* Means over the cases of a subset, and over the subsets. */
typedef struct {
    double dice[STUDY_ALL_SUBSETS][REGIONS], hd95[STUDY_ALL_SUBSETS][REGIONS];
    double mean_dice[REGIONS], mean_hd95[REGIONS];
    size_t cases[STUDY_ALL_SUBSETS], subsets; /* that have any case */
    bool lesion, uneven;                      /* subsets differ in their number of cases */
} subset_table;

static double dice_of(const case_scores *c, int r, bool lesion)
{
    return lesion ? c->lesion[r].lesion_dice : c->legacy[r].dice;
}

static double hd95_of(const case_scores *c, int r, bool lesion)
{
    return lesion ? c->lesion[r].lesion_hd95 : c->legacy[r].hd95;
}

static void sum_up(const model_scores *scores, bool lesion, subset_table *t)
{
    *t = (subset_table){.lesion = lesion};
    for (int s = 0; s < STUDY_ALL_SUBSETS; s++) {
        const size_t count = t->cases[s] = scores[s].count;
        t->subsets += count > 0;
        t->uneven = t->uneven || count != t->cases[0];
        for (int r = 0; r < REGIONS && count; r++) {
            for (size_t i = 0; i < count; i++) {
                t->dice[s][r] += dice_of(&scores[s].cases[i], r, lesion) / (double)count;
                t->hd95[s][r] += hd95_of(&scores[s].cases[i], r, lesion) / (double)count;
            }
            t->mean_dice[r] += t->dice[s][r];
            t->mean_hd95[r] += t->hd95[s][r];
        }
    }
    for (int r = 0; r < REGIONS; r++) {
        t->mean_dice[r] /= (double)t->subsets;
        t->mean_hd95[r] /= (double)t->subsets;
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const char *convention_words(bool lesion)
{
    return lesion ? "lesion-wise Dice (BraTS 2023)" : "Dice of whole regions (BraTS 2017 to 2021)";
}

/* The marks of a form: before a row, between cells, behind a row. */
typedef struct {
    const char *begin, *between, *end, *given, *missing;
} form;

static void append_circles(text *t, const form *f, int s)
{
    for (int m = 0; m < MODALITIES; m++)
        text_append(t, "%s%s", m ? f->between : f->begin,
                    study_all_subsets[s] >> columns[m].modality & 1 ? f->given : f->missing);
}

static void append_dice(text *t, const form *f, const double *dice, bool any)
{
    for (int r = 0; r < REGIONS; r++)
        if (any)
            text_append(t, "%s%.1f", f->between, 100 * dice[r]);
        else
            text_append(t, "%s-", f->between);
}

static void append_rows(text *t, const form *f, const subset_table *table)
{
    for (int s = 0; s < STUDY_ALL_SUBSETS; s++) {
        append_circles(t, f, s);
        append_dice(t, f, table->dice[s], table->cases[s] > 0);
        if (table->uneven)
            text_append(t, "%s%zu", f->between, table->cases[s]);
        text_append(t, "%s", f->end);
    }
}

static void append_mean(text *t, const form *f, const subset_table *table)
{
    append_dice(t, f, table->mean_dice, true);
    text_append(t, "%s%s", table->uneven ? f->between : "", f->end);
}

static void append_markdown(text *t, const subset_table *table, size_t cases)
{
    static const form f = {"| ", " | ", " |\n", "●", "○"};
    text_append(t, "%s in %%, means over %zu cases%s\n\n", convention_words(table->lesion), cases,
                table->uneven ? ", a subset's over those that have it" : "");
    for (int m = 0; m < MODALITIES; m++)
        text_append(t, "| %s ", columns[m].name);
    text_append(t, "| WT | TC | ET |%s\n|", table->uneven ? " cases |" : "");
    for (int i = 0; i < MODALITIES + REGIONS + table->uneven; i++)
        text_append(t, "---|");
    text_append(t, "\n");
    append_rows(t, &f, table);
    text_append(t, "| mean of %zu | | |", table->subsets);
    append_mean(t, &f, table);
}

static void append_latex(text *t, const subset_table *table, size_t cases)
{
    static const form f = {"", " & ", " \\\\\n", "$\\bullet$", "$\\circ$"};
    text_append(t, "%% %s in %%, means over %zu cases\n\\begin{tabular}{cccc|ccc%s}\n\\hline\n",
                convention_words(table->lesion), cases, table->uneven ? "r" : "");
    for (int m = 0; m < MODALITIES; m++)
        text_append(t, "%s & ", columns[m].name);
    text_append(t, "WT & TC & ET%s \\\\\n\\hline\n", table->uneven ? " & cases" : "");
    append_rows(t, &f, table);
    text_append(t, "\\hline\n\\multicolumn{4}{c|}{mean of %zu}", table->subsets);
    append_mean(t, &f, table);
    text_append(t, "\\hline\n\\end{tabular}\n");
}

/* A row for each subset, and "mean"; Dice from 0 to 1 and HD95 in mm with all digits. */
static void append_csv(text *t, const subset_table *table)
{
    char name[24];
    text_append(t, "modalities,cases,dice_wt,dice_tc,dice_et,hd95_wt,hd95_tc,hd95_et\n");
    for (int s = 0; s <= STUDY_ALL_SUBSETS; s++) {
        const bool mean = s == STUDY_ALL_SUBSETS;
        const double *const figures[] = {mean ? table->mean_dice : table->dice[s],
                                         mean ? table->mean_hd95 : table->hd95[s]};
        if (mean)
            text_append(t, "mean,");
        else
            text_append(t, "%s,%zu", scoring_name(study_all_subsets[s], name), table->cases[s]);
        for (int k = 0; k < 2 * REGIONS; k++)
            if (mean || table->cases[s])
                text_append(t, ",%.10g", figures[k / REGIONS][k % REGIONS]);
            else
                text_append(t, ",");
        text_append(t, "\n");
    }
}

static void append_cases(text *t, const model_scores *scores, bool lesion)
{
    char name[24];
    text_append(t, "modalities,case,region,dice,hd95\n");
    for (int s = 0; s < STUDY_ALL_SUBSETS; s++)
        for (size_t i = 0; i < scores[s].count; i++)
            for (int r = 0; r < REGIONS; r++) {
                const case_scores *c = &scores[s].cases[i];
                text_append(t, "%s,", scoring_name(study_all_subsets[s], name));
                text_append_id(t, c->id);
                text_append(t, ",%s,%.10g,%.10g\n", region_names[r], dice_of(c, r, lesion),
                            hd95_of(c, r, lesion));
            }
}

/* Takes the text. */
static ts_status put(const char *out, const char *name, text *t, ts_error *error)
{
    char *path = path_join(out, name, error);
    ts_status status = TS_MEMORY;
    if (path && t->failed)
        error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    else if (path)
        status = file_put(path, t->data, t->length, error);
    free(path);
    text_free(t);
    return status;
}

static ts_status write_tables(const study_subsets_options *o, const model_scores *scores,
                              size_t cases, char **shown, ts_error *error)
{
    subset_table table;
    text markdown = {0}, latex = {0}, csv = {0}, all = {0};
    sum_up(scores, o->lesion, &table);
    append_markdown(&markdown, &table, cases);
    append_latex(&latex, &table, cases);
    append_csv(&csv, &table);
    append_cases(&all, scores, o->lesion);
    *shown = markdown.failed ? NULL : strdup(markdown.data);
    ts_status status =
        *shown ? TS_OK : error_set(error, TS_MEMORY, "out of memory for the table of subsets");
    const ts_status parts[] = {
        put(o->out, "subsets.md", &markdown, error), put(o->out, "subsets.tex", &latex, error),
        put(o->out, "subsets.csv", &csv, error), put(o->out, "scores.csv", &all, error)};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        status = status == TS_OK ? parts[i] : status;
    return status;
}

/* ---- predicting ------------------------------------------------------------------------------ */

static ts_status score_subset(const study_subsets_options *o, const dataset_case *const *cases,
                              size_t count, modality_set input, model_scores *out, ts_error *error)
{
    char name[24];
    dataset chosen;
    ts_status status = scoring_choose(o->data, cases, count, input, &chosen, error);
    if (status != TS_OK)
        return status;
    char *folder = path_join(o->out, scoring_name(input, name), error);
    status = folder ? TS_OK : TS_MEMORY;
    if (status == TS_OK && chosen.count)
        status = scoring_run(o->model, o->settings, &chosen, input, folder, out, error);
    free(folder);
    free(chosen.cases);
    return status;
}

static ts_status check_options(const study_subsets_options *o, size_t labelled, ts_error *error)
{
    char names[24];
    if (!model_any_subset(o->model))
        return error_set(error, TS_BAD_INPUT,
                         "the model sees %s and nothing else: the table of all subsets is of "
                         "students trained with any-subset or channel-dropout",
                         modality_print(o->model->channels, names));
    if (!labelled)
        return error_set(error, TS_BAD_INPUT, "'%s': no case has a truth to score by",
                         o->data->path);
    return dataset_check_place(o->data, o->out, error);
}

ts_status study_subsets_run(const study_subsets_options *o, char **shown, ts_error *error)
{
    const dataset *d = o->data;
    size_t labelled = 0;
    cell_scores scores = {0};
    *shown = NULL;
    const dataset_case **cases =
        memory_allocate(d->count, sizeof *cases, "the cases to score", error);
    if (!cases)
        return TS_MEMORY;
    for (size_t i = 0; i < d->count; i++)
        if (d->cases[i].truth)
            cases[labelled++] = &d->cases[i];
    ts_status status = check_options(o, labelled, error);
    if (status != TS_OK)
        goto end;
    scores.models = memory_allocate(STUDY_ALL_SUBSETS, sizeof *scores.models, "the scores", error);
    status = scores.models ? directory_create(o->out, error) : TS_MEMORY;
    for (int s = 0; status == TS_OK && s < STUDY_ALL_SUBSETS; s++, scores.count++)
        status = score_subset(o, cases, labelled, study_all_subsets[s], &scores.models[s], error);
    if (status == TS_OK)
        status = write_tables(o, scores.models, labelled, shown, error);
end:
    cell_scores_free(&scores);
    free(cases);
    return status;
}
