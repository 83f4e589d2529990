
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { layers, heads, targets, sources } = data;
const levels = Uint8Array.from(atob(data.weights), (character) => character.charCodeAt(0));
const active = new Set(Array(heads).keys());
const leftOut = new Set();
const FAINTEST = { one: 0.03, all: 0.12 }; // weights below are not drawn, of one word and of all words
let layer = 0;
let pointed = null;
let kept = null;

const [layerField, headField, summary, lines, targetList, sourceList] =
  ["layers", "heads", "summary", "lines", "targets", "sources"].map((id) => document.getElementById(id));

/** How much `target` looks at `source` in the chosen layer, from 0 to 1. */
function weight(head, target, source) {
  return levels[((layer * heads + head) * targets.length + target) * sources.length + source] / 255;
}

/** Neighbouring heads get hues that are far apart. */
const hue = (head) => Math.round(250 + head * 137.5) % 360;

function add(parent, name, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(name), properties));
}

function addInput(field, type, text, change) {
  const label = add(field, "label");
  const input = add(label, "input", { type, name: field.id });
  label.append(text);
  input.addEventListener("change", () => { change(input.checked); draw(); });
  return { label, input };
}

/** A column of words; only one of them is a tab stop, arrow keys go on to the next. */
function addWords(list, words, click) {
  const buttons = words.map(([text, goesOn], number) => {
    const button = add(add(list, "li"), "button", { type: "button", title: text, tabIndex: number ? -1 : 0 });
    button.classList.toggle("part", goesOn);
    add(button, "bdi", { textContent: text });
    button.addEventListener("click", () => { click(number); draw(); });
    button.addEventListener("keydown", (event) => {
      const next = buttons[number + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? NaN)];
      if (!next) return;
      event.preventDefault();
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    return button;
  });
  return buttons;
}

const toggle = (set, value, on = !set.has(value)) => (on ? set.add(value) : set.delete(value));

for (let number = 0; number < layers; number++) {
  addInput(layerField, "radio", number + 1, () => { layer = number; }).input.checked = number === layer;
}
const headInputs = Array.from({ length: heads }, (_, head) => {
  const { label, input } = addInput(headField, "checkbox", head + 1, (on) => toggle(active, head, on));
  label.style.setProperty("--hue", hue(head));
  return input;
});
for (const [text, on] of [["all", true], ["none", false]]) {
  add(headField, "button", { type: "button", textContent: text }).addEventListener("click", () => {
    headInputs.forEach((_, head) => toggle(active, head, on));
    draw();
  });
}

const targetButtons = addWords(targetList, targets, (number) => { kept = kept === number ? null : number; });
const sourceButtons = addWords(sourceList, sources, (number) => toggle(leftOut, number));
targetButtons.forEach((button, number) => {
  const point = (to) => () => { pointed = to; draw(); };
  for (const event of ["pointerenter", "focus"]) button.addEventListener(event, point(number));
  for (const event of ["pointerleave", "blur"]) button.addEventListener(event, point(null));
});
const cells = sourceButtons.map((button) => {
  const strip = add(button.parentNode, "span", { className: "cells" });
  return headInputs.map((_, head) => {
    const cell = add(strip, "i");
    cell.style.setProperty("--hue", hue(head));
    return cell;
  });
});
const longest = Math.max(targets.length, sources.length);
lines.setAttribute("viewBox", `0 0 100 ${longest}`);
lines.style.setProperty("--longest", longest);

/** The lines of every head lie beside each other, so that none hides another. */
function addLine(head, target, source, strength) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const place = 0.2 + (0.6 * (head + 0.5)) / heads;
  path.setAttribute("d", `M0 ${target + place}C50 ${target + place} 50 ${source + place} 100 ${source + place}`);
  path.style.setProperty("--hue", hue(head));
  path.style.opacity = strength;
  lines.append(path);
}

function draw() {
  const word = pointed ?? kept;
  const chosen = [...active].sort((one, other) => one - other);
  const shown = [...sources.keys()].filter((source) => !leftOut.has(source));
  headInputs.forEach((input, head) => { input.checked = active.has(head); });
  targetButtons.forEach((button, number) => {
    button.classList.toggle("pointed", number === word);
    button.classList.toggle("kept", number === kept);
    button.setAttribute("aria-pressed", number === kept);
  });
  sourceButtons.forEach((button, number) => {
    button.classList.toggle("out", leftOut.has(number));
    button.setAttribute("aria-pressed", leftOut.has(number));
  });
  lines.replaceChildren();
  for (const strip of cells) for (const cell of strip) cell.style.opacity = 0;
  if (word === null) {
    for (const target of targets.keys()) drawWord(target, chosen, shown, FAINTEST.all, 1);
  } else {
    // Of one word the strongest line is drawn in full: what is left out no longer outshines the rest.
    const strongest = Math.max(1 / 255, ...chosen.flatMap((head) => shown.map((to) => weight(head, word, to))));
    drawWord(word, chosen, shown, FAINTEST.one, strongest);
    for (const source of shown) {
      for (const head of chosen) cells[source][head].style.opacity = weight(head, word, source) / strongest;
    }
  }
  tell(word, chosen, shown);
}

function drawWord(target, chosen, shown, faintest, strongest) {
  for (const source of shown) {
    for (const head of chosen) {
      const strength = weight(head, target, source) / strongest;
      if (strength >= faintest) addLine(head, target, source, strength);
    }
  }
}

/** Say in words what the lines show: the three words that are looked at most. */
function tell(word, chosen, shown) {
  if (word === null || !chosen.length) {
    summary.textContent = chosen.length ? "Point at a word." : "Switch on a head.";
    return;
  }
  const mean = (source) => chosen.reduce((sum, head) => sum + weight(head, word, source), 0) / chosen.length;
  const shares = shown.map((source) => [Math.round(100 * mean(source)), sources[source][0]]);
  const best = shares.filter(([share]) => share > 0).sort(([a], [b]) => b - a).slice(0, 3);
  summary.textContent = "";
  add(summary, "strong").append(add(summary, "bdi", { textContent: targets[word][0] }));
  summary.append(best.length ? " looks at " : " looks at nothing that is shown");
  best.forEach(([share, text], place) => {
    add(summary, "bdi", { textContent: text });
    summary.append(` ${share} %${place + 1 < best.length ? ", " : ""}`);
  });
  summary.append(chosen.length > 1 ? ` (mean of ${chosen.length} heads)` : ` (head ${chosen[0] + 1})`);
}

draw();
