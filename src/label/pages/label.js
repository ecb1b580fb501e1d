"use strict";
// One row at a time. Whatever rows, labels and notes hold is put into the page as text, never as HTML.

const KEYS = 9; // labels that have a number key
const MOST_LABELS = 60; // labels that are shown at once
const MOST_OPINIONS = 5;

const at = (id) => document.getElementById(id);
let state = null; // what /state says, and what the answers say since
let busy = false;
let last = null; // the row that was answered last: { place, record, label }
let reviewing = false; // whether the row that is shown has a label that looks wrong
let learning = null; // what /learned said last

// ---- small parts -------------------------------------------------------------------------------------------

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (value !== false && value !== null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const percent = (share) => (share * 100).toFixed(1) + " %";
const count = (number) => number.toLocaleString("en");
const counted = (number, noun) => count(number) + " " + noun + (number === 1 ? "" : "s");

async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status, answer });
  return answer;
}

/** Does one thing at a time: a key that is pressed meanwhile is not for the row that comes. */
async function alone(work) {
  if (busy) return;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    const lost = error.status === undefined;
    problem(lost ? "The program does not answer: is it still running? What was answered before is kept. Start it "
      + "again on the same port, and answer this row again." : error.message);
  } finally {
    busy = false;
    document.body.setAttribute("aria-busy", "false");
  }
}

function problem(text, ...buttons) {
  const box = make("div", { class: "problem" }, make("p", { text }));
  if (buttons.length > 0) box.append(make("div", { class: "line" }, ...buttons));
  at("problem").replaceChildren(box);
}

const nothingWrong = () => at("problem").replaceChildren();
const tell = (text) => { at("told").textContent = text; };
const said = (label) => (label === null ? "skipped" : label);

// ---- what is shown -----------------------------------------------------------------------------------------

function draw() {
  drawProgress();
  drawRow();
  drawLabels();
}

function drawProgress() {
  const { rows, labelled, skipped, held_out } = state.progress;
  at("bar").max = Math.max(rows, 1);
  at("bar").value = labelled + skipped;
  const parts = [`${count(labelled)} of ${counted(rows, "row")} labelled`];
  if (skipped > 0) parts.push(`${count(skipped)} skipped`);
  if (held_out > 0) parts.push(`${count(held_out)} of those labelled are for testing`);
  at("progress").textContent = parts.join(", ") + ".";
  at("undo").disabled = labelled + skipped === 0;
}

function drawRow() {
  const row = state.row;
  at("again").hidden = row !== null || state.progress.skipped === 0;
  at("skip").disabled = row === null;
  at("model").hidden = !state.model;
  at("model").disabled = row === null || row.held_out;
  at("opinion").replaceChildren();
  at("note").value = row && row.before ? row.before.note : "";
  at("note").disabled = row === null;
  if (row === null) {
    at("row-title").textContent = "All rows are answered";
    at("row-hint").textContent = "";
    const rest = state.progress.skipped > 0 ? " Skipped rows can be shown again." : "";
    at("fields").replaceChildren(make("p", { text: "End the program with Ctrl-C, and write the labels with --export." + rest }));
    return;
  }
  at("row-title").textContent = `Row ${count(row.record)}`;
  const hints = [];
  if (row.held_out) hints.push("Kept for testing: the model says nothing of it before you do.");
  if (row.before) hints.push(`Before: ${said(row.before.label)}.`);
  if (reviewing) hints.push("Its label looks wrong: give it again, or another one.");
  at("row-hint").textContent = hints.join(" ");
  const parts = state.columns.flatMap((column, index) => {
    if (index === state.label_column) return [];
    const field = row.fields[index];
    const empty = field === "";
    const value = make("dd", { class: empty ? "empty" : false, text: empty ? "(empty)" : field });
    return state.columns.length > 1 ? [make("dt", { text: column || "(column without a name)" }), value] : [value];
  });
  at("fields").replaceChildren(...parts);
}

