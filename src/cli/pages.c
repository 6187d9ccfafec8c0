/* The manual page and bash's completion, made from the tables that parsing and help are made from:
 * `twinseg --manual >twinseg.1`, `twinseg --completion >twinseg`. */
#include "cli/cli.h"

#include <string.h>

/* ---- manual page ----------------------------------------------------------------------------- */

/* Words as roff takes them: a backslash or a '-' is escaped, and a '.' or ''' that begins a
 * line. */
static void print_roff(FILE *stream, const char *words)
{
    bool line_begins = true;
    for (const char *c = words; *c; c++) {
        if (line_begins && (*c == '.' || *c == '\''))
            fputs("\\&", stream);
        if (*c == '\\')
            fputs("\\e", stream);
        else if (*c == '-')
            fputs("\\-", stream);
        else
            fputc(*c, stream);
        line_begins = *c == '\n';
    }
}

static void print_manual_usage(FILE *stream, const cli_command *c)
{
    for (const char *line = c->usage; line;) {
        const char *end = strchr(line, '\n');
        char form[512];
        snprintf(form, sizeof form, "%.*s", end ? (int)(end - line) : (int)strlen(line), line);
        fprintf(stream, "%s\n\\fBtwinseg %s\\fR ", line == c->usage ? ".PP" : ".br", c->name);
        print_roff(stream, form);
        fputc('\n', stream);
        line = end ? end + 1 : NULL;
    }
}

static void print_manual_option(FILE *stream, const cli_option *o)
{
    fprintf(stream, ".TP\n\\fB");
    if (o->letter)
        fprintf(stream, "\\-%c\\fR, \\fB", o->letter);
    fprintf(stream, "\\-\\-");
    print_roff(stream, o->name);
    fprintf(stream, "\\fR");
    if (o->value) {
        fprintf(stream, " \\fI");
        print_roff(stream, o->value);
        fprintf(stream, "\\fR");
    }
    fputc('\n', stream);
    print_roff(stream, o->help);
    fputc('\n', stream);
}

static void print_manual_settings(FILE *stream)
{
    plan defaults;
    plan_defaults(&defaults);
    fprintf(stream, ".SH SETTINGS\nGiven as \\fIkey\\fR=\\fIvalue\\fR, default in brackets. A "
                    "command's \\fB\\-\\-help\\fR lists those that it takes.\n");
    for (size_t i = 0; i < plan_keys(); i++) {
        char value[128];
        plan_value(&defaults, i, value, sizeof value);
        fprintf(stream, ".TP\n\\fB%s\\fR [", plan_key(i));
        print_roff(stream, value);
        fprintf(stream, "]\n");
        print_roff(stream, plan_key_help(i));
        fputc('\n', stream);
    }
}

void cli_print_manual(FILE *stream)
{
    fprintf(stream,
            ".TH TWINSEG 1 \"\" \"twinseg %s\" \"User Commands\"\n.SH NAME\ntwinseg \\- brain "
            "tumour segmentation on MRI when not all four modalities were acquired\n"
            ".SH SYNOPSIS\n\\fBtwinseg\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n.SH COMMANDS\n",
            ts_version());
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        fprintf(stream, ".SS %s\n", c->name);
        print_roff(stream, c->summary);
        fputc('\n', stream);
        print_manual_usage(stream, c);
        for (int k = 0; c->options[k].name; k++)
            print_manual_option(stream, &c->options[k]);
        if (c->details) {
            fprintf(stream, ".PP\n");
            print_roff(stream, c->details);
            fputc('\n', stream);
        }
    }
    print_manual_settings(stream);
    fprintf(
        stream,
        ".SH EXIT STATUS\n0 on success, 1 on an error (bad input, a file that cannot be read or "
        "written), 2 on wrong usage, 130 after an interrupt.\n.SH NOTES\n%s\n",
        cli_disclaimer);
}

/* ---- completion ------------------------------------------------------------------------------ */

/* One line of a `case`: the command's options and the settings that it takes. */
static void print_completion_words(FILE *stream, const cli_command *c)
{
    fprintf(stream, "        %s) words=\"--help", c->name);
    for (int k = 0; c->options[k].name; k++)
        fprintf(stream, " --%s", c->options[k].name);
    for (size_t k = 0; c->settings && k < plan_keys(); k++)
        if (cli_takes_setting(c, plan_key(k)))
            fprintf(stream, " %s=", plan_key(k));
    fprintf(stream, "\" ;;\n");
}

void cli_print_completion(FILE *stream)
{
    fprintf(stream,
            "# bash completion of twinseg %s\n_twinseg()\n{\n"
            "    local words=\"--help --version\" word=${COMP_WORDS[COMP_CWORD]}\n"
            "    COMPREPLY=()\n"
            "    if [ \"$COMP_CWORD\" -gt 1 ]; then\n"
            "        case ${COMP_WORDS[1]} in\n",
            ts_version());
    for (size_t i = 0; cli_commands[i]; i++)
        print_completion_words(stream, cli_commands[i]);
    fprintf(stream, "        *) words= ;;\n        esac\n    else\n        words=\"$words");
    for (size_t i = 0; cli_commands[i]; i++)
        fprintf(stream, " %s", cli_commands[i]->name);
    fprintf(stream, "\"\n    fi\n"
                    "    [ -z \"$word\" ] && [ \"$COMP_CWORD\" -gt 1 ] && return\n"
                    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                    "    [[ ${COMPREPLY[0]:-} == *= ]] && compopt -o nospace 2>/dev/null\n"
                    "    return 0\n}\n"
                    "complete -o default -F _twinseg twinseg\n");
}
