"use strict";
// The playground. Whatever comes from the service or from a link is put into the page as text, never as HTML.

const WAIT_MS = 250; // after the last key, before the service is asked
const MOST_CUT = 200; // tokens without room that are shown one by one
const MOST_TOKENS = 600;

const at = (id) => document.getElementById(id);
let info = null;
let state = null; // what is asked: see start()
let timer = null;
let asking = null;

// ---- small parts -------------------------------------------------------------------------------------------

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const percent = (share) => (share * 100).toFixed(1) + " %";
const host = () => info.classifiers.find((one) => one.name === state.run) || info.classifiers[0];

// ---- the service -------------------------------------------------------------------------------------------

async function ask(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem("cloze-key");
  if (key) headers.Authorization = "Bearer " + key;
  const options = { headers, signal };
  if (body !== undefined) {
    options.method = "POST";
    headers["Content-Type"] = "application/json";
    // On several lines, so that what is wrong is shown on a line of its own.
    options.body = JSON.stringify(body, null, 1);
  }
  const response = await fetch(path, options);
  at("key-form").hidden = response.status !== 401;
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { problems: answer.problems || [] });
  return answer;
}

// ---- what is asked -----------------------------------------------------------------------------------------

/** The state of a classifier as the service has it. */
function start(one) {
  const texts = {};
  for (const column of one.columns) texts[column] = "";
  return {
    run: one.name,
    texts,
    patterns: one.templates.map((template) => ({ pattern: template.pattern, compares: template.compares })),
    classes: one.classes.map((each) => ({ label: each.label, words: each.words.join(", ") })),
    several: one.multi_token !== null,
    correct: true,
  };
}

const plain = (value) => (typeof value === "string" ? value : "");

/** The state that a link holds, whatever somebody wrote into it. */
function fromLink() {
  try {
    const held = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    const one = info.classifiers.find((each) => each.name === held.run) || info.classifiers[0];
    const fresh = start(one);
    const list = (value) => (Array.isArray(value) ? value.filter((each) => each && typeof each === "object") : null);
    for (const [column, text] of Object.entries(held.texts || {})) fresh.texts[column] = plain(text);
    if (info.readonly) return fresh;
    const patterns = list(held.patterns);
    if (patterns) {
      fresh.patterns = patterns.map((each) => ({ pattern: plain(each.pattern), compares: each.compares === true }));
    }
    const classes = list(held.classes);
    if (classes) fresh.classes = classes.map((each) => ({ label: plain(each.label), words: plain(each.words) }));
    if (typeof held.several === "boolean") fresh.several = held.several;
    if (typeof held.correct === "boolean") fresh.correct = held.correct;
    return fresh;
  } catch {
    return null;
  }
}

function templateFiles() {
  return state.patterns.map(({ pattern, compares }) =>
    compares ? { version: 1, compare: pattern } : { version: 1, pattern });
}

function verbalizerFile() {
  const one = host();
  const words = (text) => text.split(",").map((word) => word.trim()).filter((word) => word !== "");
  const file = { version: 1 };
  if (state.several) file.multi_token = one.multi_token || "pieces";
  else if (one.aggregate !== "mean_logit") file.aggregate = one.aggregate;
  file.classes = state.classes.map((each) => ({ label: each.label.trim(), words: words(each.words) }));
  return file;
}

/** The request, with patterns and words only where they are not the classifier's own. */
function question() {
  const asked = { run: state.run, correct: state.correct };
  const fresh = start(host());
  const same = (key) => JSON.stringify(state[key]) === JSON.stringify(fresh[key]);
  if (!same("patterns")) {
    asked.templates = templateFiles().map((file) => (file.pattern === undefined ? file : file.pattern));
  }
  if (!same("classes") || !same("several")) asked.verbalizer = verbalizerFile();
  return asked;
}

/** The columns that the patterns name. */
function columns() {
  const names = [];
  for (const { pattern } of state.patterns) {
    const text = pattern.replaceAll("{{", "").replaceAll("}}", "");
    for (const [, inside] of text.matchAll(/\{([^{}]*)\}/g)) {
      const name = inside.split("|")[0].trim();
      const isPiece = ["mask", "sep"].includes(name) || name.startsWith("soft") || name.startsWith("demos");
      if (name !== "" && !isPiece && !names.includes(name)) names.push(name);
    }
  }
  return names.length > 0 ? names : host().columns;
}