function drawLabels() {
  const searching = state.labels.length > KEYS;
  at("find-field").hidden = !searching;
  at("labels").classList.toggle("many", searching);
  const wanted = at("find").value.trim().toLowerCase();
  const all = state.labels.map((label, index) => ({ label, index }));
  const found = all.filter(({ label }) => label.toLowerCase().includes(wanted));
  const before = state.row && state.row.before ? state.row.before.label : undefined;
  const button = ({ label, index }) => {
    const key = index < KEYS ? String(index + 1) : null;
    const button = make("button", { type: "button", class: label === before ? "before" : false,
      "aria-keyshortcuts": key, disabled: state.row === null });
    if (key) button.append(make("kbd", { text: key }), " ");
    button.append(label);
    button.addEventListener("click", () => answer(label));
    return button;
  };
  at("labels").replaceChildren(...found.slice(0, MOST_LABELS).map(button));
  const more = found.length - MOST_LABELS;
  at("more-labels").textContent = found.length === 0 ? "No label has these letters."
    : more > 0 ? `${counted(more, "label")} more: type some letters of it above.` : "";
}

function opinionTable(labels) {
  const line = ({ label, probability }, index) => {
    const bar = make("div", { class: "bar" });
    bar.style.width = percent(probability).replace(" ", "");
    return make("tr", { class: index === 0 ? "best" : false },
      make("th", { scope: "row", text: label }), make("td", { class: "bars" }, bar),
      make("td", { class: "number", text: percent(probability) }));
  };
  return make("table", {}, make("caption", { class: "hint", text: "What the model says of this row" }),
    make("tbody", {}, ...labels.slice(0, MOST_OPINIONS).map(line)));
}

// ---- what is done ------------------------------------------------------------------------------------------

function take(coming) {
  // The button that had the focus is drawn anew: the next Tab goes on from the row.
  const focused = at("answer-panel").contains(document.activeElement);
  state.row = coming.row;
  state.progress = coming.progress;
  reviewing = false;
  at("find").value = "";
  draw();
  if (focused) at("row-title").focus();
  at("row-title").scrollIntoView({ block: "nearest" });
}

function answer(label, instead = false) {
  alone(async () => {
    const row = state.row;
    if (row === null) return;
    const note = at("note").value;
    try {
      const again = instead || reviewing;
      const coming = await ask("answer", { labeller: state.labeller, place: row.place, label, note, instead: again });
      nothingWrong();
      last = { place: row.place, record: row.record, label };
      take(coming);
      tell(`Row ${count(row.record)}: ${said(label)}.`);
      await compare();
      await drawLearned();
    } catch (error) {
      if (!(error.answer && error.answer.error_type === "answered")) throw error;
      conflict(row, label, error.answer.answer);
    }
  });
}

/** The row has an answer already, from another window: it stands, unless the labeller says otherwise. */
function conflict(row, label, stands) {
  const keep = make("button", { type: "button", text: `Keep ${JSON.stringify(said(stands.label))}` });
  keep.addEventListener("click", () => { nothingWrong(); load(); });
  const change = make("button", { type: "button", text: `Change it to ${JSON.stringify(said(label))}` });
  change.addEventListener("click", () => answer(label, true));
  problem(`${state.labeller} has answered row ${count(row.record)} already, in another window: `
    + `${said(stands.label)}${stands.note ? " (" + stands.note + ")" : ""}. Your answer was ${said(label)}.`, keep, change);
  keep.focus();
}

/** What the model says of the row that was just answered: only then does it lead nobody. */
async function compare() {
  if (!state.model || last === null || last.label === null) return;
  const labels = await ask("opinion", { labeller: state.labeller, place: last.place });
  const [best] = labels;
  const words = best.label === last.label ? "the model agrees" : `the model says ${best.label}`;
  tell(`Row ${count(last.record)}: ${last.label}; ${words} (${percent(best.probability)}).`);
}

function undo() {
  alone(async () => {
    take(await ask("undo", { labeller: state.labeller }));
    nothingWrong();
    last = null;
    tell(`The answer to row ${count(state.row.record)} is taken back.`);
  });
}

function opinion() {
  alone(async () => {
    if (!state.model || state.row === null || state.row.held_out) return;
    at("opinion").replaceChildren(opinionTable(await ask("opinion", { labeller: state.labeller, place: state.row.place })));
  });
}

function again() {
  alone(async () => {
    take(await ask("again", { labeller: state.labeller }));
    nothingWrong();
  });
}

function load(labeller = state && state.labeller) {
  return alone(async () => {
    state = await ask("state", labeller ? { labeller } : {});
    const name = state.data.split(/[\\/]/).pop();
    at("data").textContent = name;
    document.title = `Label ${name}`;
    at("labeller").value = state.labeller;
    at("labellers").replaceChildren(...state.labellers.map((name) => make("option", { value: name })));
    last = null;
    reviewing = false;
    nothingWrong();
    draw();
    await drawLearned();
  });
}

