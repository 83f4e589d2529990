/** Translation: the text as it comes, and for each word what it was read from. */
import {announce, asTime, element} from './dom.js';

export class TranslationView {
  /**
   * @param {import('./device.js').Device} device
   * @param {{manifest: any}} opened
   */
  constructor(device, {manifest}) {
    this.device = device;
    const languages = manifest.languages ?? {};
    this.languages = languages;
    this.verb = 'Translate';
    this.placeholder = `Text${languages.source ? ` in ${languageName(languages.source)}` : ''}`;
    this.lead = 'Write a text, or take one of these. The translation is made on this device.';
  }

  /**
   * @param {HTMLElement} view where the answer is shown
   * @param {{text: string, beam: number}} asked
   */
  async answer(view, {text, beam}) {
    const source = element('p', {class: 'source', dir: 'auto', lang: this.languages.source ?? '', textContent: text});
    const output = element('p', {
      class: 'output busy', dir: 'auto', lang: this.languages.target ?? '', id: 'output', 'aria-busy': true,
    });
    const card = element('article', {class: 'card', 'aria-label': 'Translation'}, source, output);
    view.replaceChildren(card);
    const onProgress = (soFar) => { output.textContent = soFar; };
    let answer;
    try {
      answer = await this.device.ask('translate', {text, beam}, {onProgress});
    } finally {
      output.classList.remove('busy');
      output.setAttribute('aria-busy', 'false');
    }
    const {result, ms, memory} = answer;
    this.showWords(card, output, result);
    const speed = Math.round((1000 * result.ids.length) / ms);
    const figures = `${asTime(ms)} · ${result.ids.length} tokens · ${speed} tokens/s`;
    card.append(element('p', {class: 'figures', id: 'figures', textContent: figures}));
    card.dataset.ids = result.ids.join(' ');
    announce(result.text);
    return {ms, memory};
  }

  showWords(card, output, {words, sourceWords, text}) {
    const taps = words.some((word) => word.weights);
    if (!taps) {
      output.textContent = text;
      return;
    }
    const marks = sourceWords.map((word) => spaced(word, (inner) => element('span', {class: 'mark', textContent: inner})));
    const line = element('p', {dir: 'auto', lang: this.languages.source ?? ''}, ...marks.flatMap(({nodes}) => nodes));
    const title = element('h2', {textContent: 'Tap a word to see what it was read from'});
    card.append(element('section', {class: 'read', 'aria-label': 'Source as the model read it'}, title, line));
    const buttons = [];
    const choose = (button, word) => {
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
      const highest = Math.max(...word.weights);
      word.weights.forEach((weight, i) => {
        marks[i].inner.style.setProperty('--weight', (weight / highest).toFixed(3));
        marks[i].inner.title = `${Math.round(100 * weight)} %`;
      });
      title.textContent = `“${word.text.trim()}” was read from`;
      announce(`${word.text.trim()} was read from ${strongest(word.weights, sourceWords)}`);
    };
    output.replaceChildren(...words.flatMap((word) => {
      const {nodes, inner} = spaced(word.text, (shown) =>
        element('button', {class: 'word', type: 'button', textContent: shown, 'aria-pressed': false}));
      inner.tabIndex = buttons.length ? -1 : 0;
      inner.onclick = () => choose(inner, word);
      buttons.push(inner);
      return nodes;
    }));
    output.setAttribute('role', 'group');
    output.onkeydown = (event) => walk(event, buttons, getComputedStyle(output).direction);
  }
}

/** Lets the arrow keys go from word to word; the group is one stop of the Tab key. */
function walk(event, buttons, direction) {
  const forth = direction === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
  const steps = {[forth]: 1, ArrowDown: 1, [forth === 'ArrowRight' ? 'ArrowLeft' : 'ArrowRight']: -1, ArrowUp: -1};
  const at = buttons.indexOf(event.target), next = buttons[at + steps[event.key]];
  if (!next) return;
  event.preventDefault();
  buttons[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

/** Keeps the white space before a word outside of its element. */
function spaced(text, make) {
  const inner = make(text.trimStart()), space = text.slice(0, text.length - text.trimStart().length);
  return {nodes: space ? [space, inner] : [inner], inner};
}

function strongest(weights, words) {
  return weights
    .map((weight, i) => ({weight, word: words[i].trim() === '⏎' ? 'the end' : words[i].trim()}))
    .sort((one, other) => other.weight - one.weight)
    .slice(0, 3)
    .map(({weight, word}) => `${word}, ${Math.round(100 * weight)} percent`)
    .join('; ');
}

function languageName(code) {
  try {
    return new Intl.DisplayNames('en', {type: 'language'}).of(code) ?? code;
  } catch {
    return code;
  }
}