// ---- the form ----------------------------------------------------------------------------------------------

function drawTexts() {
  const wanted = columns();
  const drawn = [...at("texts").querySelectorAll("textarea")].map((area) => area.dataset.column);
  if (JSON.stringify(wanted) === JSON.stringify(drawn)) return;
  const field = (column, index) => {
    const area = make("textarea", { id: "text-" + index, rows: wanted.length > 1 ? 2 : 4, "data-column": column });
    area.value = state.texts[column] || "";
    area.addEventListener("input", () => { state.texts[column] = area.value; changed(); });
    return make("div", { class: "field" },
      make("label", { for: "text-" + index, text: wanted.length > 1 ? column : "Text" }), area);
  };
  at("texts").replaceChildren(...wanted.map(field));
  at("rows-label").textContent = wanted.length > 1
    ? "Rows as a spreadsheet copies them: " + wanted.join(", ") + ", with tabs between"
    : "One text on each line";
}

function drawPatterns() {
  const entry = (each, index) => {
    const id = "pattern-" + index;
    const input = make("input", { id, type: "text", class: "mono", spellcheck: "false", autocomplete: "off",
      "aria-label": each.compares ? `Pattern ${index + 1}, compared with the labels` : `Pattern ${index + 1}`,
      "aria-describedby": "pattern-hint problems", disabled: info.readonly });
    input.value = each.pattern;
    input.addEventListener("input", () => { each.pattern = input.value; changed(); });
    const remove = make("button", { type: "button", "aria-label": `Remove pattern ${index + 1}`, text: "Remove",
      disabled: info.readonly || state.patterns.length < 2 });
    remove.addEventListener("click", () => {
      state.patterns.splice(index, 1);
      drawPatterns();
      drawTexts();
      changed();
      at("pattern-" + Math.max(index - 1, 0)).focus();
    });
    const entry = make("div", { class: "entry" }, input, remove);
    if (each.compares) entry.append(make("p", { class: "hint", text: "Compared with the labels: it has no blank." }));
    return entry;
  };
  at("patterns").replaceChildren(...state.patterns.map(entry));
}

function drawClasses() {
  const entry = (each, index) => {
    const input = (key, name) => {
      const field = make("input", { id: `${key}-${index}`, type: "text", class: key, spellcheck: "false",
        autocomplete: "off", "aria-label": `${name} ${index + 1}`, "aria-describedby": "words-hint problems",
        disabled: info.readonly });
      field.value = each[key];
      field.addEventListener("input", () => { each[key] = field.value; changed(); });
      return field;
    };
    const remove = make("button", { type: "button", "aria-label": `Remove label ${index + 1}`, text: "Remove",
      disabled: info.readonly || state.classes.length < 3 });
    remove.addEventListener("click", () => {
      state.classes.splice(index, 1);
      drawClasses();
      changed();
      at("label-" + Math.max(index - 1, 0)).focus();
    });
    return make("div", { class: "entry class-entry" }, input("label", "Label"), input("words", "Words of label"), remove);
  };
  at("classes").replaceChildren(...state.classes.map(entry));
}

function draw() {
  at("runs").hidden = info.classifiers.length < 2;
  at("run").replaceChildren(...info.classifiers.map((one) =>
    make("option", { value: one.name, text: one.name, selected: one.name === state.run })));
  at("several-labels").hidden = !host().several_labels;
  at("several").checked = state.several;
  at("correct").checked = state.correct;
  for (const id of ["several", "add-pattern", "add-class"]) at(id).disabled = info.readonly;
  at("texts").replaceChildren();
  drawTexts();
  drawPatterns();
  drawClasses();
  changed();
}

// ---- the answer --------------------------------------------------------------------------------------------

function changed() {
  history.replaceState(null, "", "#" + encodeURIComponent(JSON.stringify(state)));
  at("answers").setAttribute("aria-busy", "true");
  clearTimeout(timer);
  timer = setTimeout(preview, WAIT_MS);
}

