#!/bin/bash
# twinseg report at the command line; and in a real browser, where there is one: no error on the
# console, sorting, scrolling, switching overlays.
. tests/common.sh
has() { grep -qF -- "$2" "$1"; }
lacks() { ! grep -qE -- "$2" "$1"; }

small="patch=16 base=4 stages=2 spacing=4 barlow_warmup=0"
{
    "$twinseg" phantom "$work/data" --cases 4 --seed 7 --size 48,48,32 &&
        "$twinseg" train "$work/data" --out "$work/run" --student flair,t1ce --fold 0/2 --steps 6 \
            $small validate_steps=3 &&
        "$twinseg" train "$work/data" --out "$work/half" --student flair --steps 6 --stop-after 4 $small
    "$twinseg" predict "$work/run" --data "$work/data" -o "$work/pred"
} >"$work/log" 2>&1 || { cat "$work/log"; echo "not ok - a run and its predictions"; exit 1; }
expect "off a terminal there is no line for each window" lacks "$work/log" 'window [0-9]'

"$twinseg" report "$work/pred" "$work/run" -o "$work/r.html" >"$work/log" 2>&1
expect "predictions and a run make a report" test $? -eq 0
expect "with slices of all cases" has "$work/log" "4 cases, 4 with slices"
expect "images are found where predict found them" has "$work/r.html" '"images":{"t1ce":"'
expect "and scored against the truth there" lacks "$work/r.html" '"figures":\[\]'
expect "the system is named once" lacks "$work/r.html" 'Linux (\$\{made.system\}|Linux)'
expect "that loads nothing from elsewhere" lacks "$work/r.html" '(src|href)=|url\(|@import|fetch\(|XMLHttp|WebSocket'
expect "and names no other address" test "$(grep -oE 'https?://[a-z0-9./]+' "$work/r.html" | sort -u)" = \
    "http://www.w3.org/2000/svg"
expect "settings are in it" has "$work/r.html" '"key":"learning_rate"'
expect "the run's machine and data are in it" has "$work/r.html" '"from_step":0'
expect "and the expected Dice" has "$work/r.html" '"confidence":"case,modalities'
expect "checksums are in it" has "$work/r.html" '"fnv1a64":"'
"$twinseg" report "$work/half" -o "$work/half.html" >/dev/null 2>&1
expect "a half-finished run shows what is there" has "$work/half.html" '"steps_done":4'
mkdir "$work/begun" && cp "$work/run/config.ini" "$work/begun"
"$twinseg" report "$work/begun" -o "$work/begun.html" >/dev/null 2>&1
expect "so does one that has barely begun" has "$work/begun.html" '"steps_done":0'
mkdir -p "$work/study/cells" && cp -r "$work/half" "$work/run" "$work/study/cells"
"$twinseg" report "$work/study" -o "$work/study.html" >"$work/log" 2>&1
expect "a study without a table shows its runs" test "$(grep -o '"steps_done":' "$work/study.html" | wc -l)" -eq 2
mkdir "$work/study/scores" && cat >"$work/study/scores/table.json" <<'E2'
{"study": "trial", "reference": "student-only", "folds": 2, "cells": 4, "cells_done": 3, "rows": [
 {"modalities": "flair", "arm": "student-only", "runs": 2, "runs_planned": 2, "patients": 6, "scores": {"WT":
  {"dice": {"mean": 0.5, "median": 0.5, "difference": null, "interval": [null, null], "p": null}}}},
 {"modalities": "flair", "arm": "single-stage", "runs": 1, "runs_planned": 2, "patients": 3, "scores": {"WT":
  {"dice": {"mean": 0.625, "median": 0.6, "difference": 0.125, "interval": [0.1, 0.2], "p": 0.03}}}}]}
