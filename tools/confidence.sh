#!/bin/bash
# How well does the Dice that predict expects agree with the true one?
#   tools/confidence.sh TRUTH OUTDIR...
# Every OUTDIR is the output of `twinseg predict --data` on cases that its model has not seen, with its
# confidence.csv. Prints over all of them, for each region, the mean of both and their correlations.
set -eu
twinseg=${TWINSEG:-build/twinseg}
[ $# -ge 2 ] || { sed -n '3p' "$0" | cut -c3-; exit 2; }
truth=$1
shift
joined=$(mktemp)
scores=$(mktemp --suffix=.csv)
trap 'rm -f "$joined" "$scores"' EXIT
for out in "$@"; do
    # status 1: the truth has cases beside those that were held out
    "$twinseg" evaluate "$out" "$truth" --convention legacy -o "$scores" >/dev/null 2>&1 || true
    awk -F, 'FNR == 1 { next }
        NR == FNR { expected[$1 ",WT"] = $4; expected[$1 ",TC"] = $5; expected[$1 ",ET"] = $6; next }
        $1 "," $2 in expected { print $2, expected[$1 "," $2], $3 }' "$out/confidence.csv" "$scores" >>"$joined"
done
awk '
    # Pearson correlation of x and y, 1..n
    function correlation(x, y, n,    i, sx, sy, sxx, syy, sxy) {
        for (i = 1; i <= n; i++) { sx += x[i]; sy += y[i] }
        for (i = 1; i <= n; i++) {
            sxx += (x[i] - sx / n) ^ 2; syy += (y[i] - sy / n) ^ 2
            sxy += (x[i] - sx / n) * (y[i] - sy / n)
        }
        return sxx > 0 && syy > 0 ? sxy / sqrt(sxx * syy) : 0
    }
    # ranks, equal values sharing theirs
    function ranks(x, r, n,    i, j) {
        for (i = 1; i <= n; i++) {
            r[i] = 0.5
            for (j = 1; j <= n; j++)
                r[i] += x[j] < x[i] ? 1 : x[j] == x[i] ? 0.5 : 0
        }
    }
    { n[$1]++; e[$1, n[$1]] = $2; t[$1, n[$1]] = $3 }
    END {
        print "| region | predictions | expected Dice, mean | true Dice, mean | Pearson | Spearman |"
        print "|---|---|---|---|---|---|"
        split("WT TC ET", order, " ")
        for (k = 1; k <= 3; k++) {
            region = order[k]; a = b = 0
            for (i = 1; i <= n[region]; i++) {
                x[i] = e[region, i]; y[i] = t[region, i]; a += x[i]; b += y[i]
            }
            ranks(x, rx, n[region]); ranks(y, ry, n[region])
            printf "| %s | %d | %.3f | %.3f | %.2f | %.2f |\n", region, n[region], a / n[region],
                b / n[region], correlation(x, y, n[region]), correlation(rx, ry, n[region])
        }
    }' "$joined"