// ---- what is learned ---------------------------------------------------------------------------------------

const LOOK_AGAIN = 3000; // milliseconds, while something is learned
let looking; // the timer for that

/** Shows a row whose label looks wrong. */
function review(place) {
  alone(async () => {
    const { row, progress } = await ask("state", { labeller: state.labeller, place });
    take({ row, progress });
    reviewing = true;
    drawRow();
    at("row-title").focus();
  });
}

const NAMES = "http://www.w3.org/2000/svg";

function drawing(name, attributes, ...children) {
  const element = document.createElementNS(NAMES, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Accuracy by labels, with intervals; the table beside it says the same. */
function curve(lessons) {
  const [width, height, left, bottom] = [320, 150, 34, 20];
  const most = Math.max(...lessons.map((lesson) => lesson.labels));
  const x = (labels) => left + (width - left - 10) * (labels / most);
  const y = (share) => 8 + (height - bottom - 8) * (1 - share);
  const parts = [0, 0.5, 1].flatMap((share) => [
    drawing("line", { x1: left, x2: width - 4, y1: y(share), y2: y(share), class: "grid" }),
    drawing("text", { x: left - 4, y: y(share) + 4, "text-anchor": "end" }, String(share * 100)),
  ]);
  lessons.forEach((lesson) => {
    const [low, high] = lesson.interval_95;
    parts.push(drawing("line", { x1: x(lesson.labels), x2: x(lesson.labels), y1: y(low), y2: y(high), class: "range" }));
    parts.push(drawing("circle", { cx: x(lesson.labels), cy: y(lesson.accuracy), r: 3 }));
    parts.push(drawing("text", { x: x(lesson.labels), y: height - 4, "text-anchor": "middle" }, String(lesson.labels)));
  });
  const points = lessons.map((lesson) => `${x(lesson.labels)},${y(lesson.accuracy)}`).join(" ");
  parts.push(drawing("polyline", { points }));
  return drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img",
    "aria-label": "Accuracy in percent by the number of labels; the table has the numbers" }, ...parts);
}

/** What more labels bring, in words. */
function worth(gain) {
  const points = (share) => (share * 100).toFixed(1);
  const [low, high] = gain.difference_95;
  const found = `From ${gain.labels[0]} to ${gain.labels[1]} labels accuracy changed by ${points(gain.difference)} points `
    + `(95 % ${points(low)} to ${points(high)}, on ${counted(gain.rows, "row")} kept for testing).`;
  const words = {
    yes: "More labels pay.",
    hardly: "More labels hardly pay now.",
    unknown: "Too few rows are kept for testing to say whether more labels pay.",
  };
  return `${words[gain.says]} ${found}`;
}

async function drawLearned() {
  if (!state.learns_every) return;
  at("learned").hidden = false;
  const found = await ask("learned", {});
  const now = found.lessons.at(-1);
  const running = now !== undefined && now.seconds === null;
  learning = found;
  const parts = [];
  const waits = Math.max(found.next_at - found.labels, 0);
  const text = running ? `A model is learning from ${counted(now.labels, "label")} …`
    : waits > 0 ? `After ${counted(waits, "label")} more a model learns from them.`
      : "A model learns as soon as there are two different labels.";
  parts.push(make("p", { class: "hint", text }));
  if (now && now.trouble) parts.push(make("p", { class: "problem", text: `The last training failed: ${now.trouble}` }));
  const measured = found.lessons.filter((lesson) => lesson.accuracy !== null);
  if (measured.length > 0) {
    const heads = ["Labels", "Accuracy", "95 %", "Rows for testing", "Seconds"]
      .map((text) => make("th", { scope: "col", class: "number", text }));
    const line = (lesson) => make("tr", {}, make("td", { class: "number", text: count(lesson.labels) }),
      make("td", { class: "number", text: percent(lesson.accuracy) }),
      make("td", { class: "number", text: lesson.interval_95.map((end) => (end * 100).toFixed(0)).join("–") }),
      make("td", { class: "number", text: count(lesson.tested) }), make("td", { class: "number", text: count(lesson.seconds) }));
    parts.push(make("div", { class: "learned" }, curve(measured),
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...measured.map(line)))));
  } else if (found.lessons.some((lesson) => lesson.seconds !== null && !lesson.trouble)) {
    parts.push(make("p", { class: "hint", text: "No row that is kept for testing has a label yet: nothing can be measured." }));
  }
  if (found.gain) parts.push(make("p", { text: worth(found.gain) }));
  if (found.doubts.length > 0) {
    const more = found.all_doubts > found.doubts.length ? `, the first ${found.doubts.length}` : "";
    parts.push(make("h3", { text: `${counted(found.all_doubts, "label")} may be wrong${more}` }));
    const line = (doubt) => {
      const show = make("button", { type: "button", text: "Look again", "aria-label": `Look again at row ${doubt.record}` });
      show.addEventListener("click", () => review(doubt.place));
      return make("tr", {}, make("td", { class: "number", text: count(doubt.record) }), make("td", { text: doubt.text }),
        make("td", { text: doubt.label }), make("td", { class: "number", text: percent(doubt.probability) }),
        make("td", { text: doubt.likelier }), make("td", {}, show));
    };
    const names = ["Row", "Text", "Label", "How probable", "Likelier", ""].map((text) => make("th", { scope: "col", text }));
    parts.push(make("table", {}, make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...found.doubts.map(line))));
  }
  at("lessons").replaceChildren(...parts);
  // One timer, however often something was answered meanwhile.
  clearTimeout(looking);
  if (running) looking = setTimeout(() => { drawLearned().catch(() => {}); }, LOOK_AGAIN);
}