E2
"$twinseg" report "$work/pred" "$work/run" "$work/study" --data "$work/data" -o "$work/r.html" >"$work/log" 2>&1
expect "with one, the table" has "$work/r.html" '"mean":0.625'
echo '{"rows": 3}' >"$work/begun/table.json" && rm "$work/begun/config.ini"
"$twinseg" report "$work/begun" -o "$work/x.html" >"$work/log" 2>&1
expect "a table that is not one is named" has "$work/log" "begun/table.json' is not a table of a study"
echo '{"train": 5}' >"$work/half/split.json"
"$twinseg" report "$work/half" -o "$work/x.html" >"$work/log" 2>&1
expect "a damaged split is named" has "$work/log" "half/split.json': it lists no cases"
first=$(ls "$work/pred" | grep nii | head -1)
cp "$work/pred/$first" "$work/pred/<script>alert(1)<!--.nii.gz"
cp "$work/pred/$first" "$work/pred/$(printf 'bytes \377').nii.gz"
head -c 300 "$work/pred/$first" >"$work/pred/damaged.nii.gz"
cp "$work/pred/damaged.nii.gz" "$work/pred/$(printf 'bytes red\033[31m').nii.gz"
"$twinseg" report "$work/pred" --data "$work/data" -o "$work/odd.html" --pictures 9 >"$work/log" 2>&1
expect "a damaged prediction is named" has "$work/log" damaged.nii.gz
expect "and the others go on" has "$work/odd.html" "\"id\":\"${first%.nii.gz}\""
expect "names cannot leave the data" lacks "$work/odd.html" '<script>alert'
expect "bytes that are not UTF-8 are shown as such" has "$work/odd.html" '"id":"bytes \\xff"'
expect "a terminal is not told to change colour" grep -qF 'bytes red\x1b[31m' "$work/log"
expect "anywhere" test "$(tr -dc '\033' <"$work/log" | wc -c)" -eq 0
expect "and stand in it" has "$work/odd.html" '"id":"\u003cscript>alert(1)\u003c!--"'
rm "$work/pred/<script>alert(1)<!--.nii.gz" "$work/pred/damaged.nii.gz" "$work/pred/"bytes*
mv "$work/data" "$work/elsewhere"
"$twinseg" report "$work/pred" -o "$work/bare.html" >"$work/log" 2>&1
expect "without the images predictions are shown alone" has "$work/bare.html" '"slices":{'
expect "which is said" has "$work/log" "The data set that these were predicted from cannot be read"
expect "in the page, too" has "$work/bare.html" "$work/data' does not exist. Give the data set by --data"
"$twinseg" report "$work/pred" --data "$work/elsewhere" -o "$work/x.html" >"$work/log" 2>&1
expect "with --data they have images again" has "$work/x.html" '"images":{"t1ce":"'
mkdir "$work/second" && cp -r "$work/elsewhere/BraTS2021_00000" "$work/second/other"
"$twinseg" predict "$work/run" --data "$work/second" -o "$work/pred" >/dev/null 2>&1
"$twinseg" predict "$work/run" --data "$work/elsewhere" -o "$work/pred" >/dev/null 2>&1
expect "every data set that was predicted from is recorded" test \
    "$(grep -cE '/(data|second|elsewhere)"' "$work/pred/predict.json")" -eq 3
mv "$work/elsewhere" "$work/data" && rm -r "$work/second"
mkdir "$work/loose" && cp "$work/pred/$first" "$work/loose"
"$twinseg" report "$work/loose" -o "$work/x.html" >"$work/log" 2>&1
expect "label files without a record say what is missing" has "$work/x.html" \
    "It is not recorded which images these were predicted from. Give the data set by --data"
"$twinseg" report "$work/data" -o "$work/x.html" >"$work/log" 2>&1
expect "any other folder is refused" test $? -eq 1
expect "with what was looked for" has "$work/log" "neither a run (config.ini), nor a study"
"$twinseg" report "$work/run" >"$work/log" 2>&1
expect "without -o it is a usage error" test $? -eq 2

# The page is built into the program by the include path, whatever folder the compiler runs in.
(cd / && "${CC:-cc}" -std=c17 -D_GNU_SOURCE -I"$source/include" -I"$source/src" -c -o "$work/page.o" \
    "$source/src/report/report.c") >"$work/log" 2>&1
