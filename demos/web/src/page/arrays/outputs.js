/** Outputs of a model of arrays: bars where they are shares of a whole, and tables otherwise. */
import {bars} from '../answers.js';
import {element} from '../dom.js';

const MOST_BARS = 50, FIRST_BARS = 10; // values that are shown as bars, and those that are shown at once
const MOST_VALUES = 500; // in a table
const DIGITS = 6, TABLE_DIGITS = 4; // of numbers; the file that is saved has all
const ROUNDING = 1e-3;

let saved = '';

/**
 * @param {import('../../worker/predictor.js').Field} output
 * @param {import('../../worker/predictor.js').Numbers} array
 * @param {string[]} labels names of values, where the model has some
 */
export function outputCard({name, dtype}, array, labels) {
  const title = element('h3', {class: 'caption'}, element('b', {textContent: name}), ' ',
    element('span', {textContent: sizeOf(array)}));
  const card = element('article', {class: 'card output-card', 'aria-label': `Output ${name}`}, title);
  card.dataset.output = name;
  if (areShares(array)) card.append(...shares(array, labels));
  else if (array.data.length === 1) card.append(element('p', {class: 'output', textContent: shown(array.data[0], dtype)}));
  else card.append(table(name, dtype, array, labels));
  return card;
}

function sizeOf({shape, data}) {
  if (data.length === 1) return '';
  return shape.length === 1 ? `${shape[0]} values` : shape.join(' × ');
}

/** @returns {string} an output for screen readers: its best value, its only one, or how many there are */
export function spoken(name, array, labels) {
  if (areShares(array)) {
    const [best] = ranked(array);
    return `${name}: ${nameOf(best, array, labels)}, ${Math.round(100 * array.data[best])} percent`;
  }
  return `${name}: ${array.data.length === 1 ? shown(array.data[0]) : `${array.data.length} values`}`;
}

/** A link that saves all outputs as JSON, nested as arrays. */
export function saveLink(outputs) {
  URL.revokeObjectURL(saved);
  const nested = Object.fromEntries(Object.entries(outputs).map(([name, array]) => [name, asNested(array)]));
  saved = URL.createObjectURL(new Blob([JSON.stringify(nested)], {type: 'application/json'}));
  return element('a', {id: 'save', href: saved, download: 'outputs.json', textContent: 'Save all values as JSON'});
}

function areShares({shape, data}) {
  const flat = shape.filter((size) => size !== 1).length === 1;
  if (!flat || !(data instanceof Float32Array) || data.length > MOST_BARS) return false;
  const sum = data.reduce((whole, value) => whole + value, 0);
  return data.every((value) => value >= 0 && value <= 1 + ROUNDING) && Math.abs(sum - 1) < ROUNDING;
}

function ranked({data}) {
  return Array.from(data.keys()).sort((one, other) => data[other] - data[one]);
}

function nameOf(i, {data}, labels) {
  return labels.length === data.length ? labels[i] : String(i);
}

function shares(array, labels) {
  const list = (numbers) => bars(numbers.map((i) => ({name: nameOf(i, array, labels), share: array.data[i]})));
  const order = ranked(array), first = list(order.slice(0, FIRST_BARS));
  if (order.length <= FIRST_BARS) return [first];
  const others = element('details', {class: 'more'}, element('summary', {textContent: `${order.length - FIRST_BARS} more`}), list(order.slice(FIRST_BARS)));
  return [first, others];
}

/** A row for each index of all axes but the last; of a vector, a row for each value. */
function table(name, dtype, array, labels) {
  const {shape, data} = array, vector = shape.length === 1;
  const width = vector ? 1 : shape.at(-1), rows = Math.min(data.length / width, Math.max(1, Math.floor(MOST_VALUES / width)));
  const columns = Math.min(width, MOST_VALUES);
  const numbers = Array.from({length: columns}, (_, i) => i);
  const head = vector ? [] : [element('thead', {}, element('tr', {}, element('td'), ...numbers.map((i) => header('col', String(i)))))];
  const body = Array.from({length: rows}, (_, row) => element('tr', {},
    header('row', vector ? nameOf(row, array, labels) : indexOf(row, shape)),
    ...numbers.map((i) => element('td', {textContent: shown(data[row * width + i], dtype, TABLE_DIGITS)}))));
  const scroller = element('div', {class: 'scroller', tabIndex: 0, role: 'region', 'aria-label': `Values of ${name}`},
    element('table', {}, ...head, element('tbody', {}, ...body)));
  const left = data.length - rows * columns;
  if (!left) return scroller;
  const note = element('p', {class: 'how', textContent: `The first ${rows * columns} of ${data.length} values; the link below saves all.`});
  return element('div', {}, scroller, note);
}

function header(scope, words) {
  return element('th', {scope, textContent: words});
}

/** The index of a row, such as "0, 3". */
function indexOf(row, shape) {
  const index = [];
  for (const size of shape.slice(0, -1).reverse()) {
    index.unshift(row % size);
    row = Math.floor(row / size);
  }
  return index.join(', ');
}

function shown(value, dtype = 'float32', digits = DIGITS) {
  if (dtype === 'bool') return value ? 'yes' : 'no';
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  return String(Number(value.toPrecision(digits))).replace('-', '−');
}

function asNested({shape, data}) {
  const nested = (axis, first, count) => {
    if (axis === shape.length) return data[first];
    const inner = count / shape[axis];
    return Array.from({length: shape[axis]}, (_, i) => nested(axis + 1, first + i * inner, inner));
  };
  return nested(0, 0, data.length);
}
