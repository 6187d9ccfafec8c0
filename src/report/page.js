"use strict";
// Draws the report from the JSON of #data: runs, then predictions, then studies. Everything from the
// data enters the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(properties))
    if (key in e) e[key] = value; else e.setAttribute(key, value);
  e.append(...children);
  return e;
}

const isNumber = v => typeof v === "number";
const written = (v, digits) => v === null || v === undefined ? "–" : v === "inf" ? "∞" : !isNumber(v) ? String(v)
  : digits === undefined && Number.isInteger(v) ? String(v) : v.toFixed(digits ?? 3);
const asNumber = v => isNumber(v) ? v : v === "inf" ? Infinity : NaN;

// ---- tables ---------------------------------------------------------------------------------

// columns: {name, group, words}; rows: {cells, id}. A click on a head sorts by it, another one turns
// the order; what has no value stays last. onSort(rows) is told the order.
function sortedTable(caption, columns, rows, foot, onSort) {
  const heads = columns.map((c, i) => element("th", {scope: "col", className: c.words ? "words" : ""},
    element("button", {type: "button", textContent: c.name, onclick: () => sort(i)})));
  const body = element("tbody");
  const lines = new Map(rows.map(r => [r, element("tr", {}, ...r.cells.map((v, i) =>
    element("td", {textContent: written(v, columns[i].digits), className: columns[i].words ? "words" : ""})))]));
  const groups = element("tr");
  for (let i = 0, n; i < columns.length; i += n) {
    for (n = 1; i + n < columns.length && columns[i + n].group === columns[i].group;) n++;
    groups.append(element("th", {colSpan: n, scope: "colgroup", textContent: columns[i].group || ""}));
  }
  const head = element("thead", {}, ...(columns.some(c => c.group) ? [groups] : []), element("tr", {}, ...heads));
  const compare = (a, b, i, sign) => {
    const x = a.cells[i], y = b.cells[i];
    if (columns[i].words) return sign * String(x).localeCompare(String(y), "en", {numeric: true});
    const p = asNumber(x), q = asNumber(y);
    if (isNaN(p) || isNaN(q)) return isNaN(p) - isNaN(q);
    return p === q ? 0 : sign * (p < q ? -1 : 1);
  };
  function sort(i, order) {
    const now = heads[i].getAttribute("aria-sort");
    order = order || (now === "ascending" ? "descending" : "ascending");
    heads.forEach(h => h.removeAttribute("aria-sort"));
    heads[i].setAttribute("aria-sort", order);
    rows.sort((a, b) => compare(a, b, i, order === "ascending" ? 1 : -1));
    body.append(...rows.map(r => lines.get(r)));
    if (onSort) onSort(rows);
  }
  body.append(...rows.map(r => lines.get(r)));
  const feet = element("tfoot", {}, ...foot.map(cells => element("tr", {}, ...cells.map((v, i) =>
    element("td", {textContent: written(v, columns[i].digits)})))));
  const table = element("table", {}, element("caption", {textContent: caption}), head, body, feet);
  return {node: element("div", {className: "wide"}, table), sort};
}

function plainTable(caption, names, rows) {
  return sortedTable(caption, names.map(name => ({name, words: true})), rows.map(cells => ({cells})), []).node;
}

function folded(title, ...children) {
  return element("details", {}, element("summary", {textContent: title}), ...children);
}

// ---- curves ---------------------------------------------------------------------------------

const INK = {wt: "#56b4e9", tc: "#e69f00", et: "#d55e00", student: "var(--student)", teacher: "var(--teacher)", barlow: "#009e73"};
const DASH = {student: "", teacher: "6 4", barlow: "2 3"};

const ticks = (low, high, count = 5) => {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find(s => s * power >= raw) * power, list = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) list.push(+v.toPrecision(10));
  return list;
};

