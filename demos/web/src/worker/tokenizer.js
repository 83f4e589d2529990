/** Text to token ids and back, over tokenizers.js: `keras_attn.device.text.tokenizer`'s tokenizers. */
import {Tokenizer as HuggingFaceTokenizer} from '@huggingface/tokenizers';

import {BundleError, InputError} from './errors.js';
import {tokenSpans} from './token_spans.js';

const SPECIAL_ROLES = ['pad', 'start', 'end', 'unknown'];
const LANGUAGE_CODE = /^>>.*?<</s;
const UNFINISHED = '\ufffd';

/** A tokenizer.json together with the ids of its special tokens. */
export class Tokenizer {
  /**
   * @param {string} content of a `tokenizer.json`
   * @param {Record<string, number>} specialIds ids of `pad`, `start`, `end` and `unknown`, maybe of `mask`
   * @param {string} name its name in errors
   * @param {boolean} [writtenSpecials] whether a special token written out in a text, such as `[MASK]`, is one
   */
  constructor(content, specialIds, name, writtenSpecials = false) {
    this.specialIds = specialIds;
    try {
      const parsed = JSON.parse(content);
      const special = parsed.added_tokens.filter((token) => token.special);
      this.hidden = new Set(special.map((token) => token.id));
      this.names = new Map(special.map((token) => [token.id, token.content]));
      if (!writtenSpecials) withoutWrittenSpecials(parsed, special);
      this.lowercases = lowercases(parsed.normalizer);
      this.tokenizer = new HuggingFaceTokenizer(parsed, unknownToken(parsed.model));
    } catch (error) {
      throw new BundleError(`${name} is not a tokenizer that this page reads: ${error.message}`);
    }
    for (const role of SPECIAL_ROLES) {
      if (this.token(specialIds[role]) === undefined) {
        throw new BundleError(
          `${name} belongs to another model: the manifest names ${specialIds[role]} as '${role}', which no token has.`);
      }
    }
  }

  /** Number of tokens, special ones included. */
  get size() {
    return this.tokenizer.get_vocab().size;
  }

  /** @returns {string | undefined} the vocabulary's name of an id */
  token(id) {
    return this.names.get(id) ?? this.tokenizer.id_to_token(id);
  }

  /** @returns {number[]} the ids of a text, without an end token */
  ids(text) {
    return this.tokenizer.encode(this.read(text), {add_special_tokens: false}).ids;
  }

  /** @returns {number[]} the ids of a text, followed by the end token */
  encode(text) {
    return [...this.ids(text), this.specialIds.end];
  }

  /** @returns {number[]} the ids of a text, or of two, with the special tokens that the file puts around them */
  enclosed(text, pair = null) {
    if (pair === '') { // which the library takes for none
      const filler = 'a', whole = this.enclosed(text, filler), closing = this.enclosed('').length ? 1 : 0;
      return [...whole.slice(0, whole.length - closing - this.ids(filler).length), ...whole.slice(whole.length - closing)];
    }
    return this.tokenizer.encode(this.read(text), {text_pair: pair === null ? null : this.read(pair)}).ids;
  }

  /**
   * The tokens of a text, or of the second of two, and where they stand in it.
   * @returns {{before: number[], ids: number[], after: number[], offsets: [number, number][], words: number[]}}
   */
  spans(text, pair = null) {
    const read = this.read(pair ?? text), whole = this.enclosed(text, pair), ids = this.ids(pair ?? text);
    const closing = this.enclosed('').length ? 1 : 0, first = whole.length - closing - ids.length;
    const {offsets, words} = tokenSpans(this.tokenizer, read);
    if (offsets.length !== ids.length) throw new InputError('The characters of this text cannot be followed through its tokens.');
    return {before: whole.slice(0, first), ids, after: whole.slice(whole.length - closing), offsets, words};
  }

  /** Lowers the one letter that JavaScript lowers differently at a word's end. */
  read(text) {
    return this.lowercases ? checked(text).replaceAll('Σ', 'σ') : checked(text);
  }

  /** @returns {string} the text of ids; special tokens are left out */
  decode(ids) {
    const shown = Array.from(ids).filter((id) => !this.hidden.has(id));
    return shown.length ? this.tokenizer.decode(shown, {clean_up_tokenization_spaces: false}) : '';
  }

  /** Texts of a source's ids; the end token is shown, since models attend to it. */
  sourceSegments(ids) {
    return withEnd(this.segments(ids.slice(0, -1)), ids);
  }

  /** @returns {string} the beginning of a text that each of its parts needs */
  prefix() {
    return '';
  }

  /**
   * Returns what each token adds to the text; a character of several tokens is added by the last of them.
   * @returns {{text: string, tokens: number[]}[]} texts and the indices in `ids` of their tokens
   */
  segments(ids) {
    const segments = [];
    let added = '', waiting = [];
    ids.forEach((id, place) => {
      if (id === this.specialIds.unknown) {
        segments.push({text: segments.length ? ' ⁇' : '⁇', tokens: [...waiting, place]});
        waiting = [];
        return;
      }
      waiting.push(place);
      const text = this.decode(ids.slice(0, place + 1));
      if (text.length > added.length && !text.endsWith(UNFINISHED)) {
        segments.push({text: text.slice(added.length), tokens: waiting});
        [added, waiting] = [text, []];
      }
    });
    if (waiting.length) segments.push({text: this.decode(ids).slice(added.length), tokens: waiting});
    return segments;
  }
}

/** A tokenizer of sources with one of targets, as MarianMT has: `keras_attn.device.text.pair_tokenizer`. */
export class PairTokenizer {
  /**
   * @param {Tokenizer} source
   * @param {Tokenizer} target
   * @param {number} size ids from here on are pieces that the model does not know
   */
  constructor(source, target, size) {
    Object.assign(this, {source, target, vocabularySize: size, specialIds: source.specialIds});
  }

  get size() {
    return this.vocabularySize;
  }

  encode(text) {
    const {unknown} = this.specialIds;
    return this.source.encode(text).map((id) => (id < this.vocabularySize ? id : unknown));
  }

  decode(ids) {
    return this.target.decode(ids);
  }

  sourceSegments(ids) {
    return this.source.sourceSegments(ids);
  }

  segments(ids) {
    return this.target.segments(ids);
  }

  prefix(text) {
    return LANGUAGE_CODE.exec(text)?.[0] ?? '';
  }
}

function withEnd(segments, ids) {
  return [...segments, {text: ' ↵', tokens: [ids.length - 1]}];
}

/** Makes a special token that is written out in a text be read as text. */
function withoutWrittenSpecials(parsed, special) {
  parsed.added_tokens = parsed.added_tokens.filter((token) => !token.special);
  const {vocab} = parsed.model;
  for (const {content, id} of special) {
    // Not by its name, which would be a likely piece of a text; it holds what no text does.
    if (Array.isArray(vocab)) vocab[id] ??= [`\ufdd0${id}`, 0];
    else vocab[content] ??= id;
  }
}

/** What the library reads elsewhere, of the models whose vocabulary is whole words. */
function unknownToken({type, unk_token}) {
  return type === 'WordLevel' ? {unk_token} : {};
}

function lowercases(normalizer) {
  if (normalizer?.type === 'Sequence') return normalizer.normalizers.some(lowercases);
  return normalizer?.type === 'Lowercase' || Boolean(normalizer?.lowercase);
}

function checked(text) {
  if (!text.isWellFormed()) throw new InputError('The text is not valid Unicode: it holds half a character.');
  return text;
}
