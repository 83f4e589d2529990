/**
 * Runs the step protocol on made-up signatures, without a browser. Reads `{signatures, buckets, cases}` from standard
 * input: shapes as a manifest has them, and cases of `{source, rows, steps: [{tokens, parents}]}`. Prints for each case
 * a list of `{signature, scores}`, a step each.
 *
 * What a step computes: a row's key is its token and its value the number of tokens fed before, plus one. Its two
 * scores are the sum over its past and itself of key times value, and of the values: all whole numbers. Its past is in
 * slots that all rows share, or (without `self_bias`) in a cache of its own.
 */
import {json} from 'node:stream/consumers';

import {StepModel} from '../src/worker/decoder.js';

class Signature {
  constructor(name, {inputs, outputs}) {
    this.name = name;
    const make = ([tensor, {shape, dtype}]) => {
      const size = shape.reduce((product, size) => product * size, 1);
      return [tensor, {shape, size, array: dtype === 'int32' ? new Int32Array(size) : new Float32Array(size)}];
    };
    this.inputs = Object.fromEntries(Object.entries(inputs).map(make));
    this.outputs = Object.fromEntries(Object.entries(outputs).map(make));
  }

  async run() {
    const {tokens, position, self_bias: bias, key_cache_00: keys, value_cache_00: values} = this.inputs;
    if (!tokens) return; // encode
    if (!bias) return this.runOwn();
    const {scores, row_00: added} = this.outputs, slots = bias.shape[1], value = position.array[0] + 1;
    tokens.array.forEach((token, row) => {
      let products = token * value, sum = value;
      for (let slot = 0; slot < slots; slot++) {
        if (bias.array[row * slots + slot] !== 0) continue;
        products += keys.array[slot] * values.array[slot];
        sum += values.array[slot];
      }
      scores.array.set([products, sum], 2 * row);
      added.array.set([token, value], 2 * row);
    });
  }

  /** The same with a cache of each row, [R, 2, T, 1]: tokens, then values. */
  runOwn() {
    const {tokens, slot, state_01: cache} = this.inputs, room = cache.shape[2];
    const {scores, row_state_01: added, next_slot: next} = this.outputs;
    tokens.array.forEach((token, row) => {
      const filled = slot.array[row], value = filled + 1;
      let products = token * value, sum = value;
      for (let at = 0; at < filled; at++) {
        products += cache.array[2 * row * room + at] * cache.array[(2 * row + 1) * room + at];
        sum += cache.array[(2 * row + 1) * room + at];
      }
      scores.array.set([products, sum], 2 * row);
      added.array.set([token, value], 2 * row);
      next.array[row] = value;
    });
  }
}

const {signatures, buckets, cases} = await json(process.stdin);
const ready = Object.fromEntries(Object.entries(signatures).map(([name, tensors]) => [name, new Signature(name, tensors)]));
const model = new StepModel({signature: (name) => ready[name]}, buckets, 0);
const found = [];
for (const {source, rows, steps} of cases) {
  const state = await model.start(source, steps.length), results = [];
  state.select(new Array(rows).fill(0));
  for (const {tokens, parents} of steps) {
    const scores = await state.step(tokens);
    const each = tokens.map((_, row) => Array.from(scores.row(row)));
    results.push({signature: state.signature, scores: each});
    state.select(parents);
  }
  found.push(results);
}
console.log(JSON.stringify(found));
