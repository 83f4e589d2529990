/** Translation: the text as it comes, and for each word what it was read from. */
import {announce, asTime, element} from './dom.js';
import {LanguagePickers, tagOf} from './languages.js';

const END = '↵'; // how the worker shows the source's end token
const STRONGEST = 3;

export class TranslationView {
  /**
   * @param {import('./device.js').Device} device
   * @param {{manifest: any, onChange?: () => void}} opened `onChange` is called when other languages are chosen
   */
  constructor(device, {manifest, onChange = () => {}}) {
    this.device = device;
    this.manifest = manifest;
    this.verb = 'Translate';
    this.lead = 'Write a text. The translation is made on this device.';
    const several = Object.keys(manifest.text_template?.languages ?? {}).length > 0;
    this.pickers = several ? new LanguagePickers(manifest, onChange) : null;
  }

  /** Tags of the languages, empty where they are not known. */
  get languages() {
    const {pickers} = this, {source, target} = this.manifest.languages ?? {};
    if (pickers) return {source: tagOf(pickers.chosen('source') ?? ''), target: tagOf(pickers.chosen('target') ?? '')};
    return {source: languageTag(source), target: languageTag(target)};
  }

  get placeholder() {
    const code = this.pickers?.chosen('source');
    if (code) return `Text · ${this.pickers.names.get(code)}`;
    const {source} = this.languages;
    return source ? `Text in ${languageName(source)}` : 'Text';
  }

  /**
   * @param {HTMLElement} view where the answer is shown
   * @param {{text: string, beam: number}} asked
   */
  async answer(view, {text, beam}) {
    const languages = this.pickers?.languages;
    const source = element('p', {class: 'source', dir: 'auto', lang: this.languages.source, textContent: text});
    const output = element('p', {
      class: 'output busy', dir: 'auto', lang: this.languages.target, id: 'output', 'aria-busy': true,
    });
    const card = element('article', {class: 'card', 'aria-label': 'Translation'}, source, output);
    view.replaceChildren(card);
    const onProgress = (soFar) => { output.textContent = soFar; };
    let answer;
    try {
      answer = await this.device.ask('translate', {text, beam, languages}, {onProgress});
    } finally {
      output.classList.remove('busy');
      output.setAttribute('aria-busy', 'false');
    }
    const {result, ms, memory} = answer;
    this.showWords(card, source, output, result);
    const speed = Math.round((1000 * result.ids.length) / ms);
    const figures = `${asTime(ms)} · ${result.ids.length} tokens · ${speed} tokens/s`;
    card.append(element('p', {class: 'figures', id: 'figures', textContent: figures}));
    card.dataset.ids = result.ids.join(' ');
    announce(result.text);
    return {ms, memory};
  }

  showWords(card, source, output, {words, sourceWords, text}) {
    const taps = words.some((word) => word.weights);
    if (!taps) {
      output.textContent = text;
      return;
    }
    const marks = sourceWords.map((word) => spaced(word, (inner) => element('span', {class: 'mark', textContent: inner})));
    source.replaceChildren(...marks.flatMap(({nodes}) => nodes));
    source.classList.add('read');
    source.setAttribute('aria-label', 'Source as the model read it');
    const hint = element('p', {class: 'hint', textContent: 'Tap a word to see what it was read from.'});
    card.append(hint);
    const buttons = [];
    const choose = (button, word) => {
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
      const highest = Math.max(...word.weights);
      word.weights.forEach((weight, i) => {
        marks[i].inner.style.setProperty('--weight', (weight / highest).toFixed(3));
        marks[i].inner.title = `${Math.round(100 * weight)} %`;
      });
      hint.replaceChildren(isolated(word.text.trim()), ' ← ', ...strongest(word.weights, sourceWords));
      announce(hint.textContent);
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
    output.setAttribute('aria-label', 'Translation, word by word');
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

/** Keeps the white space around a word outside of its element. */
function spaced(text, make) {
  const word = text.trim(), inner = make(word), [before, after] = word ? text.split(word) : [text, ''];
  return {nodes: [before, inner, after], inner};
}

/** The words that were attended to most, each kept apart from its neighbours' direction. */
function strongest(weights, words) {
  return weights
    .map((weight, i) => ({weight, word: words[i].trim() === END ? 'the end' : words[i].trim()}))
    .sort((one, other) => other.weight - one.weight)
    .filter(({weight}, i) => i < STRONGEST && weight >= 0.005)
    .flatMap(({weight, word}, i) => [i ? ', ' : '', isolated(word), ` (${Math.round(100 * weight)} %)`]);
}

function isolated(text) {
  return element('bdi', {textContent: text});
}

/** The tag for `lang` attributes; corpora also have names that are no languages, such as those of dates. */
export function languageTag(code = '') {
  return /^[a-z]{2}([-_]|$)/i.test(code) ? code.replace('_', '-') : '';
}

function languageName(code) {
  return new Intl.DisplayNames('en', {type: 'language'}).of(languageTag(code));
}
