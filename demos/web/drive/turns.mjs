/**
 * Makes calls of a model that is interrupted at every step, without a browser, and cuts long texts. Prints
 * `{answers, stopped, refused, characters, parts}`.
 */
import {fitText} from '../src/worker/text.js';
import {Turns} from '../src/worker/turns.js';

const turns = new Turns(), pause = () => new Promise((resolve) => setTimeout(resolve));
let memory = '';

/** Spells a word into the memory there is, letter by letter, and lets others have their messages. */
async function spell(word) {
  memory = '';
  for (const letter of word) {
    turns.check();
    memory += letter;
    await pause();
  }
  return memory;
}

const answers = await Promise.all(['one', 'three', 'five'].map((word) => turns.take(() => spell(word))));
const unwanted = ['seven', 'nine'].map((word) => turns.take(() => spell(word)).catch(({name}) => name));
await pause();
turns.stop();
const wanted = turns.take(() => spell('ten'));
const stopped = [...await Promise.all(unwanted), await wanted];

let characters = 0;
const letters = {
  prefix: () => '',
  encode(text) {
    characters += text.length;
    return Array.from(text, (letter) => letter.codePointAt(0));
  },
};
const refused = ['.', 'a ', '文', '🙂'].map((piece) => {
  try {
    return fitText(`${piece.repeat(2_000_000)}a`, letters, 64);
  } catch ({name, message}) {
    return `${name}: ${message}`;
  }
});
const text = 'a cat. 🙂 dog! '.repeat(5000);
const parts = fitText(text, letters, 64);
const longest = Math.max(...parts.map(({ids}) => ids.length));
console.log(JSON.stringify({answers, stopped, refused, characters, parts: parts.length, longest}));