expect "the page is found when the compiler runs elsewhere" grep -q 'twinseg report' "$work/page.o"

# ---- the browser --------------------------------------------------------------------------------
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
    echo "skip - the report in a browser: no chromium here (apt-get install chromium)"
    finish
fi
# The page between a script that records errors and one that uses the page as a reader would.
cat >"$work/before.html" <<'E2'
<script>
window.problems = [];
addEventListener("error", e => problems.push(e.message));
addEventListener("unhandledrejection", e => problems.push(String(e.reason)));
window.alert = word => problems.push(`alert ${word}`);
console.error = (...words) => problems.push(words.join(" "));
</script>
E2
cat >"$work/after.html" <<'E2'
<script>
(async () => {
  const results = [], say = (name, good) => results.push(`${good ? "ok" : "not ok"} - in the browser: ${name}`);
  for (let i = 0; i < 200 && !document.body.dataset.loaded; i++) await new Promise(r => setTimeout(r, 50));
  try {
    const heads = [...document.querySelectorAll("thead tr:last-child th")], column = i =>
      [...heads[0].closest("table").tBodies[0].rows].map(row => row.cells[i].textContent);
    const cards = () => [...document.querySelectorAll(".case h3")].map(h => h.textContent);
    const sorted = (list, sign) => list.every((v, i) => i === 0 || sign * (list[i - 1] - v) <= 0);
    const press = i => heads[i].querySelector("button").click();
    say("slices are drawn", document.querySelectorAll(".case canvas").length === 12);
    say("the worst come first", sorted(column(1).map(Number), 1) && String(cards()) === String(column(0)));
    [...document.querySelectorAll("button")].find(b => b.textContent === "best first").click();
    say("or the best", sorted(column(1).map(Number), -1) && String(cards()) === String(column(0)));
    press(0);
    const names = column(0);
    press(0);
    say("a click on a header sorts, another one reverses", String(names) === String([...names].sort()) &&
      String(column(0)) === String([...names].reverse()) && heads[0].getAttribute("aria-sort") === "descending");
    const canvas = document.querySelector(".case canvas"), slider = document.querySelector(".case input[type=range]");
    const pixels = () => canvas.toDataURL(), at = +slider.value, before = pixels();
    canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: 1, cancelable: true}));
    say("the wheel scrolls", +slider.value === at + 1 && pixels() !== before);
    canvas.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", cancelable: true}));
    say("arrow keys scroll back", +slider.value === at && pixels() === before);
    const box = word => [...document.querySelectorAll("label")].find(l => l.textContent.startsWith(word)).querySelector("input");
    box("truth").click();
    say("the truth is switched off", pixels() !== before);
    box("truth").click();
    say("and on", pixels() === before);
    const probe = Object.assign(document.createElement("canvas"), {width: 50, height: 50});
    const reader = probe.getContext("2d", {willReadFrequently: true});
    const greys = canvas => {
      reader.drawImage(canvas, 0, 0, 50, 50);
      return [[25, 25], [0, 49], [49, 49], [49, 48], [48, 49]].map(([x, y]) => reader.getImageData(x, y, 1, 1).data[0]);
    };
    box("prediction").click();
    box("truth").click();
    const shades = [...document.querySelectorAll(".case .plane:first-child canvas")].map(greys);
    say(`the background is black, the brain is not (${shades.join(" ")})`,
      shades.every(([brain, ...background]) => brain > 0 && background.every(g => g === 0)));
    const page = () => getComputedStyle(document.body).backgroundColor, light = page();
    document.getElementById("theme").click();
    say("light turns dark", page() !== light);
    const expected = [...document.querySelectorAll("details")].find(d => d.textContent.startsWith("Expected Dice"));
    say("the expected Dice has a row for each case", expected.querySelectorAll("tbody tr").length === 4 &&
      [...expected.querySelectorAll("tbody td:nth-child(3)")].every(c => Number(c.textContent) >= 0));
    const study = [...document.querySelectorAll("section")].at(-1);
    say("a study's table is laid out", study.textContent.includes("3 of 4 cells: not finished") &&
      [...study.querySelectorAll("tbody tr")].length === 2 && study.textContent.includes("0.625"));
    say("curves are drawn", document.querySelectorAll("svg path.curve").length >= 3);
  } catch (e) { problems.push(String(e)); }
  say(`no error on the console${problems.map(p => ": " + p)}`, problems.length === 0);
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {textContent: results.join("\n")}));
  document.body.dataset.done = "yes";
})();
</script>
E2
# browse PAGE SCRIPT COUNT: the page between before.html and SCRIPT in the browser; so many results.
browse() {
    sed -e "/<head>/r $work/before.html" -e "/^<\/script>$/r $2" "$1" >"$work/tested.html"
    HOME=$work timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --enable-logging=stderr --virtual-time-budget=30000 --dump-dom "file://$work/tested.html" \
        >"$work/dom" 2>"$work/log"
    sed 's/<[^>]*>//g' "$work/dom" | grep -E '^(not )?ok - ' >"$work/results"
    cat "$work/results"
    failures=$((failures + $(grep -c '^not ok' "$work/results")))
    expect "the browser came to the end" test "$(wc -l <"$work/results")" -eq "$3"
    expect "and wrote nothing on its console itself" lacks "$work/log" CONSOLE
}
browse "$work/r.html" "$work/after.html" 14