async function preview() {
  if (asking) asking.abort();
  const own = new AbortController();
  asking = own;
  const fields = {};
  for (const column of columns()) fields[column] = state.texts[column] || "";
  const names = Object.keys(fields);
  const row = names.length === 1 ? { text: fields[names[0]] } : { rows: [fields] };
  try {
    const answer = await ask("preview", { ...row, ...question() }, own.signal);
    showProblems([]);
    // Only now are its columns meant: half of a name would be one too.
    drawTexts();
    showAnswer(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblems(error.problems && error.problems.length > 0 ? error.problems : [{ message: error.message, notes: [] }]);
    at("answers").replaceChildren();
  }
  if (asking === own) at("answers").setAttribute("aria-busy", "false");
}

/** The field that a problem is about. */
function fieldOf(place) {
  if (!place || place.source === undefined) return null;
  const template = /^templates\[(\d+)\]$/.exec(place.source);
  if (template) return at("pattern-" + template[1]);
  const of = /^classes\[(\d+)\](\.(label|words))?/.exec(place.pointer || "");
  if (place.source === "verbalizer" && of) return at((of[3] === "label" ? "label-" : "words-") + of[1]);
  return null;
}

function showProblems(problems) {
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const shown = problems.map(({ message, notes, place }) => {
    const field = fieldOf(place);
    if (field) field.setAttribute("aria-invalid", "true");
    const parts = [make("p", { text: message })];
    if (place && place.marked !== undefined) {
      const before = place.before.trimStart();
      const carets = " ".repeat([...before].length) + "^".repeat(Math.max([...place.marked].length, 1));
      parts.push(make("pre", {}, before + place.marked + place.after + "\n",
        make("span", { class: "caret", "aria-hidden": "true", text: carets })));
    }
    parts.push(...notes.map(({ label, text }) => make("p", { class: "hint", text: `${label}: ${text}` })));
    return make("div", { class: "problem" }, ...parts);
  });
  at("problems").replaceChildren(...shown);
}

const likeliest = (shares) => Object.keys(shares).reduce((best, label) => (shares[label] > shares[best] ? label : best));

function bars(labels, before, after) {
  const best = likeliest(after);
  const bar = (share, kind) => {
    const element = make("div", { class: kind });
    element.style.width = percent(share).replace(" ", "");
    return element;
  };
  const row = (label) => make("tr", { class: label === best ? "best" : "" },
    make("th", { scope: "row", text: label }),
    make("td", { class: "number", text: percent(before[label]) }),
    make("td", { class: "number", text: percent(after[label]) }),
    make("td", { class: "bars", "aria-hidden": "true" }, bar(before[label], "bar before"), bar(after[label], "bar")));
  return make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col", text: "Label" }),
      make("th", { scope: "col", class: "number", text: "before" }),
      make("th", { scope: "col", class: "number", text: "corrected" }),
      make("td", { "aria-hidden": "true" }))),
    make("tbody", {}, ...labels.map(row)));
}

function ofClasses(classes, key) {
  return Object.fromEntries(classes.map((each) => [each.label, each[key]]));
}

function patternAnswer(each, index) {
  const parts = [make("h3", {}, make("code", { text: each.pattern }))];
  parts.push(bars(each.classes.map((one) => one.label), ofClasses(each.classes, "uncorrected"),
    ofClasses(each.classes, "probability")));
  if (each.likeliest.length > 0) {
    const words = each.likeliest.map(({ word, probability }) => `${word} ${percent(probability)}`).join(", ");
    parts.push(make("p", {}, make("strong", { text: "Likeliest words at the blank: " }), words));
  }
  const tokens = each.tokens.slice(0, MOST_TOKENS).map((token, place) =>
    make("li", { class: place === each.mask ? "mask" : "", text: token }));
  const details = make("details", { open: index === 0 },
    make("summary", { text: `Pattern ${index + 1}: ${each.tokens.length} tokens` }), make("ul", { class: "tokens mono", tabindex: "0", "aria-label": "Tokens" }, ...tokens));
  for (const cut of each.cuts) {
    details.append(make("p", { text: `Cut from ${cut.column}: ${cut.tokens.length} tokens had no room.` }),
      make("ul", { class: "tokens mono", tabindex: "0", "aria-label": "Tokens without room" },
        ...cut.tokens.slice(0, MOST_CUT).map((token) => make("li", { class: "cut", text: token }))));
  }
  parts.push(details);
  return make("div", {}, ...parts);
}

