/** Classification, embedding and filling masks: `keras_attn.device.runtime.encoder` and `keras_attn.device.tasks`. */
import {BundleError, InputError} from './errors.js';
import {answer, entities} from './spans_task.js';
import {beginning} from './text.js';

const RESULTS = ['scores', 'embedding', 'token_scores', 'position_scores'];

/** An encoder over a bundle's signatures; each text runs in the smallest that holds it. */
export class Encoder {
  constructor(model, buckets, {pad, end}, pairs = false) {
    Object.assign(this, {model, buckets, padId: pad, endId: end, pairs});
  }

  get maxTokens() {
    return this.buckets.at(-1).source;
  }

  /** Whether texts may be two, distinguished by segments or by the tokens between them. */
  get readsPairs() {
    return this.pairs || 'segment_ids' in this.model.signature(this.buckets[0].encode).inputs;
  }

  /** Whether a result is of positions to be an answer's start and end. */
  get scoresPositions() {
    return 'position_scores' in this.model.signature(this.buckets[0].encode).outputs;
  }

  prepare() {
    for (const bucket of this.buckets) this.checked(bucket);
  }

  signatureFor(length) {
    const bucket = this.buckets.find(({source}) => source >= length);
    if (!bucket || length < 1) {
      throw new InputError(`${length} tokens do not fit this bundle, which takes 1 to ${this.maxTokens}.`);
    }
    return bucket;
  }

  /**
   * @param {number[]} ids special tokens included
   * @param {number} [position] for masked language models, the position whose word is predicted
   * @returns {Promise<Float32Array>} log-probabilities of labels or words, an embedding or a logit; of N tokens
   *   log-probabilities of labels (N x C), or of positions to be the start and the end of an answer (2 x N)
   */
  async run(ids, position = 0) {
    const signature = this.checked(this.signatureFor(ids.length)), {inputs} = signature;
    inputs.token_ids.array.fill(this.padId).set(ids);
    inputs.padding_mask.array.fill(0).fill(1, 0, ids.length);
    if (inputs.position) inputs.position.array[0] = position;
    if (inputs.segment_ids) {
      const first = ids.indexOf(this.endId);
      inputs.segment_ids.array.fill(0).set(ids.map((_, i) => Number(first >= 0 && i > first)));
    }
    await signature.run();
    const name = RESULTS.find((each) => each in signature.outputs), {array, shape} = signature.outputs[name];
    if (name === 'token_scores') return array.slice(0, ids.length * shape.at(-1));
    if (name !== 'position_scores') return array.slice(0, shape.at(-1));
    const found = new Float32Array(2 * ids.length), length = shape.at(-1);
    for (const row of [0, 1]) found.set(array.subarray(row * length, row * length + ids.length), row * ids.length);
    return found;
  }

  checked(bucket) {
    const signature = this.model.signature(bucket.encode);
    for (const name of ['token_ids', 'padding_mask']) {
      if (signature.inputs[name]?.size !== bucket.source) {
        throw new BundleError(`signature '${signature.name}' must take ${name} of shape [1, ${bucket.source}]`);
      }
    }
    if (!RESULTS.some((name) => name in signature.outputs)) {
      throw new BundleError(`signature '${signature.name}' returns neither ${RESULTS.join(' nor ')}`);
    }
    return signature;
  }
}

/** The tasks over an encoder. */
export class EncoderTask {
  constructor(model, manifest, tokenizer) {
    this.encoder = new Encoder(model, manifest.buckets, manifest.special_ids, manifest.model.pairs);
    this.tokenizer = tokenizer;
    this.labels = manifest.model.labels ?? [];
    const {prompts, default_prompt: defaultPrompt, truncates, multi_label: multiLabel, activation, strategy} = manifest.model.config ?? {};
    Object.assign(this, {prompts: prompts ?? {}, defaultPrompt: defaultPrompt ?? '', truncates: truncates ?? false});
    Object.assign(this, {multiLabel: Boolean(multiLabel), activation: activation ?? 'sigmoid'});
    this.strategy = strategy ?? 'simple';
  }

  /** Number of the label of a text that entails the next one; -1 if there is none. */
  get entailment() {
    return this.labels.findIndex((label) => label.toLowerCase().startsWith('entail'));
  }

  get readsPairs() {
    return this.encoder.readsPairs;
  }

  /** The mask as it is written in a text, such as `[MASK]`. */
  get mask() {
    return this.tokenizer.token(this.tokenizer.specialIds.mask) ?? null;
  }

