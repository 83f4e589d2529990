/** A field for inputs that look like pictures: a photo or a file, drawn at the input's size. */
import {InputError} from '../../worker/errors.js';
import {element} from '../dom.js';
import {caption, marking, newId} from './fields.js';
import {typed} from './numbers.js';

const SMALLEST = 8; // pixels: what is smaller is rather a table
const CHANNELS = [1, 3, 4];
const SHOWN = {1: 'grey', 3: 'red, green and blue', 4: 'red, green, blue and opacity'};
/** What a model is given for a pixel of 0 to 255, and back. */
const SCALES = {
  '0–255': {to: (pixel) => pixel, from: (value) => value},
  '0–1': {to: (pixel) => pixel / 255, from: (value) => value * 255},
  '−1–1': {to: (pixel) => pixel / 127.5 - 1, from: (value) => (value + 1) * 127.5},
};

/** @param {import('../../worker/predictor.js').Field} input */
export function takesPictures({shape, dtype}) {
  return shape.length === 3 && dtype !== 'bool' && CHANNELS.includes(shape[2]) && shape[0] >= SMALLEST && shape[1] >= SMALLEST;
}

export class PictureField {
  constructor(input) {
    this.input = input;
    this.name = input.name;
    [this.height, this.width, this.channels] = input.shape;
    /** What was filled in, until a picture is chosen; then its pixels, four values each. */
    this.example = null;
    this.pixels = null;
    const id = newId(input.name);
    this.canvas = element('canvas', {width: this.width, height: this.height, role: 'img', 'aria-label': 'No picture yet'});
    this.file = element('input', {id, type: 'file', accept: 'image/*', class: 'hidden', onchange: () => this.open(), 'aria-describedby': `${id}-how`});
    this.scale = input.dtype === 'int32' ? '0–255' : this.scales(id);
    this.how = element('p', {id: `${id}-how`, class: 'how'});
    const takes = `${this.width} × ${this.height} pixels, ${SHOWN[this.channels]}`;
    const choose = element('label', {class: 'plain choose', for: id, textContent: 'Choose a picture'});
    this.row = element('div', {class: 'row picture', role: 'group', 'aria-label': input.name}, caption('p', input.name, takes),
      element('div', {class: 'shown'}, this.canvas, element('div', {}, this.file, choose, this.choice ?? '')), this.how);
    this.explain();
  }

  /** Makes the choice of the values' scale; returns the one that is chosen. */
  scales(id) {
    this.radios = Object.keys(SCALES).map((name) => element('input', {
      type: 'radio', name: `${id}-scale`, value: name, checked: name === '0–255', onchange: () => {
        this.scale = name;
        this.show();
      },
    }));
    const labels = this.radios.map((radio) => element('label', {}, radio, element('span', {textContent: radio.value})));
    this.choice = element('fieldset', {class: 'segments'}, element('legend', {class: 'hidden', textContent: 'Values of a pixel'}), ...labels);
    return '0–255';
  }

  explain() {
    const values = `Of a picture of yours the model gets the middle, in values of ${this.scale.replace('–', ' to ')}.`;
    this.how.textContent = this.example ? `This is an example of the proof, with its own values. ${values}` : values;
  }

  fill(example) {
    this.example = example;
    this.pixels = null;
    this.file.value = '';
    if (this.radios) this.choose(scaleOf(example.data));
    this.show();
  }

  choose(scale) {
    this.scale = scale;
    for (const radio of this.radios) radio.checked = radio.value === scale;
  }

  async open() {
    const [file] = this.file.files;
    if (!file) return;
    const picture = await createImageBitmap(file).catch(() => null);
    this.example = null;
    this.pixels = picture && this.drawn(picture);
    this.show();
    if (picture) return;
    this.file.setAttribute('aria-invalid', 'true');
    this.how.textContent = `${file.name} is not a picture that this browser reads.`;
  }

  /** Draws the middle of a picture at the input's size; returns its pixels. */
  drawn(picture) {
    const {width, height} = this, context = this.context();
    const share = Math.min(picture.width / width, picture.height / height);
    const [across, down] = [width * share, height * share];
    context.clearRect(0, 0, width, height);
    if (this.channels < 4) {
      context.fillStyle = 'white'; // behind what is transparent
      context.fillRect(0, 0, width, height);
    }
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, (picture.width - across) / 2, (picture.height - down) / 2, across, down, 0, 0, width, height);
    picture.close();
    return context.getImageData(0, 0, width, height).data;
  }

  context() {
    return this.canvas.getContext('2d', {willReadFrequently: true});
  }

  /** Shows what the model will see. */
  show() {
    const shown = new ImageData(this.width, this.height), {channels} = this;
    const given = this.example || this.pixels;
    const values = given ? this.values() : [], back = SCALES[this.scale].from;
    for (let i = 0; given && i < this.width * this.height; i++) {
      const pixel = Array.from({length: channels}, (_, channel) => back(values[i * channels + channel]));
      const [red, green = red, blue = red, opacity = 255] = pixel;
      shown.data.set([red, green, blue, opacity], 4 * i);
    }
    this.context().putImageData(shown, 0, 0);
    this.canvas.setAttribute('aria-label', this.example ? 'An example of the proof' : given ? 'The chosen picture' : 'No picture yet');
    this.explain();
  }

  values() {
    if (this.example) return this.example.data;
    const {pixels, channels} = this, to = SCALES[this.scale].to, count = this.width * this.height;
    const values = new Float32Array(count * channels);
    for (let i = 0; i < count; i++) {
      const [red, green, blue] = pixels.subarray(4 * i, 4 * i + 3);
      // Grey as television has it, and Pillow.
      if (channels === 1) values[i] = to(Math.round(0.299 * red + 0.587 * green + 0.114 * blue));
      else for (let channel = 0; channel < channels; channel++) values[i * channels + channel] = to(pixels[4 * i + channel]);
    }
    return values;
  }

  read() {
    return marking(this.file, () => {
      if (!this.example && !this.pixels) throw new InputError(`Input '${this.name}' has no picture; choose one.`);
      return {shape: this.input.shape, data: typed(this.values(), this.input)};
    });
  }
}

/** The scale that an example's values are on, as far as they tell. */
function scaleOf(values) {
  let least = Infinity, most = -Infinity;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (most > 1) return '0–255';
  return least < 0 ? '−1–1' : '0–1';
}
