"use strict";
// Draws the report from the JSON of #data: predictions, then runs, then studies. Whatever comes
// from the data enters the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(properties))
    if (key in e) e[key] = value; else e.setAttribute(key, value);
  e.append(...children);
  return e;
}
const words = (tag, textContent, className = "") => element(tag, {textContent, className});
const folded = (title, ...children) => element("details", {}, words("summary", title), ...children);

const isNumber = v => typeof v === "number";
const asNumber = v => isNumber(v) ? v : v === "inf" ? Infinity : NaN;
function written(v, digits) {
  if (v === null || v === undefined) return "–";
  if (v === "inf") return "∞";
  if (!isNumber(v)) return String(v);
  return digits === undefined && Number.isInteger(v) ? String(v) : v.toFixed(digits ?? 3);
}

// ---- tables ---------------------------------------------------------------------------------

// Ascending by cell i, descending with sign -1; cells without a value come last either way.
function compareRows(a, b, i, column, sign) {
  if (column.words)
    return sign * String(a.cells[i]).localeCompare(String(b.cells[i]), "en", {numeric: true});
  const p = asNumber(a.cells[i]), q = asNumber(b.cells[i]);
  if (isNaN(p) || isNaN(q)) return isNaN(p) - isNaN(q);
  return p === q ? 0 : sign * (p < q ? -1 : 1);
}

// One head over the neighbouring columns of a group.
function groupHeads(columns) {
  const row = element("tr");
  for (let i = 0, n; i < columns.length; i += n) {
    for (n = 1; i + n < columns.length && columns[i + n].group === columns[i].group;) n++;
    row.append(element("th", {colSpan: n, scope: "colgroup", textContent: columns[i].group ?? ""}));
  }
  return columns.some(c => c.group) ? [row] : [];
}

// columns: {name, group, words, digits}; rows: {cells, id}. A click on a header sorts by it, another
// click reverses the order. onSort(rows) is called with the sorted rows.
function sortedTable(caption, columns, rows, foot = [], onSort = () => {}) {
  const kind = i => columns[i].words ? "words" : "";
  const line = cells => element("tr", {}, ...cells.map((v, i) =>
    words("td", written(v, columns[i].digits), kind(i))));
  const heads = columns.map((c, i) => element("th", {scope: "col", className: kind(i)},
    element("button", {type: "button", textContent: c.name, onclick: () => sort(i)})));
  const lines = new Map(rows.map(r => [r, line(r.cells)]));
  const body = element("tbody", {}, ...lines.values());
  function sort(i, order) {
    const ascending = heads[i].getAttribute("aria-sort") === "ascending";
    order ??= ascending ? "descending" : "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort"));
    heads[i].setAttribute("aria-sort", order);
    rows.sort((a, b) => compareRows(a, b, i, columns[i], order === "ascending" ? 1 : -1));
    body.append(...rows.map(r => lines.get(r)));
    onSort(rows);
  }
  const table = element("table", {}, words("caption", caption),
    element("thead", {}, ...groupHeads(columns), element("tr", {}, ...heads)), body,
    element("tfoot", {}, ...foot.map(line)));
  return {node: element("div", {className: "wide"}, table), sort};
}

function plainTable(caption, names, rows) {
  const columns = names.map(name => ({name, words: true}));
  return sortedTable(caption, columns, rows.map(cells => ({cells}))).node;
}

// ---- curves ---------------------------------------------------------------------------------

const INK = {wt: "#56b4e9", tc: "#e69f00", et: "#d55e00",
  student: "var(--student)", teacher: "var(--teacher)", barlow: "#009e73"};
const DASH = {student: "", teacher: "6 4"};
const W = 480, H = 260, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 40; // of a chart

function ticks(low, high) {
  const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find(s => s * power >= raw) * power, list = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step)
    list.push(+v.toPrecision(10));
  return list;
}