// lines: {name, steps, values, ink, dash}
function chart(title, lines, low, high) {
  const W = 480, H = 260, L = 46, R = 12, T = 10, B = 40;
  lines = lines.filter(l => l.steps.length);
  if (!lines.length) return element("figure", {}, element("h3", {textContent: title}),
    element("p", {className: "soft", textContent: "nothing to show yet"}));
  const all = lines.flatMap(l => l.values), last = Math.max(1, ...lines.map(l => l.steps.at(-1)));
  low = low ?? Math.min(0, ...all);
  high = high ?? Math.max(...all);
  if (!(high > low)) high = low + 1;
  const x = s => L + (W - L - R) * s / last, y = v => T + (H - T - B) * (1 - (v - low) / (high - low));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const draw = (tag, attributes, text) => {
    const e = document.createElementNS(svg.namespaceURI, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    return svg.appendChild(e);
  };
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ` + lines.map(l => `${l.name}, last ${written(l.values.at(-1))}`).join("; "));
  for (const v of ticks(low, high)) {
    draw("line", {class: "grid", x1: L, x2: W - R, y1: y(v), y2: y(v)});
    draw("text", {x: L - 6, y: y(v) + 4, "text-anchor": "end"}, String(v));
  }
  for (const s of ticks(0, last)) draw("text", {x: x(s), y: H - B + 16, "text-anchor": "middle"}, String(s));
  draw("text", {x: W - R, y: H - 6, "text-anchor": "end"}, "step");
  for (const l of lines) {
    draw("path", {class: "curve", stroke: l.ink, "stroke-dasharray": l.dash || "",
      d: l.steps.map((s, i) => (i ? "L" : "M") + x(s).toFixed(1) + " " + y(Math.min(high, l.values[i])).toFixed(1)).join("")});
    if (l.steps.length < 40)
      l.steps.forEach((s, i) => draw("circle", {cx: x(s), cy: y(Math.min(high, l.values[i])), r: 2.5, fill: l.ink}));
  }
  const readout = element("div", {className: "readout"});
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), step = ((event.clientX - box.left) / box.width * W - L) / (W - L - R) * last;
    const near = l => l.steps.reduce((best, s, i) => Math.abs(s - step) < Math.abs(l.steps[best] - step) ? i : best, 0);
    readout.textContent = `step ${lines[0].steps[near(lines[0])]}: ` + lines.map(l => `${l.name} ${written(l.values[near(l)])}`).join(", ");
  });
  const legend = element("div", {className: "controls"}, ...lines.map(l => element("span", {},
    element("span", {className: "swatch", style: `border-color:${l.ink};border-top-style:${l.dash ? "dashed" : "solid"}`}), " " + l.name)));
  return element("figure", {}, element("h3", {textContent: title}), svg, legend, readout);
}

function showRun(run) {
  const section = element("section", {}, element("h2", {textContent: `Run ${run.path}`}));
  const curve = (key, name, ink, dash) => ({name, ink, dash, steps: run.curves[key]?.step ?? [], values: run.curves[key]?.value ?? []});
  const finished = run.steps_done >= run.steps && run.models.length > 0;
  section.append(element("p", {textContent: (finished ? `Finished: ${run.steps} steps` :
    `Not finished: ${run.steps_done} of ${run.steps} steps`) + `, ${run.seconds < 3600 ? (run.seconds / 60).toFixed(1) + " minutes" : (run.seconds / 3600).toFixed(1) + " hours"} in steps.`}));
  if (run.split) section.append(element("p", {className: "soft", textContent: `${run.split.train.length} cases train, ` +
    `${run.split.held_out.length} held out` + (run.split.folds ? ` (fold ${run.split.fold} of ${run.split.folds})` : "") +
    `, ${run.split.skipped.length} skipped.`}));
  const losses = [curve("loss_student", "student", INK.student), curve("loss_teacher", "teacher", INK.teacher, DASH.teacher)];
  const dice = [];
  for (const role of ["student", "teacher"])
    for (const region of ["wt", "tc", "et"])
      dice.push(curve(`dice_${role}_${region}`, `${role} ${region.toUpperCase()}`, INK[region], DASH[role]));
  section.append(element("div", {className: "charts"}, chart("Segmentation loss", losses),
    chart("Barlow Twins loss", [curve("loss_barlow", "before its weight", INK.barlow)]),
    chart("Validation Dice", dice, 0, 1)));
  const rows = (run.curves.dice_student_wt?.step ?? run.curves.dice_teacher_wt?.step ?? []).map((step, i) =>
    [step, ...dice.map(l => l.values[l.steps.indexOf(step)] ?? null)]);
  if (rows.length) section.append(folded("validations as a table", sortedTable("pseudo-Dice of the held-out patches",
    [{name: "step"}, ...dice.map(l => ({name: l.name}))], rows.map(cells => ({cells})), []).node));
  const settings = plainTable("Bold: other than the preset's", ["key", "value", "preset", "meaning"],
    run.settings.map(s => [s.key, s.value, s.preset, s.help]));
  settings.querySelectorAll("tbody tr").forEach(tr => {
    if (tr.children[1].textContent !== tr.children[2].textContent) tr.className = "changed";
  });
  section.append(folded("settings", settings));
  if (run.models.length) section.append(folded("models and where they come from", plainTable("", ["file", "role", "channels",
    "parameters", "weights (FNV-1a)", "made by twinseg", "provenance"], run.models.map(m =>
    [m.file, m.role, m.channels, m.parameters, m.weights, m.version, m.provenance]))));
  if (run.split) section.append(folded("cases", element("p", {textContent: `train: ${run.split.train.join(", ")}`}),
    element("p", {textContent: `held out: ${run.split.held_out.join(", ") || "none"}`}),
    element("p", {textContent: `skipped: ${run.split.skipped.join(", ") || "none"}`})));
  section.append(folded("log", element("pre", {textContent: run.log ?? ""})));
  return section;
}

// ---- slices ---------------------------------------------------------------------------------

const LABELS = [["NCR", "#f0e442"], ["ED", "#56b4e9"], ["ET", "#d55e00"]];
const SHADES = 63;
const PLANES = [ // the axis across, those to the right and down, and whether down runs backwards
  {name: "axial", across: 2, right: 0, down: 1, back: false, marks: "RL"},
  {name: "coronal", across: 1, right: 0, down: 2, back: true, marks: "RL"},
  {name: "sagittal", across: 0, right: 1, down: 2, back: true, marks: "AP"}];
const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undoes pack.c: each voxel is a difference from the mean of those left, above and in the slice before.
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

function drawPlane(canvas, volume, plane, slice, options) {
  const {across, right, down, back} = plane, n = volume.shape, w = n[right], h = n[down];
  const strides = [1, n[0], n[0] * n[1]];
  const at = (x, y) => slice * strides[across] + x * strides[right] + (back ? h - 1 - y : y) * strides[down];
  const scale = Math.max(2, Math.round(360 / Math.max(w * volume.zooms[right], h * volume.zooms[down])));
  canvas.width = Math.round(w * volume.zooms[right] * scale);
  canvas.height = Math.round(h * volume.zooms[down] * scale);
  const context = canvas.getContext("2d"), pixels = new ImageData(w, h), grey = volume.images[options.image];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const i = at(x, y), shade = grey ? grey[i] / SHADES * 255 : 0, label = volume.labels[i] & 15;
      const on = options.prediction && label && options.labels[label - 1], ink = on ? options.inks[label - 1] : null;
      for (let k = 0; k < 3; k++)
        pixels.data[4 * (x + w * y) + k] = on ? shade * (1 - options.opacity) + ink[k] * options.opacity : shade;
      pixels.data[4 * (x + w * y) + 3] = 255;
    }
  const small = element("canvas", {width: w, height: h});
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (options.truth) outline(context, volume, at, w, h, canvas.width / w, canvas.height / h, options);
  context.fillStyle = "#fff";
  context.font = "14px sans-serif";
  context.fillText(plane.marks[0], 4, 16);
  context.fillText(plane.marks[1], canvas.width - 14, 16);
}

// The truth's outline: an edge wherever a label ends.
function outline(context, volume, at, w, h, sx, sy, options) {
  const label = (x, y) => x < 0 || y < 0 || x >= w || y >= h ? 0 : volume.labels[at(x, y)] >> 4;
  LABELS.forEach(([, ink], k) => {
    if (!options.labels[k]) return;
    context.beginPath();
    for (let y = 0; y <= h; y++)
      for (let x = 0; x <= w; x++) {
        const here = label(x, y) === k + 1;
        if (here !== (label(x - 1, y) === k + 1)) { context.moveTo(x * sx, y * sy); context.lineTo(x * sx, (y + 1) * sy); }
        if (here !== (label(x, y - 1) === k + 1)) { context.moveTo(x * sx, y * sy); context.lineTo((x + 1) * sx, y * sy); }
      }
    for (const [style, width] of [["#000", 4], [ink, 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke();
    }
  });
}

// A case's card: three planes, each with a slider; wheel and arrow keys move through the slices.
function caseCard(one, options) {
  const card = element("article", {className: "case"}, element("h3", {textContent: one.id}));
  const planes = element("div", {className: "planes"});
  const views = PLANES.map(plane => {
    const canvas = element("canvas", {tabIndex: 0, role: "img"}), where = element("span");
    const slider = element("input", {type: "range", min: 0, "aria-label": `${plane.name} slice of ${one.id}`});
    planes.append(element("div", {className: "plane"}, canvas, slider, where));
    return {plane, canvas, slider, where};
  });
  let volume = null;
  const draw = view => {
    if (!volume) return;
    drawPlane(view.canvas, volume, view.plane, +view.slider.value, options);
    view.where.textContent = `${view.plane.name} ${+view.slider.value + 1} of ${volume.shape[view.plane.across]}`;
    view.canvas.setAttribute("aria-label", `${one.id}, ${view.where.textContent}`);
  };
  const move = (view, by) => { view.slider.value = +view.slider.value + by; draw(view); };
  for (const view of views) {
    view.slider.addEventListener("input", () => draw(view));
    view.canvas.addEventListener("wheel", event => { event.preventDefault(); move(view, Math.sign(event.deltaY)); }, {passive: false});
    view.canvas.addEventListener("keydown", event => {
      const by = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10}[event.key];
      if (by) { event.preventDefault(); move(view, by); }
    });
  }
  card.append(planes);
  async function load() {
    const packed = one.slices, images = {};
    for (const [name, text] of Object.entries(packed.images))
      images[name] = undoDifferences(await unpack(text), packed.shape);
    volume = {shape: packed.shape, zooms: packed.zooms, images, labels: await unpack(packed.labels)};
    for (const view of views) {
      view.slider.max = volume.shape[view.plane.across] - 1;
      view.slider.value = busiest(volume, view.plane.across);
      draw(view);
    }
  }
  return {id: one.id, node: card, load, redraw: () => views.forEach(draw)};
}

function showCases(list, order) {
  const drawn = list.cases.filter(c => c.slices);
  const images = [...new Set(drawn.flatMap(c => Object.keys(c.slices.images)))];
  const options = {image: images.includes("flair") ? "flair" : images[0], prediction: true, truth: true,
    labels: [true, true, true], opacity: 0.45, inks: LABELS.map(([, ink]) => rgb(ink))};
  const cards = drawn.map(c => caseCard(c, options)), redraw = () => cards.forEach(c => c.redraw());
  const box = (text, checked, change, ink) => element("label", {}, element("input", {type: "checkbox", checked,
    onchange: event => { change(event.target.checked); redraw(); }}),
    ...(ink ? [element("span", {className: "box", style: `background:${ink}`})] : []), text);
  const choice = element("select", {onchange: event => { options.image = event.target.value; redraw(); }},
    ...images.map(name => element("option", {value: name, textContent: name, selected: name === options.image})));
  const controls = element("div", {className: "controls"}, element("label", {}, "image", choice),
    box("prediction (filled)", true, on => { options.prediction = on; }), box("truth (outlined)", true, on => { options.truth = on; }),
    ...LABELS.map(([name, ink], k) => box(name, true, on => { options.labels[k] = on; }, ink)));
  const place = element("div", {}, ...cards.map(c => c.node));
  (async () => { for (const card of cards) await card.load(); document.body.dataset.loaded = "yes"; })();
  order.follow = ids => place.append(...ids.map(id => cards.find(c => c.id === id)?.node).filter(Boolean));
  return drawn.length ? element("div", {}, element("h3", {textContent: "Slices"}), element("p", {className: "soft",
    textContent: "Wheel, slider or arrow keys move through a plane; cards follow the order of the table. The patient's right is on the left."}),
    controls, place) : element("p", {className: "soft", textContent: "No slices."});
}

function showPredictions(list) {
  const {regions, figures, shown, name} = list.columns, order = {follow: () => {}};
  const columns = [{name: "case", words: true}, {name: "mean Dice", digits: 3}];
  regions.forEach(region => shown.forEach(f => columns.push({name: figures[f], group: region, digits: /hd95/.test(figures[f]) ? 1 : 3})));
  const scored = list.cases.filter(c => c.figures.length);
  const rows = list.cases.map(c => ({id: c.id, cells: [c.id, c.order,
    ...regions.flatMap((_, r) => shown.map(f => c.figures.length ? c.figures[r][f] : null))]}));
  const foot = ["mean", "median"].map(kind => [kind, ...columns.slice(1).map((_, i) => {
    const values = rows.map(r => asNumber(r.cells[i + 1])).filter(v => !isNaN(v)).sort((a, b) => a - b);
    if (!values.length) return null;
    const v = kind === "mean" ? values.reduce((a, b) => a + b) / values.length
      : (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2;
    return isFinite(v) ? v : "inf";
  })]);
  const table = sortedTable(`${name} convention, HD95 in mm; a click on a head sorts`, columns, rows,
    scored.length > 1 ? foot : [], sorted => order.follow(sorted.map(r => r.id)));
  const section = element("section", {}, element("h2", {textContent: `Predictions ${list.path}`}),
    element("p", {textContent: `${list.cases.length} cases` + (list.of ? ` of the ${list.of} in ${list.data}` : "") + `, ${scored.length} scored.` +
      (list.of > list.cases.length ? " Not all are predicted (yet)." : "") + (list.data ? "" : " Without --data there are no scores and no images.")}),
    element("p", {className: "controls"},
      element("button", {type: "button", textContent: "worst first", onclick: () => table.sort(1, "ascending")}),
      element("button", {type: "button", textContent: "best first", onclick: () => table.sort(1, "descending")})),
    table.node, showCases(list, order));
  if (scored.length) table.sort(1, "ascending");
  section.append(folded("files and checksums", plainTable("", ["case", "what", "file", "bytes", "FNV-1a, 64 bits"],
    list.cases.flatMap(c => c.files.map(f => [c.id, f.what, f.name, f.bytes, f.fnv1a64])))));
  if (list.record) section.append(folded("how they were predicted", element("pre", {textContent: JSON.stringify(list.record, null, 1)})));
  return section;
}

// ---- studies --------------------------------------------------------------------------------

function showStudy(study) {
  const groups = Object.keys(study.rows[0]?.scores ?? {}), metrics = Object.keys(study.rows[0]?.scores[groups[0]] ?? {});
  const place = element("div");
  const choice = element("select", {onchange: () => draw(choice.value)}, ...metrics.map(m => element("option", {value: m, textContent: m})));
  const draw = metric => {
    const digits = /hd95/.test(metric) ? 1 : 3;
    const columns = [{name: "modalities", words: true}, {name: "arm", words: true}, {name: "patients"}, {name: "runs"}];
    groups.forEach(group => ["mean", "median", "difference", "95 % from", "to", "p"].forEach(name =>
      columns.push({name, group, digits: name === "p" ? 4 : digits})));
    const rows = study.rows.map(row => ({cells: [row.modalities, row.arm, row.patients, `${row.runs} of ${row.runs_planned}`,
      ...groups.flatMap(group => { const f = row.scores[group][metric];
        return [f.mean, f.median, f.difference, f.interval[0], f.interval[1], f.p]; })]}));
    place.replaceChildren(sortedTable(`${metric} over patients; differences to ${study.reference}`, columns, rows, []).node);
  };
  if (metrics.length) draw(metrics[0]);
  return element("section", {}, element("h2", {textContent: `Study ${study.study}`}),
    element("p", {textContent: `${study.cells_done} of ${study.cells} cells` + (study.cells_done < study.cells ? ": not finished" : "") +
      `, ${study.folds} folds; from ${study.path}.`}),
    element("div", {className: "controls"}, element("label", {}, "score", choice)), place);
}

// ---- the page -------------------------------------------------------------------------------

document.getElementById("made").textContent = `Made by twinseg ${data.made.version} on ${data.made.time}; ` +
  `${data.made.processor || "processor unknown"}, ${data.made.processors} processors, Linux ${data.made.system}.`;
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
});
document.getElementById("main").append(...data.predictions.map(showPredictions), ...data.runs.map(showRun), ...data.studies.map(showStudy));
