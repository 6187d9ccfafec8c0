#!/bin/bash
# The pages: links and headings that they refer to exist, and so do the commands, options and settings
# that they show; tables of results are those of the committed scores.
. tests/common.sh

pages=("$source/README.md" "$source/CHANGELOG.md" "$source"/docs/*.md)

# anchors PAGE: of its headings, as GitHub and the other renderers of Markdown make them.
anchors() {
    awk '/^```/ {code = !code} !code && /^#+ / {sub(/^#+ /, ""); print tolower($0)}' "$1" |
        sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

links_exist() {
    local page target file bad=0
    for page in "${pages[@]}"; do
        while IFS= read -r target; do
            file=${target%%#*}
            case $target in http*://*) continue ;; esac
            file=${file:+$(dirname "$page")/$file}
            file=${file:-$page}
            if [ ! -e "$file" ]; then
                echo "${page#"$source"/}: $target: there is no such file" && bad=1
            elif [[ $target == *#* ]] && ! anchors "$file" | grep -qx -- "${target#*#}"; then
                echo "${page#"$source"/}: $target: there is no such heading" && bad=1
            fi
        done < <(awk '/^```/ {code = !code} !code' "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//')
    done
    return $bad
}

# Comments refer to docs/PAGE.md, "Heading"; a comment may break the line before the heading.
comments_refer_to_headings() {
    local bad=0 page heading references
    references=$(find "$source"/{src,include,tests,bench,tools,python} -type f \
        \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' \) -exec cat {} + |
        tr '\n' ' ' | sed 's/ \+[*#] / /g; s/  */ /g' | grep -o 'docs/[a-z-]*\.md, "[^"]*"' | sort -u)
    [ -n "$references" ] || { echo "found none"; return 1; }
    while IFS='"' read -r page heading _; do
        page=${page%, }
        grep -q "^##* $heading\$" "$source/$page" ||
            { echo "$page has no heading \"$heading\"" && bad=1; }
    done <<<"$references"
    return $bad
}

# What a reader cannot open, or was not there for.
nothing_from_elsewhere() {
    ! grep -nE 'METHOD [0-9]|SPEC\.md|[^.]\.\./shared' "${pages[@]}" &&
        ! grep -rnE 'METHOD [0-9]|SPEC\.md' "$source"/{src,include,bench,python,tools} &&
        ! grep -niE '(earlier|this|last|previous|our) session' "${pages[@]}"
}

# commands: every `twinseg COMMAND ...` of the pages on one line, continued lines joined; a pipe, a
# comment, or the end of inline code ends it.
commands() {
    awk '/\\$/ {sub(/\\$/, ""); line = line $0; next} {print line $0; line = ""}' "${pages[@]}" |
        grep -oE '(^ +|^|`)twinseg [a-z]+[^`]*' | sed 's/^[ `]*twinseg //; s/  *#.*//; s/ | .*//'
}

options_exist() {
    local command rest option bad=0 settings
    declare -A help
    settings=$("$twinseg" train --help)
    while read -r command rest; do
        [ -n "${help[$command]:-}" ] || help[$command]=$("$twinseg" "$command" --help 2>&1) ||
            { echo "twinseg $command: there is no such command" && bad=1; }
        [ "$rest" != --help ] || continue
        for option in $(grep -oE -- '(^|[ [])--?[a-z][a-z0-9-]*' <<<"$rest" | tr -d ' ['); do
            grep -qE -- "(^|[ ,|])$option([ ,|]|\$)" <<<"${help[$command]}" ||
                { echo "twinseg $command $rest: there is no $option" && bad=1; }
        done
        for option in $(grep -oE '(^| )[a-z0-9_]+=' <<<"$rest" | tr -d ' ='); do
            grep -qE "^  $option " <<<"$settings" ||
                { echo "twinseg $command $rest: there is no setting $option" && bad=1; }
        done
    done < <(commands)
    return $bad
}

every_command_is_explained() {
    local command bad=0
    for command in $("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
        grep -qE "^## (.*, )?$command(,|\$)" "$source/docs/usage.md" ||
            { echo "docs/usage.md has no section on $command" && bad=1; }
    done
    return $bad
}

# Options that the text of a page names without a command are those of some command.
named_options_exist() {
    local all option bad=0 c
    all=$(for c in $("$twinseg" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
        "$twinseg" "$c" --help
    done; "$twinseg" --help)
    for option in $(grep -ohE '`--[a-z][a-z0-9-]*' "$source"/docs/{usage,studies,data,prepare,phantom}.md | tr -d '`' |
        sort -u); do
        grep -qE -- "(^|[ ,|])$option([ ,|]|\$)" <<<"$all" || { echo "no command has $option" && bad=1; }
    done
    return $bad
}

# The tables, made again from the committed score files.
tables_are_of_the_scores() {
    local study
    for study in proof models; do
        mkdir "$study" && cp "$source/results/$study"/*-f?.json "$study" &&
            "$twinseg" study "$source/configs/study-$study.ini" --scores "$study" --table >said 2>&1 &&
            cmp "$study/table.csv" "$source/results/$study/table.csv" &&
            diff <(grep '^|' "$study/table.md") <(grep '^|' "$source/results/$study/table.md") ||
            { cat said; return 1; }
    done
}

# The rows of docs/results.md's first table are the study's: three regions, their mean, the difference.
page_has_the_table() {
    local row rows bad=0
    rows=$(awk -F, '$4 == "dice" && $6 > 0 {
            cells = ($3 == "WT" ? "" : cells " ") sprintf("%.3f |", $7)
            if ($3 == "mean")
                print "| " cells " " ($12 == "" ? "" : sprintf("%+.3f [%+.3f, %+.3f]", $12, $13, $14)) " |"
        }' "$source/results/proof/table.csv")
    [ "$(wc -l <<<"$rows")" -eq 10 ] || { echo "$rows"; return 1; }
    while IFS= read -r row; do
        grep -qF -- "$row" "$source/docs/results.md" || { echo "docs/results.md lacks $row" && bad=1; }
    done <<<"$rows"
    return $bad
}

# The differences that no table of a study has: two of docs/results.md, by the command beside them.
differences_are_those_of_the_page() {
    cd "$source/results" || return 1
    local paper=(proof/paper-t1ce-*) alone=(proof/student-only-t1ce-*)
    python3 "$source/tools/paired.py" "${paper[@]}" - "${alone[@]}" --without 2 | grep -q '^21 patients: .*: +0.001 ' &&
        python3 "$source/tools/paired.py" methods/any-subset* - methods/channel-dropout* --input t1ce |
        grep -q '^23 patients: .*: -0.021 '
}

expect "links and the headings that they point to exist" links_exist
expect "comments refer to headings that exist" comments_refer_to_headings
expect "no page refers to what readers do not have" nothing_from_elsewhere
expect "the pages show commands" test "$(commands | wc -l)" -gt 40
expect "their options and settings exist" options_exist
expect "every command has a section" every_command_is_explained
expect "options named in the text exist" named_options_exist
expect "committed tables are those of their score files" tables_are_of_the_scores
expect "the first table of the results is the study's" page_has_the_table
if command -v python3 >/dev/null; then
    expect "differences are those of the page" differences_are_those_of_the_page
else
    echo "skip - differences are those of the page: python3 is not installed"
fi
finish