  ids(text, pair = null) {
    const limit = this.encoder.maxTokens, start = (each) => beginning(each, limit, (some) => this.tokenizer.enclosed(some));
    if (this.truncates) { // such a model reads single texts, and its tokenizer puts nothing around them
      const read = this.tokenizer.enclosed(start(text)).slice(0, limit);
      if (!read.length) throw new InputError('The text is empty.');
      return read;
    }
    for (const each of [text, pair ?? '']) {
      if (start(each) !== each) {
        throw new InputError(`The text has ${each.length} characters, and the model takes ${limit} tokens.`);
      }
    }
    const ids = this.tokenizer.enclosed(text, pair);
    if (ids.length > limit) throw new InputError(`The text has ${ids.length} tokens, and the model takes ${limit}.`);
    if (!ids.length) throw new InputError('The text is empty.');
    return ids;
  }

  /** @returns {Promise<{label: string, score: number}[]>} the most probable first */
  async classify(text, pair = null) {
    const scores = await this.encoder.run(this.ids(text, pair));
    const shares = this.multiLabel ? Array.from(scores, Math.exp) : softmax(Array.from(scores));
    return sorted(this.labels, shares);
  }

  /**
   * Chooses among labels of one's own, with a model of natural language inference.
   * @param {string} text
   * @param {string[]} candidates
   * @param {{hypothesis?: string, several?: boolean}} [options]
   */
  async choose(text, candidates, {hypothesis = 'This example is {}.', several = false} = {}) {
    const {entailment} = this, rows = [];
    if (entailment < 0 || this.multiLabel) throw new InputError('Only a model of natural language inference chooses among candidates.');
    for (const candidate of candidates) rows.push(await this.encoder.run(this.ids(text, hypothesis.replace('{}', candidate))));
    if (!several && rows.length > 1) return sorted(candidates, softmax(rows.map((row) => row[entailment])));
    let against = this.labels.findIndex((label) => label.toLowerCase().startsWith('contradict'));
    if (against < 0) against = entailment ? 0 : this.labels.length - 1;
    return sorted(candidates, rows.map((row) => softmax([row[against], row[entailment]])[1]));
  }

  /** @returns {Promise<number>} the score of a text, or of two */
  async score(text, pair = null) {
    const [logit] = await this.encoder.run(this.ids(text, pair));
    return this.activation === 'sigmoid' ? 1 / (1 + Math.exp(-logit)) : logit;
  }

  entities(text) {
    if (this.strategy !== 'simple') {
      throw new InputError(`This model labels words by the strategy ${this.strategy}, and this page labels each token: ` +
        'train it with --pieces all.');
    }
    return entities(this.encoder, this.tokenizer, this.labels, text);
  }

  answer(question, context, options) {
    return answer(this.encoder, this.tokenizer, question, context, options);
  }

  /** What is written before a text for the prompt of a name; by default for the model's default prompt. */
  prefix(prompt = null) {
    const name = prompt ?? this.defaultPrompt;
    if (Object.hasOwn(this.prompts, name)) return this.prompts[name];
    if (!name) return '';
    throw new InputError(`The model has no prompt '${name}', only ${Object.keys(this.prompts).join(', ') || 'none'}.`);
  }

  /** @returns {Promise<number[]>} the vector of a text, with a prompt before it, or its first values */
  async embed(text, prompt = null, dimensions = null) {
    const vector = Array.from(await this.encoder.run(this.ids(this.prefix(prompt) + text)));
    if (dimensions === null) return vector;
    if (!(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= vector.length)) {
      throw new InputError(`Dimensions must be a whole number from 1 to ${vector.length}, not ${dimensions}.`);
    }
    return vector.slice(0, dimensions);
  }

  /**
   * Finds words for the masks of a text.
   * @returns {Promise<{text: string, token: string, id: number, score: number, mask: number}[]>}
   */
  async fillMask(text, top = 5) {
    const ids = this.ids(text), {mask} = this.tokenizer.specialIds;
    const positions = ids.flatMap((id, position) => (id === mask ? [position] : []));
    if (!positions.length) throw new InputError(`The text has no ${this.mask}; write it in place of each word to find.`);
    const best = [];
    for (const position of positions) best.push(highest(await this.encoder.run(ids, position), top));
    const filled = [...ids];
    positions.forEach((position, i) => { filled[position] = best[i][0].id; });
    return positions.flatMap((place, number) =>
      best[number].map(({id, score}) => ({
        text: this.tokenizer.decode(filled.with(place, id)),
        token: this.tokenizer.token(id) ?? `<${id}>`,
        id,
        score: Math.exp(score),
        mask: number,
      })));
  }
}

function sorted(labels, scores) {
  return labels.map((label, i) => ({label, score: scores[i]})).sort((one, other) => other.score - one.score);
}

/** Probabilities of logits; of log-probabilities, the same. */
function softmax(logits) {
  const most = Math.max(...logits), powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function highest(scores, count) {
  return Array.from(scores, (score, id) => ({id, score}))
    .sort((one, other) => other.score - one.score || one.id - other.id)
    .slice(0, count);
}
