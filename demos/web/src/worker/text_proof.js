/** Holds the tokenizer against the texts of the bundle's proof: `keras_attn.device.proof.text_proof`. */
import {Encoder} from './encoder.js';
import {BundleError} from './errors.js';
import {characters} from './token_spans.js';

const FILES = ['tokenizer.json', 'target_tokenizer.json', 'shortlist.npz'];

/**
 * @param {object} opened a bundle: `manifest`, `task`
 * @param {{data: Uint8Array}} [texts] the array of `proof.npz`
 * @returns {{name: string, ok: boolean, detail: string, figures: object}} the check
 */
export function checkTexts({manifest, task}, texts) {
  if (!texts?.data.length) {
    const detail = 'the proof has no texts: the tokenizer is not proven; export the bundle again';
    return {name: 'texts', ok: false, detail, figures: {}};
  }
  const proof = parsed(texts.data), {tokenizer} = task;
  const encode = (text, pair) =>
    task.encoder instanceof Encoder ? tokenizer.enclosed(text, pair) : tokenizer.encode(text);
  const different = [
    ...proof.encoded.filter(([text, pair, ids]) => String(encode(text, pair)) !== String(ids)).map(([text]) => text),
    ...proof.decoded.filter(([ids, text]) => tokenizer.decode(ids) !== text).map(([, text]) => text),
    ...proof.spans.filter(([text, where]) => !standThere(tokenizer, text, where)).map(([text]) => text),
  ];
  const replaced = FILES.filter((name) => manifest.files[name]?.sha256 !== proof.files[name]);
  const roles = new Set([...Object.keys(manifest.special_ids), ...Object.keys(proof.special_ids)]);
  if ([...roles].some((role) => manifest.special_ids[role] !== proof.special_ids[role])) replaced.push('special_ids');
  const count = proof.encoded.length + proof.decoded.length + proof.spans.length, equal = count - different.length;
  let detail = `${equal} of ${count} texts are tokenized and decoded as in the export`;
  if (different.length) detail += `; ${JSON.stringify(different[0].slice(0, 80))} is the first that differs`;
  if (replaced.length) detail += `; changed since the export: ${replaced.join(', ')}; export the bundle again`;
  return {
    name: 'texts',
    ok: !different.length && !replaced.length,
    detail,
    figures: {
      encoded: proof.encoded.length + proof.spans.length,
      decoded: proof.decoded.length,
      equal,
      different: different[0] ?? null,
      replaced,
    },
  };
}

/** Whether the tokens of a text stand where a proof says, which counts characters and not UTF-16 units. */
function standThere(tokenizer, text, where) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  const {offsets} = tokenizer.spans(text);
  return String(offsets.map((_, i) => characters(offsets, i, i, text))) ===
    String(where.map((span) => span.map((index) => units[index])));
}

function parsed(bytes) {
  try {
    const {files, special_ids, encoded, decoded, spans = []} = JSON.parse(new TextDecoder().decode(bytes));
    if (files && special_ids && encoded.length && decoded.length) return {files, special_ids, encoded, decoded, spans};
  } catch {
    // Said below.
  }
  throw new BundleError("the proof's texts are damaged");
}
