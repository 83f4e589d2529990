/** Compares a model of arrays with the outputs in its proof: `keras_attn.device.proof.prediction_proof`. */
import {BundleError, InputError} from './errors.js';
import {readNpz} from './npz.js';
import {copyBlock, product, sized} from './predictor.js';
import {pythonJson, sha256} from './settings.js';

const SMALLEST = 0.01; // outputs below this are compared in units of it
const LEAST_CHANGE = 1e-4; // relative change of outputs which more than rounding causes
const SETTINGS = ['task', 'buckets', 'interface', 'preprocessing'];

/** References of N examples. */
export class PredictionProof {
  /**
   * @param {Uint8Array} content of `proof.npz`
   * @param {any} described the manifest's interface
   */
  constructor(content, described) {
    this.arrays = readNpz(content);
    this.interface = described;
    const {lengths, settings} = this.arrays;
    if (lengths?.shape.length !== 1 || !lengths.data.length) throw new BundleError('proof.npz has no lengths.');
    if (typeof settings?.data[0] !== 'string') throw new BundleError('proof.npz has no settings.');
    this.lengths = Array.from(lengths.data, Number);
    this.settings = settings.data[0];
    const scalar = (name) => {
      const {shape, data} = this.arrays[name] ?? {};
      if (shape?.length !== 0 || typeof data[0] === 'string') throw new BundleError(`proof.npz has no number ${name}.`);
      return Number(data[0]);
    };
    this.maxError = scalar('max_error');
    this.meanError = scalar('mean_error');
    this.minAgreement = scalar('min_agreement');
    const variable = described.inputs.some(({shape}) => shape.includes(null));
    const least = Math.min(...this.lengths);
    if (least < (variable ? 1 : 0)) throw new BundleError(`proof.npz: a length is ${least}.`);
    for (const side of ['inputs', 'outputs']) {
      described[side].forEach((field, i) => this.check(nameOf(side, i), field));
    }
  }

  get length() {
    return this.lengths.length;
  }

  check(name, {name: of, shape, dtype}) {
    const array = this.arrays[name];
    if (!array) throw new BundleError(`proof.npz lacks an array: ${name}`);
    const wanted = [this.length, ...sized(shape, Math.max(...this.lengths))];
    const fits = array.shape.length === wanted.length && array.shape[0] === this.length &&
      wanted.every((size, axis) => (axis && shape[axis - 1] === null ? array.shape[axis] >= size : array.shape[axis] === size));
    const floats = array.data instanceof Float32Array || array.data instanceof Float64Array;
    if (!fits || floats !== (dtype === 'float32') || array.data.length !== product(array.shape)) {
      throw new BundleError(`proof.npz: ${name} is [${array.shape}], not of the model's '${of}'.`);
    }
    if (!Array.prototype.every.call(array.data, (value) => Number.isFinite(Number(value)))) {
      throw new BundleError(`proof.npz: ${name} is not finite`);
    }
  }

  /** @returns {Record<string, import('./predictor.js').Numbers>} the inputs of example i by name, without filling */
  example(i) {
    return this.cut('inputs', i);
  }

  /** @returns {Record<string, import('./predictor.js').Numbers>} its outputs */
  expected(i) {
    return this.cut('outputs', i);
  }

  cut(side, i) {
    return Object.fromEntries(this.interface[side].map(({name, shape, dtype}, number) => {
      const kept = sized(shape, this.lengths[i]), from = this.row(nameOf(side, number), i);
      const data = new (dtype === 'float32' ? Float32Array : Int32Array)(product(kept));
      copyBlock(kept, from, {data, shape: kept});
      return [name, {shape: kept, data}];
    }));
  }

  row(name, i) {
    const {shape: [, ...shape], data} = this.arrays[name], size = product(shape);
    return {shape, data: Array.from(data.subarray(i * size, (i + 1) * size), Number)};
  }

