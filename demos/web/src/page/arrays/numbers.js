/** Numbers as people write them: with spaces or commas between, or as JSON; and an array's shape in words. */
import {InputError} from '../../worker/errors.js';

/**
 * Reads the numbers of one input.
 * @param {string} text
 * @param {import('../../worker/predictor.js').Field} field
 * @param {{lengths?: number[], padded?: boolean}} sizes the lengths that the model takes, for errors
 * @returns {import('../../worker/predictor.js').Numbers}
 * @throws {InputError} says what does not fit
 */
export function readNumbers(text, field, sizes) {
  const {name, shape} = field, words = text.trim();
  const {values, found} = words.startsWith('[') ? fromJson(words, name) : fromWords(words, name);
  for (const value of values) checkNumber(value, field);
  const nested = found.length > 1 || shape.length === 1 ? found : null;
  const given = nested ?? withLength(shape, values.length);
  const fits = given?.length === shape.length && shape.every((size, axis) => size === null || size === given[axis]);
  if (!fits || !values.length) {
    const count = `${values.length} ${values.length === 1 ? 'is' : 'are'} given`;
    const there = nested && nested.length > 1 ? `${nested.join(' × ')} are given` : count;
    throw new InputError(`Input '${name}' takes ${describeShape(field, sizes)}, and ${there}.`);
  }
  return {shape: given, data: typed(values, field)};
}

/** @throws {InputError} a value is not one of the field's type */
export function checkNumber(value, {name, dtype}) {
  if (!Number.isFinite(value)) throw new InputError(`Input '${name}' takes numbers, and there is something else.`);
  if (dtype === 'bool' && value !== 0 && value !== 1) throw new InputError(`Input '${name}' takes 0 or 1, and ${value} is given.`);
  if (dtype !== 'int32') return;
  if (!Number.isInteger(value)) throw new InputError(`Input '${name}' takes whole numbers, and ${value} is given.`);
  if (value < -(2 ** 31) || value >= 2 ** 31) throw new InputError(`Input '${name}' takes whole numbers of 32 bits, and ${value} is given.`);
}

/** @returns {Float32Array | Int32Array} numbers in the type of a field */
export function typed(values, {dtype}) {
  return dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values);
}

/** @returns {string} what an input takes, such as "6 numbers" or "1 to 16 rows of 3 whole numbers" */
export function describeShape({shape, dtype}, {lengths = [], padded = false} = {}) {
  const kind = {float32: 'number', int32: 'whole number', bool: '0 or 1'}[dtype];
  const many = (count) => (dtype === 'bool' ? `${count} values, each 0 or 1` : `${count} ${kind}${String(count) === '1' ? '' : 's'}`);
  const length = padded ? `1 to ${lengths.at(-1)}` : new Intl.ListFormat('en', {type: 'disjunction'}).format(lengths.map(String));
  const sizes = shape.map((size) => (size === null ? length || 'any number of' : String(size)));
  if (!sizes.length) return dtype === 'bool' ? kind : `a ${kind}`;
  if (sizes.length === 1) return many(sizes[0]);
  if (sizes.length === 2) return `${sizes[0]} row${sizes[0] === '1' ? '' : 's'} of ${many(sizes[1])}`;
  return `${sizes.join(' × ')} ${dtype === 'bool' ? 'values, each 0 or 1' : `${kind}s`}`;
}

/** @returns {string} an array as text: a line of numbers, or JSON with a line for each row */
export function writeNumbers({shape, data}) {
  const numbers = Array.from(data, shortNumber);
  if (shape.length < 2) return numbers.join(', ');
  const nested = (axis, first, step) => {
    if (axis === shape.length - 1) return `[${numbers.slice(first, first + shape[axis]).join(', ')}]`;
    const inner = step / shape[axis];
    const parts = Array.from({length: shape[axis]}, (_, i) => nested(axis + 1, first + i * inner, inner));
    return `[${parts.join(axis === shape.length - 2 ? ',\n' : ',\n\n')}]`;
  };
  return nested(0, 0, numbers.length);
}

/** @returns {string} a number of float32 in the fewest digits that say which one it is */
export function shortNumber(number) {
  if (Number.isInteger(number)) return String(number);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(number.toPrecision(digits));
    if (Math.fround(short) === Math.fround(number)) return String(short);
  }
  return String(Number(number.toPrecision(9)));
}

function fromWords(text, name) {
  const values = text.split(/[\s,;]+/).filter(Boolean).map((word) => {
    if (!Number.isFinite(Number(word))) throw new InputError(`Input '${name}': ${JSON.stringify(word.slice(0, 20))} is not a number.`);
    return Number(word);
  });
  return {values, found: [values.length]};
}

function fromJson(text, name) {
  let read;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new InputError(`Input '${name}' begins as JSON and cannot be read as such: ${error.message}.`);
  }
  const found = [];
  for (let each = read; Array.isArray(each); each = each[0]) found.push(each.length);
  const alike = (each, axis) => (axis === found.length
    ? !Array.isArray(each)
    : Array.isArray(each) && each.length === found[axis] && each.every((part) => alike(part, axis + 1)));
  if (!alike(read, 0)) throw new InputError(`Input '${name}': its rows are not of one length.`);
  const values = read.flat(Infinity).map((value) => (typeof value === 'boolean' ? Number(value) : value));
  if (values.some((value) => typeof value !== 'number')) throw new InputError(`Input '${name}' takes numbers, and there is something else.`);
  return {values, found};
}

/** The shape of N numbers in row order; null where they fill none. */
function withLength(shape, count) {
  const fixed = shape.reduce((whole, size) => whole * (size ?? 1), 1), open = shape.filter((size) => size === null).length;
  const length = open ? Math.round((count / fixed) ** (1 / open)) : 1;
  return fixed * length ** open === count ? shape.map((size) => size ?? length) : null;
}
