/** Any Keras model, one example at a time: arrays in, arrays out: `keras_attn.device.tasks.predictor`. */
import {BundleError, InputError} from './errors.js';

/**
 * @typedef {{shape: number[], data: ArrayLike<number>}} Numbers an array in row order, without a batch axis
 * @typedef {{name: string, shape: (number | null)[], dtype: 'float32' | 'int32' | 'bool', pad: number}} Field
 */

const STORED = {float32: 'float32', int32: 'int32', bool: 'int32'};
const LARGEST_INT = 2 ** 31;

export class Predictor {
  /**
   * @param {import('./runtime.js').Model} model
   * @param {any} manifest
   * @throws {BundleError} the model begins with layers that read texts or categories
   */
  constructor(model, {buckets, interface: described, preprocessing}) {
    if (preprocessing) {
      throw new BundleError('The model begins with layers that read texts or categories, which this page cannot compute.');
    }
    this.model = model;
    this.buckets = buckets;
    this.interface = described;
  }

  /** @returns {boolean} whether there is a length that is not fixed */
  get variable() {
    return this.interface.inputs.some(({shape}) => shape.includes(null));
  }

  /** Makes every signature ready, and checks it against the interface. */
  prepare() {
    for (const bucket of this.buckets) {
      for (const count of Object.keys(bucket.predict)) this.checked(bucket, count);
    }
  }

  /**
   * Computes the outputs of one example.
   * @param {Record<string, Numbers>} inputs by name
   * @returns {Promise<Record<string, Numbers>>} outputs by name; those that have the inputs' length end with it
   * @throws {InputError} an input is missing or does not fit, or there is no signature for its length
   */
  async predict(inputs) {
    const {fields, length} = this.read(inputs);
    const bucket = this.bucketFor(length), signature = this.checked(bucket, fewest(bucket));
    for (const {name, pad, shape, data} of fields) {
      const view = signature.inputs[name];
      // The first example of the signature; others, where it takes several, are whatever was there.
      const target = view.array.subarray(0, product(view.shape.slice(1)));
      target.fill(pad);
      copyBlock(shape, {data, shape}, {data: target, shape: view.shape.slice(1)});
    }
    await signature.run();
    return Object.fromEntries(this.interface.outputs.map(({name, shape, dtype}) => {
      const view = signature.outputs[name], kept = sized(shape, length);
      const data = new (dtype === 'float32' ? Float32Array : Int32Array)(product(kept));
      copyBlock(kept, {data: view.array, shape: view.shape.slice(1)}, {data, shape: kept});
      return [name, {shape: kept, data: dtype === 'bool' ? data.map((value) => (value ? 1 : 0)) : data}];
    }));
  }

  /** @returns {string} the name of the signature that computes one example of a length */
  signatureFor(length) {
    const bucket = this.bucketFor(length);
    return bucket.predict[fewest(bucket)];
  }

  /** Returns the inputs as arrays of the types of their fields, and their length, after checking them. */
  read(inputs) {
    const known = this.interface.inputs.map(({name}) => name);
    const missing = known.filter((name) => !(name in inputs)), unknown = Object.keys(inputs).filter((name) => !known.includes(name));
    if (missing.length || unknown.length) {
      const problems = [missing.length ? `lack ${quoted(missing)}` : '', unknown.length ? `have ${quoted(unknown)}` : ''];
      throw new InputError(`The inputs ${problems.filter(Boolean).join(' and ')}; the model takes ${quoted(known)}.`);
    }
    const fields = this.interface.inputs.map((field) => ({...field, ...readField(field, inputs[field.name])}));
    const lengths = fields.map(({length}) => length).filter((length) => length !== null);
    // An output that has a length would need to know whose.
    const {padded, outputs} = this.interface, alike = !padded || outputs.some(({shape}) => shape.includes(null));
    if (new Set(lengths).size > 1 && alike) {
      const fill = padded ? ', filling up the shorter ones' : '';
      throw new InputError(`The inputs have different lengths: ${lengths.join(', ')}; give them the same${fill}.`);
    }
    return {fields, length: lengths.length ? Math.max(...lengths) : null};
  }

  bucketFor(length) {
    if (length === null) return this.buckets[0];
    const {padded} = this.interface, lengths = this.buckets.map(({source}) => source);
    const fitting = this.buckets.find(({source}) => source >= length);
    if (fitting && length > 0 && (padded || fitting.source === length)) return fitting;
    if (padded) throw new InputError(`The inputs have length ${length}, and this model takes 1 to ${lengths.at(-1)}.`);
    throw new InputError(
      `The inputs have length ${length}, and this model takes ${lengths.join(', ')}: padding changes its outputs, ` +
        'so that the length must be one of these.');
  }

  checked(bucket, count) {
    const signature = this.model.signature(bucket.predict[count]);
    for (const side of ['inputs', 'outputs']) {
      const views = signature[side], fields = this.interface[side];
      const shown = (name, dtype, shape) => `${name}: ${dtype} [${shape}]`;
      const wanted = fields.map(({name, shape, dtype}) => shown(name, STORED[dtype], [Number(count), ...sized(shape, bucket.source)]));
      const found = Object.entries(views).map(([name, {dtype, shape}]) => shown(name, dtype, shape));
      if (String(wanted.sort()) !== String(found.sort())) {
        throw new BundleError(`signature '${signature.name}' has the ${side} ${found.join(', ')}, and the interface ${wanted.join(', ')}.`);
      }
    }
    return signature;
  }
}

/** @returns {number[]} a field's shape for a length */
export function sized(shape, length) {
  return shape.map((size) => size ?? length ?? 0);
}

export function product(shape) {
  return shape.reduce((whole, size) => whole * size, 1);
}

/**
 * Copies the values at the beginning of each axis of one array to the beginning of another.
 * @param {number[]} shape of what is copied
 */
export function copyBlock(shape, from, to, axis = 0, first = 0, target = 0) {
  const left = shape.slice(axis);
  if (String(left) === String(from.shape.slice(axis)) && String(left) === String(to.shape.slice(axis))) {
    const count = product(left);
    for (let i = 0; i < count; i++) to.data[target + i] = from.data[first + i];
    return;
  }
  const step = product(from.shape.slice(axis + 1)), stride = product(to.shape.slice(axis + 1));
  for (let i = 0; i < shape[axis]; i++) copyBlock(shape, from, to, axis + 1, first + i * step, target + i * stride);
}

function readField({name, shape: wanted, dtype}, {shape, data}) {
  const fits = shape.length === wanted.length && wanted.every((size, axis) => size === null || size === shape[axis]);
  const lengths = shape.filter((_, axis) => wanted[axis] === null);
  if (!fits || new Set(lengths).size > 1 || data.length !== product(shape)) {
    const sizes = wanted.map((size) => size ?? 'length').join(', ');
    throw new InputError(`Input '${name}' has shape (${shape.join(', ')}); the model takes (${sizes}).`);
  }
  const whole = (value) => Number.isInteger(value) && value >= -LARGEST_INT && value < LARGEST_INT;
  if (dtype === 'int32' && !Array.prototype.every.call(data, whole)) {
    throw new InputError(`Input '${name}' takes whole numbers of 32 bits, and other values were given.`);
  }
  const values = dtype === 'bool' ? Int32Array.from(data, (value) => (value ? 1 : 0)) : data;
  return {shape, data: values, length: lengths[0] ?? null};
}

/** The signature of the fewest examples there is. */
function fewest({predict}) {
  return String(Math.min(...Object.keys(predict).map(Number)));
}

function quoted(names) {
  return names.map((name) => `'${name}'`).join(', ');
}
