/** Models of arrays: a form made from the manifest's inputs, and the outputs as tables and bars. */
import {figures} from './answers.js';
import {fieldFor} from './arrays/fields.js';
import {outputCard, saveLink, spoken} from './arrays/outputs.js';
import {PictureField, takesPictures} from './arrays/picture_field.js';
import {announce, element} from './dom.js';

export class PredictionView {
  constructor(device, {manifest, info}) {
    this.device = device;
    this.outputs = manifest.interface.outputs;
    this.labels = manifest.model.labels ?? [];
    this.verb = 'Predict';
    this.placeholder = '';
    this.lead = 'Fill in the inputs. The outputs are computed on this device.';
    const {inputs, padded} = manifest.interface, lengths = manifest.buckets.map(({source}) => source);
    this.fields = inputs.map((input) => (takesPictures(input) ? new PictureField(input) : fieldFor(input, {lengths, padded})));
    this.results = element('div', {class: 'results', id: 'results'});
    this.form = element('div', {class: 'card inputs', id: 'inputs', role: 'group', 'aria-label': 'Inputs'},
      ...this.examples(info.examples), ...this.fields.map((field) => field.row));
    for (const control of this.form.querySelectorAll('input:not([type=file]):not([type=radio])')) {
      control.setAttribute('form', 'ask'); // Enter asks the model.
    }
    if (info.examples.length) this.fill(info.examples[0]);
  }

  get extra() {
    return element('div', {class: 'prediction'}, this.form, this.results);
  }

  /** Buttons that fill in the examples of the proof. */
  examples(given) {
    if (given.length < 2) return [];
    const buttons = given.map((example, i) => element('button', {
      type: 'button', class: 'plain', textContent: String(i + 1), 'aria-label': `Fill in example ${i + 1}`, onclick: () => this.fill(example),
    }));
    return [element('div', {class: 'examples'}, element('span', {textContent: 'Examples'}), ...buttons)];
  }

  fill(example) {
    for (const field of this.fields) field.fill(example[field.name]);
  }

  async answer() {
    const inputs = Object.fromEntries(this.fields.map((field) => [field.name, field.read()]));
    const {result, ms, memory} = await this.device.ask('predict', {inputs});
    this.results.replaceChildren(
      ...this.outputs.map((output) => outputCard(output, result[output.name], this.labels)),
      element('div', {class: 'below'}, figures(ms), saveLink(result)));
    this.results.scrollIntoView({block: 'nearest'});
    announce(this.outputs.map(({name}) => spoken(name, result[name], this.labels)).join('. '));
    return {ms, memory};
  }

  /** Goes to the input that an error was about. */
  focus() {
    const wrong = this.fields.find((field) => field.row.querySelector('[aria-invalid=true]')) ?? this.fields[0];
    /** @type {HTMLElement | null} */ (wrong.row.querySelector('input, textarea'))?.focus();
  }
}
