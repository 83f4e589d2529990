/** Classification and filling masks: answers with their shares. */
import {announce, asTime, element} from './dom.js';

const MOST = 8; // labels shown

/** A list of names with bars; `shown` is the number beside a bar, if it is not the share in percent. */
export function bars(answers, make = (name) => element('span', {class: 'name', dir: 'auto', textContent: name})) {
  return element('ol', {class: 'bars'}, ...answers.map(({name, share, shown, ...more}) => {
    const bar = element('i');
    bar.style.setProperty('--share', String(Math.max(0, Math.min(1, share))));
    const percent = element('span', {class: 'share', textContent: shown ?? `${(100 * share).toFixed(1)} %`});
    return element('li', {}, make(name, more), percent, element('span', {class: 'bar', 'aria-hidden': true}, bar));
  }));
}

export class ClassificationView {
  constructor(device, {info}) {
    this.device = device;
    this.verb = 'Classify';
    this.placeholder = 'Text to classify';
    this.lead = 'Write a text. It is classified on this device.';
    this.pairs = info.readsPairs;
    this.candidates = element('textarea', {id: 'candidates', dir: 'auto', 'aria-label': 'Labels of your own, one a line'});
    // A model of natural language inference chooses among any labels.
    if (info.entails && info.readsPairs) {
      const summary = element('summary', {textContent: 'Labels of your own, one a line'});
      this.extra = element('details', {class: 'passages card'}, summary, this.candidates);
    }
  }

  async answer(view, {text, second}) {
    const pair = this.pairs && second ? second : null;
    const candidates = [...new Set(this.candidates.value.split('\n').map((line) => line.trim()).filter(Boolean))];
    const {result, ms, memory} = await (candidates.length && !pair
      ? this.device.ask('choose', {text, candidates})
      : this.device.ask('classify', {text, pair}));
    const source = element('p', {class: 'source', dir: 'auto', textContent: pair ? `${text}\n${pair}` : text});
    const list = bars(result.slice(0, MOST).map(({label, score}) => ({name: label, share: score})));
    list.id = 'labels';
    view.replaceChildren(element('article', {class: 'card'}, source, list, figures(ms)), ...(this.extra ? [this.extra] : []));
    announce(`${result[0].label}, ${Math.round(100 * result[0].score)} percent`);
    return {ms, memory};
  }
}

export class MaskView {
  constructor(device, {info, useText}) {
    this.device = device;
    this.useText = useText;
    this.mask = info.mask;
    this.verb = 'Fill';
    this.placeholder = `Text with ${info.mask}`;
    this.lead = `Write a text with ${info.mask} where a word is wanted.`;
  }

  async answer(view, {text}) {
    const {result, ms, memory} = await this.device.ask('fillMask', {text, top: 5});
    const masks = [...new Set(result.map(({mask}) => mask))];
    const cards = masks.map((mask) => {
      const found = result.filter((each) => each.mask === mask);
      const list = bars(found.map(({token, score, text: filled}) => ({name: token, share: score, filled})),
        (name, {filled}) => element('button', {class: 'name', type: 'button', dir: 'auto', textContent: name, title: filled,
          onclick: () => { sentence.textContent = filled; announce(filled); }}));
      const title = element('h2', {textContent: masks.length > 1 ? `Mask ${mask + 1}` : 'Best words'});
      return element('article', {class: 'card'}, title, list);
    });
    const sentence = element('p', {class: 'output', dir: 'auto', id: 'filled', textContent: result[0].text});
    view.replaceChildren(element('article', {class: 'card'}, sentence, figures(ms)), ...cards);
    announce(result[0].text);
    return {ms, memory};
  }
}

export function figures(ms) {
  return element('p', {class: 'figures', id: 'figures', textContent: asTime(ms)});
}