// The readings under a chart: of every line the point nearest to a step.
function readings(lines, step) {
  const distance = (l, i) => Math.abs(l.steps[i] - step);
  const near = l => l.steps.reduce((best, _, i) =>
    distance(l, i) < distance(l, best) ? i : best, 0);
  return `step ${lines[0].steps[near(lines[0])]}: ` +
    lines.map(l => `${l.name} ${written(l.values[near(l)])}`).join(", ");
}

function legend(lines) {
  return element("div", {className: "controls"}, ...lines.map(l => {
    const style = `border-color:${l.ink};border-top-style:${l.dash ? "dashed" : "solid"}`;
    return element("span", {}, element("span", {className: "swatch", style}), ` ${l.name}`);
  }));
}

// lines: {name, steps, values, ink, dash}
function chart(title, lines, low, high) {
  lines = lines.filter(l => l.steps.length);
  if (!lines.length)
    return element("figure", {}, words("h3", title), words("p", "nothing to show yet", "soft"));
  const all = lines.flatMap(l => l.values), last = Math.max(1, ...lines.map(l => l.steps.at(-1)));
  low ??= Math.min(0, ...all);
  high ??= Math.max(...all);
  if (!(high > low)) high = low + 1;
  const x = s => LEFT + (W - LEFT - RIGHT) * s / last;
  const y = v => TOP + (H - TOP - BOTTOM) * (1 - (Math.min(v, high) - low) / (high - low));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const draw = (tag, attributes, text = "") => {
    const e = document.createElementNS(svg.namespaceURI, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.textContent = text;
    svg.append(e);
  };
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ` +
    lines.map(l => `${l.name}, last ${written(l.values.at(-1))}`).join("; "));
  for (const v of ticks(low, high)) {
    draw("line", {class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v)});
    draw("text", {x: LEFT - 6, y: y(v) + 4, "text-anchor": "end"}, v);
  }
  for (const s of ticks(0, last))
    draw("text", {x: x(s), y: H - BOTTOM + 16, "text-anchor": "middle"}, s);
  draw("text", {x: W - RIGHT, y: H - 6, "text-anchor": "end"}, "step");
  for (const l of lines) {
    const points = l.steps.map((s, i) => [x(s).toFixed(1), y(l.values[i]).toFixed(1)]);
    const d = `M${points.map(p => p.join(" ")).join("L")}`;
    draw("path", {class: "curve", stroke: l.ink, "stroke-dasharray": l.dash ?? "", d});
    if (points.length < 40)
      points.forEach(([cx, cy]) => draw("circle", {cx, cy, r: 2.5, fill: l.ink}));
  }
  const readout = words("div", "", "readout");
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * W;
    readout.textContent = readings(lines, (at - LEFT) / (W - LEFT - RIGHT) * last);
  });
  return element("figure", {}, words("h3", title), svg, legend(lines), readout);
}

// ---- a run ----------------------------------------------------------------------------------

function runSummary(run) {
  const finished = run.steps_done >= run.steps && run.models.length > 0;
  const time = run.seconds < 3600 ? `${(run.seconds / 60).toFixed(1)} minutes`
    : `${(run.seconds / 3600).toFixed(1)} hours`;
  const state = finished ? `Finished: ${run.steps} steps`
    : `Not finished: ${run.steps_done} of ${run.steps} steps`;
  return words("p", `${state}, ${time}.`);
}

function settingsTable(settings) {
  const table = plainTable("Bold: not the value of the preset", ["key", "value", "preset", "meaning"],
    settings.map(s => [s.key, s.value, s.preset, s.help]));
  table.querySelectorAll("tbody tr").forEach((row, i) => {
    if (settings[i].value !== settings[i].preset) row.className = "changed";
  });
  return table;
}

function validationTable(lines) {
  const steps = lines.find(l => l.steps.length)?.steps ?? [];
  const columns = [{name: "step"}, ...lines.map(l => ({name: l.name, digits: 3}))];
  const rows = steps.map(step =>
    ({cells: [step, ...lines.map(l => l.values[l.steps.indexOf(step)])]}));
  return sortedTable("pseudo-Dice of the held-out patches", columns, rows).node;
}

function splitParts(split) {
  const fold = split.folds ? ` (fold ${split.fold} of ${split.folds})` : "";
  const list = (what, ids) => words("p", `${what}: ${ids.join(", ") || "none"}`);
  return [words("p", `${split.train.length} cases train, ${split.held_out.length} held out` +
    `${fold}, ${split.skipped.length} skipped.`, "soft"),
  folded("Cases", list("train", split.train), list("held out", split.held_out),
    list("skipped", split.skipped))];
}

// The data and the machines of the run.
function provenanceParts(record) {
  if (!record) return [];
  const sessions = record.sessions.map(s => [s.from_step, s.time, s.version, s.processor,
    s.processors, s.threads, s.target, s.system]);
  return [folded("Data and machines",
    plainTable("Sessions: the start, and each time the run was resumed", ["from step", "time", "twinseg",
      "processor", "processors", "threads", "kernels", "system"], sessions),
    plainTable("Preprocessed cases", ["case", "CRC-32"], Object.entries(record.cases)))];
}

function showRun(run) {
  const curve = (key, name, ink, dash) => ({name, ink, dash, steps: run.curves[key]?.step ?? [],
    values: run.curves[key]?.value ?? []});
  const losses = ["student", "teacher"].map(role =>
    curve(`loss_${role}`, role, INK[role], DASH[role]));
  const dice = ["student", "teacher"].flatMap(role => ["wt", "tc", "et"].map(region =>
    curve(`dice_${role}_${region}`, `${role} ${region.toUpperCase()}`, INK[region], DASH[role])));
  const [cases, caseLists] = run.split ? splitParts(run.split) : ["", ""];
  const models = run.models.map(m =>
    [m.file, m.role, m.channels, m.parameters, m.weights, m.version, m.provenance]);
  return element("section", {}, words("h2", `Run ${run.path}`), runSummary(run), cases,
    element("div", {className: "charts"}, chart("Segmentation loss", losses),
      chart("Barlow Twins loss", [curve("loss_barlow", "before weighting", INK.barlow)]),
      chart("Validation Dice", dice, 0, 1)),
    folded("Validation scores", validationTable(dice)),
    folded("Settings", settingsTable(run.settings)),
    folded("Models and their provenance", plainTable("", ["file", "role", "channels",
      "parameters", "weights (FNV-1a)", "made by twinseg", "provenance"], models)),
    ...provenanceParts(run.provenance), caseLists, folded("Log", words("pre", run.log ?? "")));
}

// ---- slices ---------------------------------------------------------------------------------

const LABELS = [["NCR", "#f0e442"], ["ED", "#56b4e9"], ["ET", "#d55e00"]];
const SHADES = 63;
// A plane: the axis across it, those to the right and down, and whether down runs backwards.
const PLANES = [
  {name: "axial", across: 2, right: 0, down: 1, back: false, marks: "RL"},
  {name: "coronal", across: 1, right: 0, down: 2, back: true, marks: "RL"},
  {name: "sagittal", across: 0, right: 1, down: 2, back: true, marks: "AP"}];
const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undoes pack.c: a voxel is a difference from the mean of those left, above and a slice before.
function undoDifferences(v, [nx, ny]) {
  const plane = nx * ny;
  for (let i = 0; i < v.length; i++) {
    const left = i % nx ? v[i - 1] : 0, above = Math.floor(i / nx) % ny ? v[i - nx] : 0;
    v[i] += Math.floor((left + above + (i >= plane ? v[i - plane] : 0)) / 3);
  }
  return v;
}

// Along an axis the slice that holds most of the truth, else of the prediction, else the middle.
function busiest(volume, axis) {
  const counts = new Array(volume.shape[axis]).fill(0), [nx, ny] = volume.shape;
  const mask = volume.labels.some(b => b >> 4) ? 0xf0 : 0x0f;
  volume.labels.forEach((b, i) => {
    if (b & mask) counts[[i % nx, Math.floor(i / nx) % ny, Math.floor(i / nx / ny)][axis]]++;
  });
  const most = Math.max(...counts);
  return most ? counts.indexOf(most) : volume.shape[axis] >> 1;
}

// The image with the prediction over it, a pixel a voxel.
function paint(volume, at, w, h, options) {
  const pixels = new ImageData(w, h), grey = volume.images[options.image];
  for (let y = 0, to = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const i = at(x, y), shade = grey ? grey[i] / SHADES * 255 : 0, label = volume.labels[i] & 15;
      const filled = options.prediction && label && options.labels[label - 1];
      for (let k = 0; k < 3; k++)
        pixels.data[to++] = filled ? shade * 0.55 + options.inks[label - 1][k] * 0.45 : shade;
      pixels.data[to++] = 255;
    }
  const small = element("canvas", {width: w, height: h});
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}

// The truth's outline: an edge wherever a label ends; black under it, to be seen on any ground.
function outline(context, volume, at, w, h, options) {
  const sx = context.canvas.width / w, sy = context.canvas.height / h;
  const holds = (x, y, label) => x >= 0 && y >= 0 && x < w && y < h &&
    volume.labels[at(x, y)] >> 4 === label;
  const edge = (x, y, toX, toY) => {
    context.moveTo(x * sx, y * sy);
    context.lineTo(toX * sx, toY * sy);
  };
  LABELS.forEach(([, ink], k) => {
    if (!options.labels[k]) return;
    context.beginPath();
    for (let y = 0; y <= h; y++)
      for (let x = 0; x <= w; x++) {
        const here = holds(x, y, k + 1);
        if (here !== holds(x - 1, y, k + 1)) edge(x, y, x, y + 1);
        if (here !== holds(x, y - 1, k + 1)) edge(x, y, x + 1, y);
      }
    for (const [style, width] of [["#000", 4], [ink, 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke();
    }
  });
}

function drawPlane(canvas, volume, plane, slice, options) {
  const {across, right, down, back} = plane, n = volume.shape, w = n[right], h = n[down];
  const steps = [1, n[0], n[0] * n[1]];
  const at = (x, y) =>
    slice * steps[across] + x * steps[right] + (back ? h - 1 - y : y) * steps[down];
  const size = [w * volume.zooms[right], h * volume.zooms[down]]; // mm
  const scale = Math.max(2, Math.round(360 / Math.max(...size)));
  [canvas.width, canvas.height] = size.map(mm => Math.round(mm * scale));
  const context = canvas.getContext("2d");
  context.drawImage(paint(volume, at, w, h, options), 0, 0, canvas.width, canvas.height);
  if (options.truth) outline(context, volume, at, w, h, options);
  context.fillStyle = "#fff";
  context.font = "14px sans-serif";
  context.fillText(plane.marks[0], 4, 16);
  context.fillText(plane.marks[1], canvas.width - 14, 16);
}

const KEYS = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10};

// A case: three planes, each with a slider; wheel and arrow keys move through the slices.
function caseCard(one, options) {
  let volume = null;
  const views = PLANES.map(plane => ({plane, where: element("span"),
    canvas: element("canvas", {tabIndex: 0, role: "img"}),
    slider: element("input", {type: "range", min: 0,
      "aria-label": `${plane.name} slice of ${one.id}`})}));
  const draw = view => {
    if (!volume) return;
    drawPlane(view.canvas, volume, view.plane, +view.slider.value, options);
    view.where.textContent = `${view.plane.name} ${+view.slider.value + 1} of ` +
      volume.shape[view.plane.across];
    view.canvas.setAttribute("aria-label", `${one.id}, ${view.where.textContent}`);
  };
  const move = (view, by, event) => {
    event.preventDefault();
    view.slider.value = +view.slider.value + by;
    draw(view);
  };
  for (const view of views) {
    view.slider.addEventListener("input", () => draw(view));
    view.canvas.addEventListener("wheel", event => move(view, Math.sign(event.deltaY), event),
      {passive: false});
    view.canvas.addEventListener("keydown", event => {
      if (KEYS[event.key]) move(view, KEYS[event.key], event);
    });
  }
  async function load() {
    const {shape, zooms} = one.slices, images = {};
    for (const [name, text] of Object.entries(one.slices.images))
      images[name] = undoDifferences(await unpack(text), shape);
    volume = {shape, zooms, images, labels: await unpack(one.slices.labels)};
    for (const view of views) {
      view.slider.max = shape[view.plane.across] - 1;
      view.slider.value = busiest(volume, view.plane.across);
      draw(view);
    }
  }
  const planes = views.map(v => element("div", {className: "plane"}, v.canvas, v.slider, v.where));
  const bare = Object.keys(one.slices.images).length ? []
    : [words("p", "No image of this case was found: only its labels are shown.", "soft")];
  const node = element("article", {className: "case"}, words("h3", one.id), ...bare,
    element("div", {className: "planes"}, ...planes));
  return {id: one.id, node, load, redraw: () => views.forEach(draw)};
}

// Controls for all cases: which image, and each overlay on or off.
function sliceControls(images, options, redraw) {
  const box = (text, set, ink) => {
    const onchange = event => { set(event.target.checked); redraw(); };
    return element("label", {}, element("input", {type: "checkbox", checked: true, onchange}),
      ...(ink ? [element("span", {className: "box", style: `background:${ink}`})] : []), text);
  };
  const onchange = event => { options.image = event.target.value; redraw(); };
  const choice = element("select", {onchange}, ...images.map(name =>
    element("option", {value: name, textContent: name, selected: name === options.image})));
  const image = images.length ? element("label", {}, "image", choice)
    : words("span", "no images, only labels", "soft");
  return element("div", {className: "controls"}, image,
    box("prediction (filled)", on => { options.prediction = on; }),
    box("truth (outlined)", on => { options.truth = on; }),
    ...LABELS.map(([name, ink], k) => box(name, on => { options.labels[k] = on; }, ink)));
}

// follow(ids) puts the cards in that order.
function showSlices(cases) {
  if (!cases.length) return {node: words("p", "No slices are shown.", "soft"), follow: () => {}};
  const images = [...new Set(cases.flatMap(c => Object.keys(c.slices.images)))];
  const options = {image: images.includes("flair") ? "flair" : images[0], prediction: true,
    truth: true, labels: [true, true, true], inks: LABELS.map(([, ink]) => rgb(ink))};
  const cards = new Map(cases.map(c => [c.id, caseCard(c, options)]));
  const place = element("div", {}, ...[...cards.values()].map(c => c.node));
  (async () => {
    for (const card of cards.values()) await card.load();
    document.body.dataset.loaded = "yes";
  })();
  const node = element("div", {}, words("h3", "Slices"), words("p", "The wheel, the slider " +
    "and the arrow keys move through the slices. Cases are in the order of the table. The " +
    "patient's right is on the left.", "soft"),
  sliceControls(images, options, () => cards.forEach(c => c.redraw())), place);
  const follow = ids =>
    place.append(...ids.filter(id => cards.has(id)).map(id => cards.get(id).node));
  return {node, follow};
}

// ---- predictions ----------------------------------------------------------------------------

function mean(values) {
  return values.reduce((a, b) => a + b) / values.length;
}
function median(values) {
  const v = values.toSorted((a, b) => a - b);
  return (v[(v.length - 1) >> 1] + v[v.length >> 1]) / 2;
}
// Of every column but the first, over the rows that have a value.
function summary(name, of, rows, columns) {
  return [name, ...columns.slice(1).map((_, i) => {
    const values = rows.map(r => asNumber(r.cells[i + 1])).filter(v => !isNaN(v));
    const v = values.length ? of(values) : null;
    return v === Infinity ? "inf" : v;
  })];
}

function scoreTable(list, follow) {
  const {regions, figures, shown, name} = list.columns;
  const columns = [{name: "case", words: true}, {name: "mean Dice", digits: 3},
    ...regions.flatMap(group => shown.map(f =>
      ({name: figures[f], group, digits: /hd95/.test(figures[f]) ? 1 : 3})))];
  const rows = list.cases.map(c => ({id: c.id, cells: [c.id, c.order,
    ...regions.flatMap((_, r) => shown.map(f => c.figures[r]?.[f] ?? null))]}));
  const foot = rows.length > 1
    ? [summary("mean", mean, rows, columns), summary("median", median, rows, columns)] : [];
  return sortedTable(`${name} convention, HD95 in mm; click a column header to sort`, columns, rows, foot,
    sorted => follow(sorted.map(r => r.id)));
}

// Rows of fields, which may be quoted (RFC 4180). An apostrophe keeps spreadsheets from taking a name
// for a formula.
function readCsv(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\n]*))(,|\n|$)/g)) {
    const field = quoted === undefined ? plain : quoted.replaceAll('""', '"');
    rows.at(-1).push(field.replace(/^'(?=['=+@\t\r-])/, ""));
    if (end === "\n") rows.push([]);
  }
  return rows.filter(row => row.length > 1);
}

// The Dice that predict expected of each case, without a truth, and its warnings.
function confidenceParts(text) {
  if (!text) return [];
  const [names, ...rows] = readCsv(text);
  const isWords = name => ["case", "modalities", "warnings"].includes(name);
  const columns = names.map(name => ({name: name.replaceAll("_", " "), words: isWords(name)}));
  const cells = row => row.map((v, i) => columns[i]?.words || v === "" ? v : Number(v));
  return [folded("Expected Dice and warnings",
    sortedTable("estimated from the probabilities: too high as numbers, but useful for ranking",
      columns, rows.map(row => ({cells: cells(row)}))).node)];
}

function showPredictions(list) {
  const slices = showSlices(list.cases.filter(c => c.slices));
  const table = scoreTable(list, slices.follow), scored = list.cases.filter(c => c.figures.length);
  const sorter = (textContent, order) =>
    element("button", {type: "button", textContent, onclick: () => table.sort(1, order)});
  const files = list.cases.flatMap(c =>
    c.files.map(f => [c.id, f.what, f.name, f.bytes, f.fnv1a64]));
  const of = list.data.length ? ` of the ${list.of} in ${list.data.join(", ")}` : "";
  if (scored.length) table.sort(1, "ascending");
  return element("section", {}, words("h2", `Predictions ${list.path}`),
    words("p", `${list.cases.length} cases${of}, ${scored.length} scored.` +
      (list.of > list.cases.length ? " Not all cases have been predicted." : "")),
    ...(list.missing ? [words("p", list.missing, "missing")] : []),
    element("p", {className: "controls"}, sorter("worst first", "ascending"),
      sorter("best first", "descending")),
    table.node, slices.node, ...confidenceParts(list.confidence),
    folded("Files and checksums",
      plainTable("", ["case", "what", "file", "bytes", "FNV-1a, 64 bits"], files)),
    folded("How they were predicted", words("pre", JSON.stringify(list.record, null, 1))));
}

// ---- studies --------------------------------------------------------------------------------

function studyTable(study, metric) {
  const digits = /hd95/.test(metric) ? 1 : 3, groups = Object.keys(study.rows[0].scores);
  const names = ["mean", "median", "difference", "95 % from", "to", "p"];
  const columns = [{name: "modalities", words: true}, {name: "arm", words: true},
    {name: "patients"}, {name: "runs", words: true}, ...groups.flatMap(group =>
      names.map(name => ({name, group, digits: name === "p" ? 4 : digits})))];
  const rows = study.rows.map(row => ({cells: [row.modalities, row.arm, row.patients,
    `${row.runs} of ${row.runs_planned}`, ...groups.flatMap(group => {
      const f = row.scores[group][metric];
      return [f.mean, f.median, f.difference, ...f.interval, f.p];
    })]}));
  const caption = `${metric} over patients; differences to ${study.reference}`;
  return sortedTable(caption, columns, rows).node;
}

function showStudy(study) {
  const metrics = Object.keys(Object.values(study.rows[0]?.scores ?? {})[0] ?? {});
  const place = element("div", {}, ...metrics.slice(0, 1).map(m => studyTable(study, m)));
  const onchange = event => place.replaceChildren(studyTable(study, event.target.value));
  const choice = element("select", {onchange}, ...metrics.map(m =>
    element("option", {value: m, textContent: m})));
  const state = study.cells_done < study.cells ? ": not finished" : "";
  return element("section", {}, words("h2", `Study ${study.study}`),
    words("p", `${study.cells_done} of ${study.cells} cells${state}, ${study.folds} folds; ` +
      `from ${study.path}.`),
    element("div", {className: "controls"}, element("label", {}, "score", choice)), place);
}

// ---- a patient ------------------------------------------------------------------------------

// What each step of the record found.
function stepsOf(record) {
  return Object.fromEntries(record.steps.map(s => [s.step, s.found ?? {}]));
}

function inputTable({inputs, reference}, registration) {
  const names = ["image", "series", "voxels", "mm", "turned by", "shifted by", "mutual information"];
  return plainTable(`registered to ${reference}; normalised mutual information of 1.2 to 1.4 is usual`,
    names, Object.entries(inputs).map(([name, one]) => {
      const r = registration.registered[name];
      return [name, one.series, one.shape.join(" x "), one.spacing_mm.map(v => v.toFixed(2)).join(" x "),
        ...r ? [`${r.angle_degrees.toFixed(1)}°`, `${r.shift_mm.toFixed(1)} mm`, r.after.nmi.toFixed(3)]
          : ["reference", "", ""]];
    }));
}

function volumeTable(measures) {
  return plainTable("volumes", ["", "ml"],
    Object.entries(measures.volumes_ml).map(([k, v]) => [k, v.toFixed(2)]));
}

function lesionTable(lesions) {
  const names = ["enhancing lesion", "ml", "longest axial diameter, mm", "perpendicular, mm",
    "product, mm²", "longest 3-D diameter, mm", "side", "measurable"];
  const rows = lesions.map(l => [l.lesion, l.et_ml.toFixed(2), l.axial.mm.toFixed(1),
    l.perpendicular.mm.toFixed(1), l.product_mm2.toFixed(0), l.longest.mm.toFixed(1), l.side,
    l.measurable ? "yes" : "no"]);
  return plainTable("enhancing lesions", names, rows);
}

function showPatient(patient) {
  const found = stepsOf(patient.record), measures = patient.measures.cases[0];
  const warnings = patient.record.steps.flatMap(s => s.found?.warnings ?? []);
  const slices = showSlices([{id: "the patient", slices: patient.slices}]);
  const models = found.labels.models.map(m => `${m.name} (${m.weights})`).join(", ");
  return element("section", {}, words("h2", "Segmentation"),
    ...warnings.map(w => words("p", w, "missing")),
    ...(warnings.length ? [] : [words("p", "No warnings.", "soft")]),
    words("p", `Segmented from ${found.labels.used} by ${models}. The brain: ` +
      `${found.images.brain_ml.toFixed(0)} ml (${found.images.brain_by}).`),
    volumeTable(measures), lesionTable(measures.lesions), slices.node,
    inputTable(found.images, patient.registration),
    words("p", "Look at registration.png: where its squares meet, edges must continue.", "soft"),
    folded("The record", words("pre", JSON.stringify(patient.record, null, 1))));
}

// ---- the page -------------------------------------------------------------------------------

const {made} = data;
document.getElementById("made").textContent = `Made by twinseg ${made.version} on ${made.time}; ` +
  `${made.processor || "processor unknown"}, ${made.processors} processors, ${made.system}.`;
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});
document.getElementById("main").append(...data.patients.map(showPatient),
  ...data.predictions.map(showPredictions),
  ...data.runs.map(showRun), ...data.studies.map(showStudy));
