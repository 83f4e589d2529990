/** Fields of a form for arrays: a number, boxes to tick, or a text of numbers. */
import {InputError} from '../../worker/errors.js';
import {element} from '../dom.js';
import {checkNumber, describeShape, readNumbers, shortNumber, typed, writeNumbers} from './numbers.js';

const MOST_BOXES = 32;
let made = 0;

/**
 * A row of the form: its name, what it takes and where to write it. `read` returns `{shape, data}`, and raises an
 * InputError that names the input.
 * @param {import('../../worker/predictor.js').Field} input
 * @param {{lengths: number[], padded: boolean}} sizes the lengths that the model takes
 */
export function fieldFor(input, sizes) {
  const single = input.shape.every((size) => size === 1), fixed = !input.shape.includes(null);
  if (input.dtype === 'bool' && (single || (fixed && input.shape.length === 1 && input.shape[0] <= MOST_BOXES))) return new BoxesField(input);
  return single ? new NumberField(input) : new NumbersField(input, sizes);
}

/** An id that no other element has. */
export function newId(name) {
  return `input-${++made}-${name.replace(/[^\w-]+/g, '-')}`;
}

/** A label beside what the input takes. */
export function caption(tag, name, takes, properties = {}) {
  return element(tag, {class: 'caption', ...properties}, element('b', {textContent: name}), ' ', element('span', {textContent: takes}));
}

/** Reads a field, and marks it while what it holds does not fit. */
export function marking(control, read) {
  try {
    const found = read();
    control.removeAttribute('aria-invalid');
    return found;
  } catch (error) {
    control.setAttribute('aria-invalid', 'true');
    throw error;
  }
}

class NumberField {
  constructor(input) {
    this.input = input;
    this.name = input.name;
    const id = newId(input.name);
    this.control = element('input', {id, type: 'number', step: 'any', autocomplete: 'off'});
    this.row = element('div', {class: 'row number'}, caption('label', input.name, describeShape({...input, shape: []}), {for: id}), this.control);
  }

  fill({data}) {
    this.control.value = shortNumber(data[0]);
  }

  read() {
    return marking(this.control, () => {
      const words = this.control.value.trim(), value = Number(words);
      if (!words) throw new InputError(`Input '${this.name}' is empty; it takes ${describeShape({...this.input, shape: []})}.`);
      checkNumber(value, this.input);
      return {shape: this.input.shape, data: typed([value], this.input)};
    });
  }
}

class BoxesField {
  constructor(input) {
    this.input = input;
    this.name = input.name;
    const count = input.shape[0] ?? 1;
    this.boxes = Array.from({length: count}, () => element('input', {type: 'checkbox', id: newId(input.name)}));
    if (count === 1) {
      const [box] = this.boxes;
      this.row = element('div', {class: 'row number'}, caption('label', input.name, 'yes or no', {for: box.id}), box);
      return;
    }
    const labels = this.boxes.map((box, i) => element('label', {class: 'box'}, box, element('span', {textContent: String(i)})));
    this.row = element('fieldset', {class: 'row boxes'}, caption('legend', input.name, `${count} values, each yes or no`), ...labels);
  }

  fill({data}) {
    this.boxes.forEach((box, i) => { box.checked = Boolean(data[i]); });
  }

  read() {
    return {shape: this.input.shape, data: Int32Array.from(this.boxes, (box) => Number(box.checked))};
  }
}

class NumbersField {
  constructor(input, sizes) {
    this.input = input;
    this.sizes = sizes;
    this.name = input.name;
    const id = newId(input.name), takes = describeShape(input, sizes);
    this.control = element('textarea', {id, rows: input.shape.length > 1 ? 4 : 2, spellcheck: false, autocapitalize: 'off', 'aria-describedby': `${id}-how`});
    const how = input.shape.length > 1 ? 'As JSON, or row by row with spaces or commas between.' : 'With spaces or commas between.';
    this.row = element('div', {class: 'row numbers'}, caption('label', input.name, takes, {for: id}), this.control,
      element('p', {id: `${id}-how`, class: 'how', textContent: how}));
  }

  fill(example) {
    this.control.value = writeNumbers(example);
  }

  read() {
    return marking(this.control, () => readNumbers(this.control.value, this.input, this.sizes));
  }
}