  /** @returns {boolean} whether two examples have the same inputs */
  sameInputs(i, j) {
    return this.lengths[i] === this.lengths[j] && this.interface.inputs.every((_, number) =>
      String(this.row(nameOf('inputs', number), i).data) === String(this.row(nameOf('inputs', number), j).data));
  }
}

/** Compares a model with its proof, example by example: the checks `values`, `answers` and `exchanged`. */
export async function predictionChecks(predictor, content, onProgress) {
  const proof = new PredictionProof(content, predictor.interface), found = [];
  for (let i = 0; i < proof.length; i++) {
    found.push(await outputsOf(predictor, proof, i));
    await onProgress();
  }
  const figures = measured(predictor, proof, found);
  return [...judged(figures, proof), exchangedCheck(predictor, proof, found, figures)];
}

/** Returns the inputs of a proof's first few examples, for a form to begin with; none of a damaged proof. */
export function firstExamples(predictor, content, most) {
  if (!content) return [];
  try {
    const proof = new PredictionProof(content, predictor.interface);
    return Array.from({length: Math.min(most, proof.length)}, (_, i) => proof.example(i));
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    return []; // Repeating the proof says what is wrong with it.
  }
}

/** Checks that the manifest reads inputs and outputs as it did when the bundle was exported: `inputs` and `settings`. */
export function settingsChecks(manifest, content) {
  const proof = new PredictionProof(content, manifest.interface);
  const fields = Object.fromEntries(SETTINGS.map((name) => [name, manifest[name] ?? null]));
  const ok = proof.settings === sha256(pythonJson(fields));
  const detail = ok
    ? 'inputs, outputs and lengths are those of the export'
    : 'interface or buckets of the manifest changed; export again';
  // `keras-attn web` and `Predictor` take no bundle with preprocessing.
  const inputs = {name: 'inputs', ok: true, detail: 'the model takes arrays as they are', figures: {}};
  return [inputs, {name: 'settings', ok, detail, figures: {}}];
}

async function outputsOf(predictor, proof, i) {
  try {
    return await predictor.predict(proof.example(i));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new BundleError(`the proof's example ${i} does not fit: ${error.message}`);
  }
}

function measured(predictor, proof, found) {
  const expected = found.map((_, i) => proof.expected(i));
  const used = found.map((_, i) => predictor.signatureFor(proof.lengths[i] || null));
  const byOutput = {};
  let worst = {}, largest = -1;
  for (const {name, dtype} of predictor.interface.outputs) {
    const ours = found.map((outputs) => outputs[name].data), theirs = expected.map((outputs) => outputs[name].data);
    const errors = relativeErrors(ours, theirs), tops = errors.map(maximum), whole = dtype !== 'float32';
    const i = tops.reduce((best, top, k) => (!(tops[best] >= top) && !Number.isNaN(tops[best]) ? k : best), 0), top = tops[i];
    if (!Number.isFinite(top)) throw new BundleError(`example ${i}, signature ${used[i]}: output '${name}' is not finite`);
    const means = errors.filter((each) => each.length).map(mean);
    byOutput[name] = {
      max_error: whole ? 0 : top,
      mean_error: whole || !means.length ? 0 : mean(means),
      agreement: whole ? equal(ours, theirs) : meanCosine(ours, theirs),
    };
    if (top > largest && !whole) [worst, largest] = [{example: i, output: name, signature: used[i]}, top];
  }
  const all = Object.values(byOutput);
  return {
    max_error: Math.max(...all.map((each) => each.max_error)),
    mean_error: Math.max(...all.map((each) => each.mean_error)),
    agreement: Math.min(...all.map((each) => each.agreement)),
    examples: proof.length,
    worst,
    signatures: [...new Set(used)].sort(),
    by_output: byOutput,
  };
}

/** How much the outputs of each example differ, relatively, from those of the next, where its inputs do. */
function changesOf(predictor, proof, found) {
  const changes = [];
  for (let i = 0; i < proof.length; i++) {
    const next = (i + 1) % proof.length, one = found[i], other = found[next];
    if (next === i || proof.sameInputs(i, next)) continue;
    changes.push(Math.max(...predictor.interface.outputs.map(({name}) =>
      (String(one[name].shape) === String(other[name].shape)
        ? mean(relativeErrors([other[name].data], [one[name].data])[0])
        : Infinity))));
  }
  return changes;
}

