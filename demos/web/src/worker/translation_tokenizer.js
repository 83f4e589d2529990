/** The tokens around a translator's texts: `keras_attn.device.text.text_template`, `translation_tokenizer`. */
import {BundleError, InputError} from './errors.js';

const ROLES = ['source', 'target'];

/** How texts begin and end, and translations begin, for each pair of languages. */
export class TextTemplate {
  /** @param {any} read `text_template` of a manifest */
  constructor(read) {
    this.languages = read?.languages ?? {};
    const {before, after, start, first = null} = read ?? {};
    const known = Object.keys(this.languages).length > 0;
    const right = (token) => Number.isInteger(token) || (ROLES.includes(token) && known);
    if (!Array.isArray(before) || !Array.isArray(after) || ![...before, ...after, start, first ?? start].every(right)) {
      throw new BundleError('text_template of the manifest is damaged; export the model again.');
    }
    Object.assign(this, {before, after, start, first});
    this.defaults = {source: read.default_source ?? null, target: read.default_target ?? null};
  }

  /** @returns {string[]} which of the two languages the tokens depend on */
  get asked() {
    return ROLES.filter((role) => [...this.before, ...this.after, this.start, this.first].includes(role));
  }

  /** @returns {Record<string, string | null>} the model's codes of two languages, or of the default ones */
  pair(chosen) {
    return Object.fromEntries(ROLES.map((role) => {
      const code = chosen[role] ?? this.defaults[role];
      if (code === null && this.asked.includes(role)) throw new InputError(`Choose the ${role} language.`);
      if (code !== null && !(code in this.languages)) {
        throw new InputError(`The model does not know the language ${JSON.stringify(code)}.`);
      }
      return [role, code];
    }));
  }

  /** @returns {number} the id of a token of the template */
  id(token, pair) {
    return typeof token === 'number' ? token : this.languages[pair[token]];
  }
}

/** A tokenizer of sources and targets, for one direction of a translator. */
export class TranslationTokenizer {
  /**
   * @param {import('./tokenizer.js').Tokenizer} tokenizer
   * @param {Record<string, number>} specialIds those of `start` and `first` are the direction's
   * @param {number} size ids from here on are pieces that the model does not know
   * @param {TextTemplate} template
   * @param {{source?: string | null, target?: string | null}} [languages] the model's own codes
   */
  constructor(tokenizer, specialIds, size, template, languages = {}) {
    const pair = template.pair(languages), ids = (tokens) => tokens.map((token) => template.id(token, pair));
    const {first: _, ...others} = specialIds;
    this.specialIds = {...others, start: template.id(template.start, pair)};
    if (template.first !== null) this.specialIds.first = template.id(template.first, pair);
    Object.assign(this, {tokenizer, template, vocabularySize: size, before: ids(template.before), after: ids(template.after)});
  }

  get size() {
    return this.vocabularySize;
  }

  /** @returns {TranslationTokenizer} the tokenizer of another direction */
  between(languages) {
    return new TranslationTokenizer(this.tokenizer, this.specialIds, this.vocabularySize, this.template, languages);
  }

  encode(text) {
    const {unknown} = this.specialIds;
    const ids = this.tokenizer.ids(text).map((id) => (id < this.vocabularySize ? id : unknown));
    return [...this.before, ...ids, ...this.after];
  }

  decode(ids) {
    return this.tokenizer.decode(ids);
  }

  /** Texts of a source's ids; the tokens around it count as its end, which models attend to. */
  sourceSegments(ids) {
    const first = this.before.length, last = ids.length - this.after.length;
    const places = (from, to) => Array.from({length: to - from}, (_, i) => from + i);
    const inside = this.tokenizer.segments(ids.slice(first, last)).map(({text, tokens}) =>
      ({text, tokens: tokens.map((place) => place + first)}));
    return [...inside, {text: ' ↵', tokens: [...places(0, first), ...places(last, ids.length)]}];
  }

  segments(ids) {
    return this.tokenizer.segments(ids);
  }

  prefix() {
    return '';
  }
}
