/**
 * Reads `{tokenizers: [{content, special_ids, written}], texts}` from standard input, without a browser, and
 * prints for each tokenizer and text `{ids, enclosed, decoded, words, offsets, numbers}`, the last two being where
 * tokens stand, in UTF-16 units, and their words; `{error}` where there is one.
 */
import {json} from 'node:stream/consumers';

import {wordsOf} from '../src/worker/text.js';
import {Tokenizer} from '../src/worker/tokenizer.js';

const {tokenizers, texts} = await json(process.stdin);

function read(tokenizer, text) {
  try {
    const ids = tokenizer.ids(text), {offsets, words: numbers} = tokenizer.spans(text);
    return {
      offsets,
      numbers,
      ids,
      enclosed: tokenizer.enclosed(text),
      decoded: tokenizer.decode(ids),
      words: wordsOf(tokenizer.segments(ids)).map((word) => word.text),
    };
  } catch (error) {
    return {error: error.message};
  }
}

console.log(JSON.stringify(tokenizers.map(({content, special_ids: special, written}) => {
  const tokenizer = new Tokenizer(content, special, 'tokenizer.json', written);
  return texts.map((text) => read(tokenizer, text));
})));
