/** The languages of a translator of several: two pickers, with names in the reader's own language. */
import {recall, remember} from './memory.js';
import {element} from './dom.js';

const MANY = 12; // languages from which on a field to search in is quicker than a list
const ROLES = {source: 'From', target: 'To'};

/** @returns {string} the BCP 47 tag of a model's code, such as `en` for `eng_Latn` and `en_XX`; empty if it has none */
export function tagOf(code) {
  const [language, ...others] = code.replace(/^_+|_+$/g, '').split(/[-_]/);
  const script = others.find((part) => part.length === 4);
  try {
    return Intl.getCanonicalLocales([language, script].filter(Boolean).join('-'))[0];
  } catch {
    return '';
  }
}

/** @returns {Map<string, string>} names of codes, sorted; with scripts only where two codes would have one name */
export function namesOf(codes, locale) {
  const names = new Intl.DisplayNames(locale, {type: 'language'});
  const name = (tag) => (tag ? names.of(tag) ?? '' : '');
  const short = codes.map((code) => name(tagOf(code).split('-')[0]) || code);
  const times = new Map();
  for (const each of short) times.set(each, (times.get(each) ?? 0) + 1);
  const full = codes.map((code, i) => [code, times.get(short[i]) > 1 ? name(tagOf(code)) : short[i]]);
  const seen = new Set();
  // Varieties with the same name are distinguished by their codes.
  const named = full.map(([code, text]) => [code, seen.has(text) ? `${text} (${code})` : (seen.add(text), text)]);
  return new Map(named.sort(([, one], [, other]) => one.localeCompare(other, locale)));
}

export class LanguagePickers {
  /**
   * @param {any} manifest of a translator of several languages
   * @param {() => void} onChange
   */
  constructor(manifest, onChange) {
    const {languages, before, after, start, first} = manifest.text_template;
    this.names = namesOf(Object.keys(languages), navigator.languages ?? navigator.language);
    this.codes = new Map(Array.from(this.names, ([code, name]) => [name.toLocaleLowerCase(), code]));
    this.onChange = onChange;
    const asked = Object.keys(ROLES).filter((role) => [...before, ...after, start, first].includes(role));
    this.inputs = Object.fromEntries(asked.map((role) => {
      const last = recall(`language-${role}`, '');
      return [role, this.input(role, last in languages ? last : manifest.languages[role])];
    }));
    const labels = asked.map((role) => element('label', {class: 'language'},
      element('span', {class: 'hidden', textContent: ROLES[role]}), this.inputs[role]));
    const swap = element('button', {type: 'button', class: 'round', id: 'swap', 'aria-label': 'Swap the languages', textContent: '⇄'});
    swap.onclick = () => this.swap();
    const list = element('datalist', {id: 'language-names'}, ...Array.from(this.names.values(), (name) => element('option', {value: name})));
    this.nodes = labels.length === 2 ? [labels[0], swap, labels[1], list] : [...labels, list];
  }

  input(role, code) {
    if (this.names.size <= MANY) {
      const select = element('select', {id: `language-${role}`},
        ...Array.from(this.names, ([value, textContent]) => element('option', {value, textContent})));
      /** @type {HTMLSelectElement} */ (select).value = code;
      select.onchange = () => this.changed(role);
      return select;
    }
    const field = /** @type {HTMLInputElement} */ (element('input', {
      id: `language-${role}`, type: 'search', autocomplete: 'off', spellcheck: false, enterKeyHint: 'done',
      value: this.names.get(code) ?? '', 'aria-label': `${ROLES[role]}: one of ${this.names.size} languages`,
    }));
    field.setAttribute('list', 'language-names');
    // A browser proposes the names that hold what is written: all of them where nothing is.
    let before = field.value;
    field.onfocus = () => {
      before = field.value || before;
      field.placeholder = before;
      field.value = '';
    };
    field.onblur = () => {
      if (!field.value.trim()) field.value = before;
    };
    field.oninput = () => {
      if (this.codes.has(field.value.trim().toLocaleLowerCase())) this.changed(role);
    };
    return field;
  }

  /** @returns {string | null} the code that is chosen; none where what is written is no language's name */
  chosen(role) {
    const input = this.inputs[role];
    if (!input) return null;
    if (input.tagName === 'SELECT') return input.value;
    const written = (input.value.trim() || input.placeholder).toLocaleLowerCase();
    const starting = Array.from(this.codes.keys()).filter((name) => name.startsWith(written));
    return this.codes.get(written) ?? (written && starting.length === 1 ? this.codes.get(starting[0]) : null);
  }

  /** @returns {{source: string | null, target: string | null}} @throws {Error} an InputError: what is written is unknown */
  get languages() {
    const found = {source: this.chosen('source'), target: this.chosen('target')};
    for (const [role, input] of Object.entries(this.inputs)) {
      if (found[role] !== null) continue;
      const error = new Error(`${ROLES[role]}: “${input.value}” is not one of the model’s ${this.names.size} languages. Choose one of the list.`);
      error.name = 'InputError';
      throw error;
    }
    return found;
  }

  swap() {
    const {source, target} = this.inputs;
    [source.value, target.value] = [target.value, source.value];
    this.changed('source');
    this.changed('target');
  }

  changed(role) {
    const code = this.chosen(role);
    if (code !== null) remember(`language-${role}`, code);
    this.onChange();
  }
}