function showAnswer(answer) {
  const [before, after] = [likeliest(answer.uncorrected), likeliest(answer.probabilities)];
  const share = percent(answer.probabilities[after]);
  const change = before === after
    ? `The correction leaves the label as it is.`
    : `The correction changes the label: without it, ${before}.`;
  const isCorrected = JSON.stringify(answer.uncorrected) !== JSON.stringify(answer.probabilities);
  const parts = [make("p", { id: "said" }, make("strong", { text: after }), `, ${share}. ${isCorrected ? change : ""}`),
    bars(answer.labels, answer.uncorrected, answer.probabilities)];
  parts.push(...answer.patterns.map(patternAnswer));
  at("answers").replaceChildren(...parts);
}

// ---- many rows ---------------------------------------------------------------------------------------------

async function classify() {
  const names = columns();
  const lines = at("rows").value.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line.trim() !== "");
  if (lines.length === 0) {
    at("rows-told").textContent = "There are no rows yet.";
    return;
  }
  const row = (line) => Object.fromEntries(line.split("\t").slice(0, names.length).map((field, index) => [names[index], field]));
  const rows = names.length === 1 ? { texts: lines } : { rows: lines.map(row) };
  at("rows-told").textContent = "…";
  try {
    const answer = await ask("classify", { ...rows, ...question() });
    const counts = new Map();
    const shown = answer.predictions.map((each, index) => {
      const label = each.label === null ? "–" : each.label;
      counts.set(label, (counts.get(label) || 0) + 1);
      return make("tr", {}, make("td", { class: "number", text: index + 1 }), make("td", { text: label }),
        make("td", { class: "number", text: percent(each.confidence) }), make("td", { text: lines[index] }));
    });
    at("rows-answer").replaceChildren(make("table", {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "number", text: "Row" }), make("th", { scope: "col", text: "Label" }),
        make("th", { scope: "col", class: "number", text: "Probability" }), make("th", { scope: "col", text: "Text" }))),
      make("tbody", {}, ...shown)));
    at("rows-told").textContent = [...counts].map(([label, count]) => `${label} ${count}`).join(", ");
  } catch (error) {
    at("rows-told").textContent = error.message;
    at("rows-answer").replaceChildren();
  }
}

// ---- files and links ---------------------------------------------------------------------------------------

function download(name, file) {
  const text = JSON.stringify(file, null, 2) + "\n";
  const link = make("a", { download: name, href: "data:application/json;charset=utf-8," + encodeURIComponent(text) });
  document.body.append(link);
  link.click();
  link.remove();
}

function told(text) {
  at("told").textContent = text;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href);
    told("The link is copied: whoever opens it here sees the same.");
  } catch {
    told("Copy the address of this page: it holds all that is asked.");
  }
}

// ---- the beginning -----------------------------------------------------------------------------------------

async function begin() {
  try {
    info = await ask("info");
  } catch (error) {
    showProblems([{ message: error.message, notes: [] }]);
    return;
  }
  showProblems([]);
  state = (location.hash.length > 1 && fromLink()) || start(info.classifiers[0]);
  draw();
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("cloze-key", at("key").value);
  begin();
});
at("run").addEventListener("change", () => {
  const texts = state.texts;
  state = start(info.classifiers.find((one) => one.name === at("run").value));
  for (const column of Object.keys(state.texts)) state.texts[column] = texts[column] || "";
  draw();
});
at("several").addEventListener("change", () => { state.several = at("several").checked; changed(); });
at("correct").addEventListener("change", () => { state.correct = at("correct").checked; changed(); });
at("add-pattern").addEventListener("click", () => {
  state.patterns.push({ pattern: "{" + columns()[0] + "} {mask}.", compares: false });
  drawPatterns();
  changed();
  at("pattern-" + (state.patterns.length - 1)).focus();
});
at("add-class").addEventListener("click", () => {
  state.classes.push({ label: "", words: "" });
  drawClasses();
  changed();
  at("label-" + (state.classes.length - 1)).focus();
});
at("reset").addEventListener("click", () => { state = start(host()); draw(); told(""); });
at("copy").addEventListener("click", copy);
at("classify").addEventListener("click", classify);
at("save-templates").addEventListener("click", () => {
  templateFiles().forEach((file, index) => download(`pattern-${index + 1}.json`, file));
});
at("save-verbalizer").addEventListener("click", () => download("verbalizer.json", verbalizerFile()));
window.addEventListener("hashchange", () => {
  const held = fromLink();
  if (held && JSON.stringify(held) !== JSON.stringify(state)) { state = held; draw(); }
});
begin();