function judged(figures, proof) {
  const {max_error: largest, mean_error: usual, agreement, worst, by_output: byOutput} = figures;
  const valuesHold = largest <= proof.maxError && usual <= proof.meanError, answersHold = agreement >= proof.minAgreement;
  let values = `largest relative error ${short(largest)} of ${short(proof.maxError)} accepted, mean ` +
    `${short(usual)} of ${short(proof.meanError)}, over ${figures.examples} examples`;
  if (!valuesHold && worst.output) values += `; worst at output '${worst.output}' of example ${worst.example}, ${worst.signature}`;
  let answers = `mean cosine ${agreement.toFixed(5)}, ${proof.minAgreement.toFixed(5)} needed`;
  const names = Object.keys(byOutput).sort((one, other) => byOutput[one].agreement - byOutput[other].agreement);
  if (!answersHold || names.length > 1) answers += ` (output '${names[0]}')`;
  return [
    {name: 'values', ok: valuesHold, detail: values, figures},
    {name: 'answers', ok: answersHold, detail: answers, figures: {agreement}},
  ];
}

function exchangedCheck(predictor, proof, found, figures) {
  const changes = changesOf(predictor, proof, found);
  const least = Math.max(LEAST_CHANGE, figures.mean_error), beyond = changes.filter((change) => change > least).length;
  let ok = beyond * 2 > changes.length || !changes.length;
  let detail = `${beyond} of ${changes.length} exchanged examples change the outputs by more than ${short(least)}`;
  if (!ok) {
    // A model before its training hardly differs either.
    const wanted = changesOf(predictor, proof, found.map((_, i) => proof.expected(i)));
    ok = wanted.filter((change) => change > LEAST_CHANGE).length * 2 <= wanted.length;
    detail = ok
      ? `the Keras model's own outputs change by less than ${short(LEAST_CHANGE)} with most examples, so that ` +
        'exchanging them shows nothing: give examples that differ'
      : `${detail}; the outputs hardly depend on the inputs: give examples that differ`;
  }
  return {name: 'exchanged', ok, detail, figures: {mean_change: changes.map((change) => Math.min(change, 1e30))}};
}

/** The errors of one output for each example, in units of its largest value, or of the usual one where that is larger. */
function relativeErrors(found, expected) {
  const sizes = expected.map((each) => maximum(Array.from(each, Math.abs))), usual = median(sizes);
  return found.map((one, i) => {
    const unit = Math.max(SMALLEST, sizes[i], usual);
    return Array.from(one, (value, k) => Math.abs(value - expected[i][k]) / unit);
  });
}

/** The mean cosine of examples; of single values, that of all examples together. */
function meanCosine(found, expected) {
  if (expected.every((each) => each.length === 1)) {
    [found, expected] = [[found.map(([value]) => value)], [expected.map(([value]) => value)]];
  }
  return mean(found.map((one, i) => {
    const other = expected[i], largest = (values) => maximum(Array.from(values, Math.abs));
    // Outputs that are all 0, or nearly, have no direction; their errors are counted.
    if (Math.max(largest(one), largest(other)) < SMALLEST) return 1;
    let dot = 0, ours = 0, theirs = 0;
    for (let k = 0; k < other.length; k++) {
      dot += one[k] * other[k];
      ours += one[k] ** 2;
      theirs += other[k] ** 2;
    }
    return dot / Math.max(Math.sqrt(ours) * Math.sqrt(theirs), 1e-300);
  }));
}

function equal(found, expected) {
  return mean(found.map((one, i) => mean(Array.from(one, (value, k) => Number(value === expected[i][k])))));
}

function nameOf(side, i) {
  return `${side === 'inputs' ? 'input' : 'output'}_${i}`;
}

function maximum(values) {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function short(number) {
  return Number(number.toPrecision(3)).toString();
}
