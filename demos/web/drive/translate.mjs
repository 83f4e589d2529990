/**
 * Translates lines in the browser: reads a JSON list of texts from standard input, prints
 * `{outputs: [{ids, text, score}], ms, memory}`, with the runtime's memory after each hundred texts.
 *
 *     node demos/web/drive/translate.mjs SITE BUNDLE BEAM < texts.json
 */
import {text} from 'node:stream/consumers';
import path from 'node:path';

import {ask, openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, name, beam] = process.argv.slice(2);
const texts = JSON.parse(await text(process.stdin));

await report(async () => {
  const server = await serve(path.resolve(site));
  const browser = await launch();
  try {
    await browser.page.goto(`${server.address}icon.svg`);
    await openBundle(browser.page, name);
    const outputs = [], memory = [];
    let ms = 0;
    for (const [i, one] of texts.entries()) {
      const answer = await ask(browser.page, 'translate', {text: one, beam: Number(beam)});
      const {ids, text: translation, score} = answer.result;
      outputs.push({ids, text: translation, score});
      ms += answer.ms;
      if (i % 100 === 99) memory.push(answer.memory);
    }
    return {outputs, ms, memory};
  } finally {
    await browser.close();
    await server.close();
  }
});
