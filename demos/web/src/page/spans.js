/** Entities marked in their text, answers in their context, and scores. */
import {bars, figures} from './answers.js';
import {announce, element} from './dom.js';
import {recall, remember} from './memory.js';

const CONTEXT =
  'The museum was opened in 1904 by Clara Weiss, who had collected paintings in Lisbon and Oslo. ' +
  'It is closed on Mondays. A ticket costs nine euros, and children pay nothing.';
const ANSWERS = 3;

/** A text with marks on some of its spans; `tag` is written behind each. */
function marked(text, spans, properties) {
  const parts = [];
  let read = 0;
  for (const {start, end, tag} of spans) {
    parts.push(text.slice(read, start), element('mark', {class: 'span'}, text.slice(start, end),
      ...(tag ? [element('span', {class: 'tag', textContent: tag})] : [])));
    read = end;
  }
  return element('p', {class: 'source read', dir: 'auto', ...properties}, ...parts, text.slice(read));
}

const percent = (score) => `${(100 * score).toFixed(1)} %`;

export class EntitiesView {
  constructor(device) {
    this.device = device;
    this.verb = 'Find';
    this.placeholder = 'Text with names, places, dates';
    this.lead = 'Write a text. What the model knows is marked in it, on this device.';
  }

  async answer(view, {text}) {
    const {result, ms, memory} = await this.device.ask('entities', {text});
    const source = marked(text, result.map((each) => ({...each, tag: each.label})), {id: 'marked'});
    const list = bars(result.map((each) => ({name: each.text, share: each.score, shown: `${each.label} · ${percent(each.score)}`})));
    list.id = 'entities';
    const nothing = element('p', {class: 'hint', textContent: 'Nothing was found in this text.'});
    view.replaceChildren(element('article', {class: 'card'}, source, result.length ? list : nothing, figures(ms)));
    announce(result.map((each) => `${each.text}, ${each.label}`).join('; ') || 'Nothing was found.');
    return {ms, memory};
  }
}

export class AnswerView {
  constructor(device) {
    this.device = device;
    this.verb = 'Answer';
    this.placeholder = 'Question';
    this.lead = 'Ask something about the text below. It never leaves this device.';
    this.field = element('textarea', {id: 'context', dir: 'auto', value: recall('context', CONTEXT), 'aria-label': 'Text with the answer'});
    this.field.oninput = () => remember('context', this.field.value);
    this.none = element('input', {type: 'checkbox', id: 'none'});
    this.editor = element('details', {class: 'passages card'}, element('summary', {textContent: 'Text with the answer'}), this.field,
      element('label', {}, this.none, 'There may be no answer'));
  }

  get extra() {
    return this.editor;
  }

  async answer(view, {text}) {
    const context = this.field.value, options = {top: ANSWERS, noAnswer: this.none.checked};
    const {result: {answers}, ms, memory} = await this.device.ask('answer', {question: text, context, options});
    const [best] = answers, shown = best.text || 'The text has no answer.';
    const question = element('h2', {textContent: text, dir: 'auto'});
    const output = element('p', {class: 'output', id: 'answer', dir: 'auto', textContent: shown});
    const list = bars(answers.map((each) => ({name: each.text || 'no answer', share: each.score})));
    list.id = 'answers';
    const where = marked(context, best.text ? [best] : [], {id: 'marked'});
    view.replaceChildren(element('article', {class: 'card'}, question, output, where, list, figures(ms)), this.editor);
    announce(shown);
    return {ms, memory};
  }
}

export class ScoreView {
  constructor(device, {manifest, info}) {
    this.device = device;
    this.linear = manifest.model.config?.activation === 'linear';
    this.verb = 'Score';
    this.placeholder = info.readsPairs ? 'Text, such as a question' : 'Text to score';
    this.lead = info.readsPairs ? 'Write a text and a second one. They are scored on this device.' : 'Write a text. It is scored on this device.';
    this.pairs = info.readsPairs;
  }

  async answer(view, {text, second}) {
    const pair = this.pairs && second ? second : null;
    const {result, ms, memory} = await this.device.ask('score', {text, pair});
    const source = element('p', {class: 'source', dir: 'auto', textContent: pair ? `${text}\n${pair}` : text});
    const shown = this.linear ? result.toFixed(3) : percent(result);
    const list = bars([{name: 'Score', share: this.linear ? 1 / (1 + Math.exp(-result)) : result, shown}]);
    list.id = 'score';
    view.replaceChildren(element('article', {class: 'card'}, source, list, figures(ms)));
    announce(`Score ${shown}`);
    return {ms, memory};
  }
}