async function drawAgreement() {
  if (!at("agreement").open) return;
  const found = await ask("agreement", {});
  const kappa = (pair) => (pair.kappa === null ? "not defined" : pair.kappa.toFixed(3));
  const pair = (each) => make("tr", {}, make("th", { scope: "row", text: each.names.join(", ") }),
    make("td", { class: "number", text: count(each.rows) }), make("td", { class: "number", text: count(each.agreed) }),
    make("td", { class: "number", text: kappa(each) }));
  const heads = ["Labellers", "Rows of both", "Agreed", "Cohen’s κ"]
    .map((text, index) => make("th", { scope: "col", class: index > 0 ? "number" : false, text }));
  const parts = [];
  if (found.pairs.length === 0) {
    parts.push(make("p", { class: "hint", text: "No two labellers have labelled the same row yet." }));
  } else {
    parts.push(make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...found.pairs.map(pair))));
  }
  if (found.all) {
    const text = `All ${found.all.labellers} on the ${counted(found.all.rows, "row")} that each of them labelled: Fleiss’ κ ${kappa(found.all)}.`;
    parts.push(make("p", { text }));
  }
  if (found.disputed.length > 0) {
    const more = found.all_disputed > found.disputed.length ? `, the first ${found.disputed.length}` : "";
    parts.push(make("h3", { text: `${counted(found.all_disputed, "disputed row")}${more}` }));
    const answers = (row) => row.answers.map((each) => `${each.labeller}: ${each.label}`).join("; ");
    const line = (row) => make("tr", {}, make("td", { text: count(row.record) }), make("td", { text: row.text }),
      make("td", { text: answers(row) }));
    const names = ["Row", "Text", "Labels"].map((text) => make("th", { scope: "col", text }));
    parts.push(make("table", {}, make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...found.disputed.map(line))));
  }
  at("agreed").replaceChildren(...parts);
}

// ---- keys --------------------------------------------------------------------------------------------------

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing || state === null) return;
  const field = event.target.closest("input, textarea, select");
  if (field) {
    if (event.key === "Escape") field.blur();
    else if (event.key === "Enter" && field === at("note")) field.blur();
    else if (event.key === "Enter" && field === at("find")) at("labels").querySelector("button")?.click();
    else return;
    event.preventDefault();
    return;
  }
  const number = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
  if (number >= 0 && number < state.labels.length) answer(state.labels[number]);
  else if (event.key === "s") answer(null);
  else if (event.key === "u") undo();
  else if (event.key === "m") opinion();
  else if (event.key === "n") at("note").focus();
  else if (event.key === "/" && !at("find-field").hidden) at("find").focus();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", key);
at("skip").addEventListener("click", () => answer(null));
at("undo").addEventListener("click", undo);
at("model").addEventListener("click", opinion);
at("again").addEventListener("click", again);
at("find").addEventListener("input", drawLabels);
at("agreement").addEventListener("toggle", () => { drawAgreement().catch((error) => problem(error.message)); });
at("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("labeller").value.trim();
  if (name !== "") {
    load(name).then(() => { history.replaceState(null, "", "?labeller=" + encodeURIComponent(name)); });
    at("labeller").blur();
  }
});
load(new URLSearchParams(location.search).get("labeller"));
