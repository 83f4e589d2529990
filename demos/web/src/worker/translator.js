/** Translation of text over a bundle's step model: `keras_attn.device.tasks.translator`. */
import {StepModel} from './decoder.js';
import {BundleError} from './errors.js';
import {search} from './search.js';
import {between, fitText, wordsOf} from './text.js';
import {PairTokenizer} from './tokenizer.js';

/**
 * The special tokens that no search produces: padding and start, unless one of them ends texts. A start token
 * that is also a word of the vocabulary, such as a language, may be `produced`.
 */
export function neverProduced({pad, start, end, produced}) {
  return new Set([pad, start].filter((id) => id !== end && id !== produced));
}

export class Translator {
  /**
   * @param {import('./runtime.js').Model} model
   * @param {object} manifest
   * @param {import('./tokenizer.js').Tokenizer | PairTokenizer} tokenizer
   */
  constructor(model, manifest, tokenizer) {
    this.steps = new StepModel(model, manifest.buckets, manifest.special_ids.pad);
    this.tokenizer = tokenizer;
    this.maxSourceTokens = manifest.max_source_tokens;
    this.forceEnd = manifest.search?.force_end ?? false;
    this.earlyStopping = manifest.search?.early_stopping ?? true;
    this.minLength = manifest.search?.min_length ?? 0;
    this.noRepeatNgram = manifest.search?.no_repeat_ngram ?? 0;
    const [step] = Object.values(Object.values(manifest.buckets[0].steps)[0]);
    const vocabulary = manifest.signatures[step].outputs.scores.shape.at(-1);
    if (tokenizer.size > vocabulary) {
      throw new BundleError(
        `tokenizer.json belongs to another model: it has ${tokenizer.size} tokens, and the model ${vocabulary}.`);
    }
  }

  /** The largest beam for which there are signatures. */
  get widestBeam() {
    return this.steps.rowCounts.at(-1);
  }

  /**
   * Translates a text, in parts if necessary, which are split at sentence ends.
   * @param {string} text
   * @param {object} options
   * @param {number} [options.beam]
   * @param {number} [options.lengthPenalty]
   * @param {{source?: string | null, target?: string | null}} [options.languages] the model's own codes
   * @param {(text: string) => void | Promise<void>} [options.onText] called with the translation as it is produced
   */
  async translate(text, {beam = 1, lengthPenalty = 1, languages, onText = () => {}} = {}) {
    const tokenizer = languages ? this.tokenizer.between(languages) : this.tokenizer, special = tokenizer.specialIds;
    const skipped = special.first === undefined ? 0 : 1; // what every translation begins with is not its text
    const parts = fitText(text, tokenizer, this.maxSourceTokens);
    const ids = [], sourceIds = [], rows = [], source = [], target = [];
    let before = '', logProb = 0, length = 0;
    for (const [number, part] of parts.entries()) {
      const gap = number ? between(before, parts[number - 1].separator) : '';
      const maxLength = Math.min(2 * part.ids.length + 10, this.steps.maxTargetTokens);
      const [found] = await search(await this.steps.start(part.ids, maxLength), {
        startId: special.start,
        endId: special.end,
        beam,
        maxLength,
        lengthPenalty,
        alignments: true,
        suppress: neverProduced(special),
        forceEnd: this.forceEnd,
        earlyStopping: this.earlyStopping,
        firstId: special.first ?? null,
        minLength: this.minLength,
        noRepeatNgram: this.noRepeatNgram,
        onStep: (soFar) => onText(before + gap + tokenizer.decode(soFar.slice(skipped))),
      });
      const best = {...found, ids: found.ids.slice(skipped), alignment: found.alignment.slice(skipped)};
      source.push(...moved(tokenizer.sourceSegments(part.ids), sourceIds.length, number ? ' ' : ''));
      target.push(...moved(tokenizer.segments(best.ids), ids.length, gap));
      rows.push(...best.alignment.map((row) => ({row, first: sourceIds.length})));
      ids.push(...best.ids);
      sourceIds.push(...part.ids);
      before += gap + tokenizer.decode(best.ids);
      logProb += best.logProb;
      length += found.ids.length + Number(found.finished);
    }
    const sourceWords = wordsOf(source);
    const attends = rows.length > 0 && rows.length === ids.length;
    return {
      text: before,
      ids,
      sourceIds,
      score: length ? logProb / length ** lengthPenalty : 0,
      sourceWords: sourceWords.map((word) => word.text),
      words: wordsOf(target).map((word) => ({
        text: word.text,
        weights: attends ? wordWeights(word, sourceWords, rows) : null,
      })),
    };
  }
}

function moved(segments, by, gap) {
  return segments.map(({text, tokens}, i) => ({
    text: i ? text : gap + text,
    tokens: tokens.map((place) => place + by),
  }));
}

/** The attention of a word over the source's words: the mean over its tokens, summed over theirs. */
function wordWeights({tokens}, sourceWords, rows) {
  return sourceWords.map((word) => {
    let sum = 0;
    for (const token of tokens) {
      const {row, first} = rows[token];
      for (const place of word.tokens) sum += row[place - first] ?? 0;
    }
    return sum / tokens.length;
  });
}