# Names and texts that would be markup, were they not data.
evil='<img src=x onerror=alert(1)>'
pred="$work/pred $evil" run="$work/run $evil" study="$work/study $evil"
mkdir "$pred" && cp "$work/pred/predict.json" "$pred"
cp "$work/pred/$first" "$pred/$evil.nii.gz"
cp "$work/pred/$first" "$pred/\"quoted' & <b>bold.nii.gz"
cp "$work/pred/$first" "$pred/$(printf 'red\033[31m').nii.gz"
cp -r "$work/run" "$run" && echo "</script><script>alert(2)</script>$evil" >"$run/log.txt"
sed -i "s/BraTS2021_00000/$evil/" "$run/split.json" "$run/provenance.json"
mkdir "$study" && sed "s/\"trial\"/\"$evil\"/; s/\"single-stage\"/\"$evil\"/; s/\"dice\"/\"$evil\"/" \
    "$work/study/scores/table.json" >"$study/table.json"
"$twinseg" report "$pred" "$run" "$study" -o "$work/evil.html" >/dev/null 2>&1
cat >"$work/evil-after.html" <<'E2'
<script>
(async () => {
  const results = [], say = (name, good) => results.push(`${good ? "ok" : "not ok"} - in the browser: ${name}`);
  const evil = "<img src=x onerror=alert(1)>", text = () => document.body.innerText;
  for (let i = 0; i < 200 && !document.body.dataset.loaded; i++) await new Promise(r => setTimeout(r, 50));
  document.querySelectorAll("details").forEach(d => { d.open = true; });
  const heads = tag => [...document.querySelectorAll(tag)].map(h => h.textContent);
  say("names of cases are text", heads("h3").includes(evil) && heads("h3").includes("\"quoted' & <b>bold"));
  say("names of folders are text", heads("h2").filter(h => h.includes(evil)).length === 3);
  say("a study's arms and scores are text", heads("td").includes(evil) && heads("option").includes(evil));
  say("split and log are text", text().includes(`train: ${evil}`) || text().includes(`held out: ${evil}`));
  say("the log is text", heads("pre").some(p => p.startsWith("<\/script><script>alert(2)")));
  say("none became markup", !document.querySelector("main img, main b, main script"));
  const voxels = await unpack(data.predictions[0].cases[0].slices.labels);
  say("without a truth there are predicted labels alone", voxels.some(v => v & 15) && !voxels.some(v => v >> 4));
  await new Promise(r => setTimeout(r, 100));
  say(`nothing ran${problems.map(p => ": " + p)}`, problems.length === 0);
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {textContent: results.join("\n")}));
})();
</script>
E2
browse "$work/evil.html" "$work/evil-after.html" 8
finish
